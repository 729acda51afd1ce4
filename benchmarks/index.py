"""xdp index and xdp refine against DIALS' commands, on the same spots, in one run.

    python benchmarks/index.py [--repeat 3] [--folder DIR]

Timed are whole commands on rot_dev (12,140 spots), nothing known of the crystal; programs take turns, the median of the
repeats counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from find_spots import side_by_side, timed
from series import SHARED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "xdp-benchmark-index")
    args = parser.parse_args()
    work = args.folder
    work.mkdir(parents=True, exist_ok=True)
    xdp = str(Path(sys.executable).with_name("xdp"))
    images = sorted(map(str, (SHARED / "rot_dev" / "cbf").glob("*.cbf.gz")))
    timed([xdp, "import", *images, "output.compatibility=dials-3.12"], work)
    timed([xdp, "find_spots", "imported.expt"], work)
    spots = [str(work / "imported.expt"), str(work / "strong.refl")]
    timed(["dials.index", *spots], work)
    indexed = [str(work / "indexed.expt"), str(work / "indexed.refl")]
    print("| command | DIALS s | xdp s | ratio |\n|---|---|---|---|")
    for name, inputs, extra in (("index", spots, []), ("refine", indexed, ["scan_varying=False"]),
                                ("refine, scan-varying", indexed, ["scan_varying=True"])):
        verb = name.split(",")[0]
        found = side_by_side({"xdp": [xdp, verb, *inputs, *extra], "dials": [f"dials.{verb}", *inputs, *extra]},
                             args.repeat, work)
        print(f"| {name} | {found['dials']:.1f} | {found['xdp']:.2f} | {found['dials'] / found['xdp']:.1f} |",
              flush=True)


if __name__ == "__main__":
    main()
