"""xdp integrate against dials.integrate on the same refined files, in one run.

    python benchmarks/integrate.py [--frames 60 600] [--nproc 1 2] [--repeat 3] [--folder DIR]

60 frames are rot_dev, more are a simulated series of half degrees. Both programs get the models and spots that
`xdp refine` made. Timed is the whole command, with images in the page cache and kernels compiled; programs take turns,
the median of the repeats counts. Memory is the peak of all processes of a command.
"""

from __future__ import annotations

import os
from pathlib import Path

from measure import HEAD, XDP, arguments, images_of, machine, row, run, side_by_side


def refined(folder: Path, n_frames: int) -> list[str]:
    """Refined models and spots of a series, made once."""
    images = images_of(folder, n_frames)
    work = folder / f"refined_{n_frames}"
    work.mkdir(parents=True, exist_ok=True)
    files = [str(work / name) for name in ("refined.expt", "refined.refl")]
    if not all(os.path.exists(name) for name in files):
        for line in (["import", *images, "output.compatibility=dials-3.12"], ["find_spots", "imported.expt", "nproc=2"],
                     ["index", "imported.expt", "strong.refl", "space_group=P43212"],
                     ["refine", "indexed.expt", "indexed.refl"]):
            run([XDP, *line], work)
    return files


def main() -> None:
    """Parse and run."""
    args = arguments(__doc__).parse_args()
    print(f"{machine()}\n{HEAD}")
    for frames in args.frames:
        files = refined(args.folder, frames)
        for nproc in args.nproc:
            found = side_by_side({"xdp": [[XDP, "integrate", *files, f"nproc={nproc}"]],
                                  "dials": [["dials.integrate", *files, f"nproc={nproc}"]]},
                                 args.repeat, args.folder / f"integrate_{frames}")
            print(row(f"{frames} frames, nproc={nproc}", found), flush=True)


if __name__ == "__main__":
    main()
