"""xdp refine against dials.refine on the same indexed files, and the time of a large refinement.

    python benchmarks/refine.py INDEXED.expt INDEXED.refl [--repeat 3] [--many 100000]

Timed is the whole command; the programs take turns after a warm-up, the median counts. Then the observations are
repeated with noise until there are as many as asked for, and one static and one scan-varying stage are timed within a
process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def timed(command: list[str], cwd: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a command that must succeed."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    after = os.times()
    return (time.perf_counter() - start,
            after.children_user - before.children_user + after.children_system - before.children_system)


def side_by_side(experiments: Path, reflections: Path, repeat: int) -> None:
    """Both programs in turns, with the default parameters and static only."""
    print(f"{'':<24}{'wall s':>8}{'CPU s':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for words in ([], ["scan_varying=False"], ["scan_varying=True"]):
            times: dict[str, list[tuple[float, float]]] = {}
            for turn in range(repeat + 1):
                for program in (["xdp", "refine"], ["dials.refine"]):
                    if shutil.which(program[0]):
                        found = timed([*program, str(experiments), str(reflections), *words], Path(folder))
                        if turn:
                            times.setdefault(" ".join([*program[-1:], *words]), []).append(found)
            for name, values in times.items():
                wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
                print(f"{name:<24}{wall:8.2f}{cpu:8.2f}")


def large(experiments: Path, reflections: Path, n: int) -> None:
    """One stage with many reflections, in this process."""
    from xdp.cli.inputs import read_pairs
    from xdp.refinement.options import Refinement
    from xdp.refinement.refine import refine_models

    models, table = read_pairs([str(experiments), str(reflections)], "refine")
    rng = np.random.default_rng(0)
    table = table.select(np.flatnonzero(table["id"] >= 0))
    many = table.select(np.sort(rng.integers(0, len(table), n)))
    xyz = many["xyzobs.px.value"] + rng.normal(size=(n, 3)) * 0.05
    many = many.with_columns(**{"xyzobs.px.value": xyz})
    for scan_varying in (False, True):
        options = Refinement.model_validate({"parameterisation": {"scan_varying": scan_varying}})
        start, cpu = time.perf_counter(), time.process_time()
        result = refine_models(models, many, options)
        print(f"{n} reflections, scan_varying={scan_varying}: {time.perf_counter() - start:.2f} s wall, "
              f"{time.process_time() - cpu:.2f} s CPU, {len(result.steps) - 1} steps in the last stage")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", type=Path)
    parser.add_argument("reflections", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--many", dest="n", type=int, default=100_000)
    options = parser.parse_args()
    experiments, reflections = options.experiments.resolve(), options.reflections.resolve()
    side_by_side(experiments, reflections, options.repeat)
    large(experiments, reflections, options.n)


if __name__ == "__main__":
    main()
