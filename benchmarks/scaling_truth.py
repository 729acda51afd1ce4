"""Scale and merge simulated tables, and compare the merged intensities with the truth; DIALS beside it.

    python benchmarks/scaling_truth.py [plain absorb jumps_s weak_s ...] [--dials] [--folder FOLDER]

The tables are drawn by `shared/tools/merging/tables.py`, the merged files judged by `measure.py` beside it; both need
the Python that has DIALS. CPU seconds are user and system time of whole commands.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "shared" / "tools" / "merging"
SYSTEM_PYTHON = os.environ.get("XDP_DIALS_PYTHON", "/usr/bin/python3")
SETS = ("plain", "absorb", "jumps_s", "weak_s", "decay_s", "multi_s")


def run(words: list[str], folder: Path) -> tuple[str, float]:
    """Run a command; what it prints, and its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def draw(name: str, folder: Path) -> None:
    """Draw a table, unless it is there."""
    if not (folder / f"{name}.refl").exists():
        environment = {**os.environ, "OUT": str(folder)}
        subprocess.run([SYSTEM_PYTHON, str(TOOLS / "tables.py"), name], env=environment, check=True,
                       stdout=subprocess.DEVNULL)


def measure(name: str, folder: Path, program: str) -> None:
    """Scale and merge with one of the programs, and print its figures."""
    xdp = [str(Path(sys.executable).with_name("xdp"))] if program == "xdp" else []
    extra = [] if xdp else ["output.html=None"]
    command = (lambda verb: [*xdp, verb]) if xdp else (lambda verb: [f"dials.{verb}"])
    work = folder / f"{name}_{program}"
    work.mkdir(exist_ok=True)
    _, scaling = run([*command("scale"), f"../{name}.expt", f"../{name}.refl", *extra], work)
    _, merging = run([*command("merge"), "scaled.expt", "scaled.refl", *extra], work)
    print(f"{program}: scale {scaling:.1f} s, merge {merging:.1f} s of CPU")
    print(run([SYSTEM_PYTHON, str(TOOLS / "measure.py"), "merged.mtz", name], work)[0], flush=True)


def main() -> None:
    """Read the arguments, and measure each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=SETS, help="recipes of tables.py")
    parser.add_argument("--dials", action="store_true", help="run DIALS as well")
    parser.add_argument("--folder", type=Path, help="where tables are kept; by default a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        for name in arguments.sets:
            draw(name, folder)
            for program in ("xdp", "dials") if arguments.dials else ("xdp",):
                measure(name, folder, program)


if __name__ == "__main__":
    main()
