"""xdp process against DIALS' five commands, from images to integrated intensities, in one run.

    python benchmarks/process.py [--frames 60 600] [--nproc 1 2] [--repeat 3] [--folder DIR]

60 frames are rot_dev, more are a simulated series of half degrees; the space group is given to both. DIALS' time is the
sum of dials.import, find_spots, index, refine and integrate; ours is that of one command, which exports an MTZ file in
addition. Images are in the page cache and kernels compiled; programs take turns, the median of the repeats counts.
Memory is the peak of all processes of a command.
"""

from __future__ import annotations

from pathlib import Path

from measure import HEAD, XDP, arguments, images_of, machine, row, side_by_side


def dials_commands(template: str, nproc: int) -> list[list[str]]:
    """What a user of DIALS types."""
    mp = f"nproc={nproc}"
    return [["dials.import", f"template={template}"], ["dials.find_spots", "imported.expt", mp],
            ["dials.index", "imported.expt", "strong.refl", "space_group=P43212"],
            ["dials.refine", "indexed.expt", "indexed.refl"],
            ["dials.integrate", "refined.expt", "refined.refl", mp]]


def main() -> None:
    """Parse and run."""
    args = arguments(__doc__).parse_args()
    print(f"{machine()}\n{HEAD}")
    for frames in args.frames:
        images = images_of(args.folder, frames)
        digits = len(Path(images[0]).stem.rpartition("_")[2])
        template = f"{images[0].rpartition('_')[0]}_{'#' * digits}.cbf"
        for nproc in args.nproc:
            ours = [XDP, "process", template, "space_group=P43212", f"mp.nproc={nproc}"]
            found = side_by_side({"xdp": [ours], "dials": dials_commands(template, nproc)}, args.repeat,
                                 args.folder / f"process_{frames}")
            print(row(f"{frames} frames, nproc={nproc}", found), flush=True)


if __name__ == "__main__":
    main()
