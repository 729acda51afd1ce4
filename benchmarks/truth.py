"""Integrated intensities against the truth on fourteen simulated sets, and beside DIALS on six of them.

    python benchmarks/truth.py [NAME ...] [--dials] [--scale] [--folder DIR] [--redo] [--table]

Each set is drawn, and processed with xdp's commands without further help: find_spots, index, refine, integrate. The
figures of each go to NAME/result.json below the folder; `--table` prints the tables of all that are there. `--dials`
runs dials.integrate on the models and spots of xdp refine, and compares common reflections. `--scale` runs dials.scale
and dials.merge on the results of both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import ENVIRONMENT, XDP, arguments
from truth_merged import compare_merged
from truth_sets import SETS, draw_set
from truth_statistics import (
    BINS,
    collect_rows,
    compare_rows,
    list_failures,
    load_truth,
)

from xdp.reflections.refl import read_reflections

KINDS = ("sum", "prf")


def call(words: list[str], folder: Path) -> float:
    """Run a command that must succeed, what it says in a file; returns its seconds."""
    start = time.perf_counter()
    with open(folder / f"{Path(words[0]).name}_{words[1]}.out".replace("/", "_"), "w") as screen:
        status = subprocess.run(words, cwd=folder, env=ENVIRONMENT, stdout=screen, stderr=screen, check=False)
    if status.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{Path(screen.name).read_text()[-2000:]}")
    return time.perf_counter() - start


def process_set(name: str, folder: Path, *, extra: list[str]) -> dict[str, float]:
    """Run xdp's commands on a drawn set, as far as their results are not there; seconds of each."""
    one, seconds = SETS[name], {}
    images = sorted(folder.glob("image_*.cbf"))
    if images and not (folder / "header.expt").exists():
        # DIALS takes models from headers: so does xdp, to start from the same
        call([XDP, "import", *map(str, images), "output.experiments=header.expt", "output.compatibility=dials-3.12"],
             folder)
    start = "header.expt" if images else "imported.expt"
    steps = {"find_spots": [start], "index": [start, "strong.refl", f"space_group={one.space_group}", *one.index],
             "refine": ["indexed.expt", "indexed.refl"], "integrate": ["refined.expt", "refined.refl", *extra]}
    results = {"find_spots": "strong.refl", "index": "indexed.refl", "refine": "refined.refl"}
    for step, words in steps.items():
        if step == "integrate" or not (folder / results[step]).exists():
            shutil.rmtree(folder / "integrated.work", ignore_errors=True)
            seconds[step] = call([XDP, step, *words], folder)
    return seconds


def measure_set(name: str, folder: Path) -> dict[str, Any]:
    """The figures of an integrated set, with its profile models."""
    table, truth = read_reflections(folder / "integrated.refl"), load_truth(folder)
    experiments = json.loads((folder / "integrated.expt").read_text())
    return {"spots": len(read_reflections(folder / "strong.refl")), "physics": SETS[name].physics,
            "profile": experiments.get("profile", []),
            "xdp": {kind: compare_rows(collect_rows(table, kind, truth)) for kind in KINDS}}


def compare_programs(folder: Path) -> dict[str, Any]:
    """The same reflections of both programs: CC, weak third, shells and b of fits and sums."""
    truth = load_truth(folder)
    tables = {"xdp": read_reflections(folder / "integrated.refl"),
              "dials": read_reflections(folder / "dials" / "integrated.refl")}
    found: dict[str, Any] = {}
    for kind in KINDS:
        rows = {program: collect_rows(table, kind, truth) for program, table in tables.items()}
        common = np.intersect1d(*(np.unique(each["match"]) for each in rows.values()))
        picked = {}
        for program, each in rows.items():
            first = np.unique(each["match"], return_index=True)
            index = first[1][np.isin(first[0], common)]
            picked[program] = {key: values[index] for key, values in each.items()}
        found[kind] = {program: compare_rows(each) for program, each in picked.items()}
        found[kind]["difference"] = resample_difference(picked)
    return found


def resample_difference(picked: dict[str, dict[str, np.ndarray]], repeats: int = 100) -> dict[str, list[float]]:
    """Ours less theirs in CC and weak third, with the standard error of resampled reflections."""
    rng, found = np.random.default_rng(0), []
    n = len(picked["xdp"]["i"])
    for repeat in range(repeats + 1):
        rows = np.arange(n) if repeat == 0 else rng.integers(0, n, n)
        each = []
        for program in ("xdp", "dials"):
            i, true = picked[program]["i"][rows], picked[program]["true"][rows]
            weak = true < np.quantile(true, 1 / 3)
            each.append([np.corrcoef(i, true)[0, 1], np.corrcoef(i[weak], true[weak])[0, 1]])
        found.append(np.subtract(*each))
    values = np.array(found)
    return {name: [float(values[0, k]), float(values[1:, k].std())] for k, name in enumerate(("cc", "weak"))}


def run_set(name: str, args: argparse.Namespace) -> None:
    """Draw, process and measure one set, and keep its figures."""
    folder = args.folder / name
    path = folder / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    if args.redo or not (folder / "truth.npz").exists():
        shutil.rmtree(folder, ignore_errors=True)
        start = time.perf_counter()
        draw_set(SETS[name], folder)
        print(f"{name}: drawn in {time.perf_counter() - start:.0f} s", flush=True)
    seconds = process_set(name, folder, extra=args.words.split())
    result |= measure_set(name, folder) | {"seconds": seconds}
    if SETS[name].dials and (args.dials or args.scale):
        (folder / "dials").mkdir(exist_ok=True)
        if not (folder / "dials" / "integrated.refl").exists():
            call(["dials.integrate", "../refined.expt", "../refined.refl", "nproc=1"], folder / "dials")
        result["programs"] = compare_programs(folder)
        if args.scale:
            result["merged"] = compare_merged(folder, call)
    path.write_text(json.dumps(result, indent=1))
    print(describe(name, result), flush=True)


def describe(name: str, result: dict[str, Any]) -> str:
    """A set's figures in a few lines."""
    lines = [f"{name}: {result['spots']} spots; seconds {result['seconds']}",
             f"  profile {json.dumps(result['profile'])[:400]}"]
    for kind in KINDS:
        figures = result["xdp"][kind]
        if "cc" not in figures:
            lines.append(f"  {kind} n {figures['n']}")
            continue
        lines += [f"  {kind} n {figures['n']} scale {figures['scale']:.3f} CC {figures['cc']:.5f} weak "
                  f"{figures['weak']:.4f} b {figures['b']}",
                  "   I/true " + " ".join(f"{s['low']:.2f}: {s['ratio']:.3f}({s['error']:.3f})"
                                           for s in figures["shells"]),
                  "   pulls " + " ".join(f"<{high:g}: {p['width']:.2f} {p['median']:+.2f}"
                                          for p, high in zip(figures["pulls"], BINS[1:], strict=True) if p),
                  "   off: " + ("; ".join(list_failures(figures)) or "nothing")]
    for kind, each in result.get("programs", {}).items():
        for program in ("xdp", "dials"):
            f = each[program]
            lines.append(f"  common {kind} {program}: n {f['n']} CC {f['cc']:.5f} weak {f['weak']:.4f} b {f['b']}"
                         " I/true " + " ".join(f"{s['ratio']:.3f}" for s in f["shells"]) + " pulls "
                         + " ".join(f"{p['width']:.2f}" for p in f["pulls"] if p))
        lines.append(f"    difference {each['difference']}")
    if "merged" in result:
        lines.append(f"  merged {json.dumps(result['merged'])}")
    return "\n".join(lines)


def main() -> None:
    """Parse and run."""
    parser = arguments(__doc__, "xdp-truth", with_series=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--dials", action="store_true")
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--redo", action="store_true", help="draw again")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--words", default="", help="further words for xdp integrate")
    args = parser.parse_args()
    for name in args.names or ([] if args.table else list(SETS)):
        run_set(name, args)
    if args.table:
        from truth_tables import print_tables
        print_tables(args.folder)


if __name__ == "__main__":
    main()
