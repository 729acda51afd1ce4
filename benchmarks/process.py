"""xdp process against DIALS' five commands, from images to integrated intensities, in one run.

    python benchmarks/process.py [--frames 60 600] [--nproc 1 2] [--repeat 3] [--folder DIR]

60 frames are rot_dev, more are a simulated series of half degrees; the space group is given to both. DIALS' time is the
sum of dials.import, find_spots, index, refine and integrate; ours is that of one command, which exports an MTZ file in
addition. Images are in the page cache and kernels compiled; programs take turns, the median of the repeats counts.
Memory is the peak of all processes of a command.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

from measure import HEAD, XDP, row, side_by_side, simulated_series
from series import repeated_series


def dials_commands(template: str, nproc: int) -> list[list[str]]:
    """What a user of DIALS types."""
    mp = f"nproc={nproc}"
    return [["dials.import", f"template={template}"], ["dials.find_spots", "imported.expt", mp],
            ["dials.index", "imported.expt", "strong.refl", "space_group=P43212"],
            ["dials.refine", "indexed.expt", "indexed.refl"],
            ["dials.integrate", "refined.expt", "refined.refl", mp]]


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 600])
    parser.add_argument("--nproc", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "xdp-benchmark")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores\n{HEAD}")
    for frames in args.frames:
        images = list(map(str, repeated_series(args.folder / "images_60", 60))) if frames == 60 \
            else simulated_series(args.folder, frames)
        digits = len(Path(images[0]).stem.rpartition("_")[2])
        template = f"{images[0].rpartition('_')[0]}_{'#' * digits}.cbf"
        for nproc in args.nproc:
            ours = [XDP, "process", template, "space_group=P43212", f"mp.nproc={nproc}"]
            found = side_by_side({"xdp": [ours], "dials": dials_commands(template, nproc)}, args.repeat,
                                 args.folder / f"process_{frames}")
            print(row(f"{frames} frames, nproc={nproc}", found), flush=True)


if __name__ == "__main__":
    main()
