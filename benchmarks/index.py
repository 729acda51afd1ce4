"""xdp index and xdp refine against DIALS' commands, on the same spots, in one run.

    python benchmarks/index.py [--repeat 3] [--folder DIR]

Timed are whole commands on rot_dev (12,140 spots), nothing known of the crystal; programs take turns, the median of the
repeats counts.
"""

from __future__ import annotations

from measure import XDP, arguments, run, side_by_side
from series import SHARED


def main() -> None:
    """Parse and run."""
    args = arguments(__doc__, "xdp-benchmark-index", with_series=False).parse_args()
    work = args.folder
    work.mkdir(parents=True, exist_ok=True)
    images = sorted(map(str, (SHARED / "rot_dev" / "cbf").glob("*.cbf.gz")))
    run([XDP, "import", *images, "output.compatibility=dials-3.12"], work)
    run([XDP, "find_spots", "imported.expt"], work)
    spots = [str(work / "imported.expt"), str(work / "strong.refl")]
    run(["dials.index", *spots], work)
    indexed = [str(work / "indexed.expt"), str(work / "indexed.refl")]
    print("| command | DIALS s | xdp s | ratio |\n|---|---|---|---|")
    for name, inputs, extra in (("index", spots, []), ("refine", indexed, ["scan_varying=False"]),
                                ("refine, scan-varying", indexed, ["scan_varying=True"])):
        verb = name.split(",")[0]
        found = side_by_side({"xdp": [[XDP, verb, *inputs, *extra]], "dials": [[f"dials.{verb}", *inputs, *extra]]},
                             args.repeat, work, with_memory=False)
        dials, ours = found["dials"].wall, found["xdp"].wall
        print(f"| {name} | {dials:.1f} | {ours:.2f} | {dials / ours:.1f} |", flush=True)


if __name__ == "__main__":
    main()
