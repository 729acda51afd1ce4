"""Peak memory of xdp find_spots on series of different lengths: it must not grow with the number of frames.

    python benchmarks/memory.py [--frames 600 2400] [--nproc 1] [--folder DIR]

Each run is a process of its own, whose peak resident memory the kernel tells when it has ended (``wait4``). What the
interpreter and its libraries take before the first frame is measured by a run on one frame. `strong.refl` is written
with shoeboxes, which makes it much larger than what stays in memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from series import repeated_series

LARGEST_GROWTH = 1.20
"""Peak memory on the longest series over that on the shortest, at most."""


def peak_memory(command: list[str], cwd: Path) -> float:
    """Peak resident memory, MiB, of a command that must succeed (of its largest process, if it starts others)."""
    child = os.fork()
    if child == 0:
        os.chdir(cwd)
        log = os.open(cwd / "screen.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execv(command[0], command)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{(cwd / 'screen.txt').read_text()[-2000:]}")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[600, 2400])
    parser.add_argument("--nproc", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "xdp-benchmark")
    args = parser.parse_args()
    xdp = str(Path(sys.executable).with_name("xdp"))
    longest = max(args.frames)
    images = repeated_series(args.folder / f"images_{longest}", longest)
    work = args.folder / "memory"
    work.mkdir(parents=True, exist_ok=True)
    peak_memory([xdp, "import", *map(str, images), "output.experiments=all.expt"], work)
    print("| frames | strong.refl MiB | peak MiB |\n|---|---|---|")
    peaks = {}
    for frames in sorted({1, *args.frames}):
        peaks[frames] = peak_memory([xdp, "find_spots", "all.expt", f"scan_range=1,{frames}", f"nproc={args.nproc}"],
                                    work)
        print(f"| {frames} | {(work / 'strong.refl').stat().st_size / 2**20:.0f} | {peaks[frames]:.0f} |", flush=True)
    growth = peaks[longest] / peaks[min(args.frames)]
    print(f"{longest} frames over {min(args.frames)}: {growth:.2f}")
    if growth > LARGEST_GROWTH:
        raise SystemExit(f"grows by more than {100 * (LARGEST_GROWTH - 1):.0f} %")


if __name__ == "__main__":
    main()
