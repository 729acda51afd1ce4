"""Time and memory of whole commands, which take turns."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# users have compiled modules: to compile ours anew took each integrate 0.6 to 1 s of CPU
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)
XDP = str(Path(sys.executable).with_name("xdp"))
_PAUSE = 0.05  # seconds between two looks at the memory


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds, and peak memory in MiB of all processes together (shared pages counted once)."""

    wall: float
    cpu: float
    memory: float


def arguments(doc: str, folder: str = "xdp-benchmark", *, with_series: bool = True) -> argparse.ArgumentParser:
    """The parser that benchmarks share: repeats, folder, and with `with_series` numbers of frames and processes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if with_series:
        parser.add_argument("--frames", type=int, nargs="+", default=[60, 600])
        parser.add_argument("--nproc", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / folder)
    return parser


def machine() -> str:
    """Processor and number of cores."""
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def run(command: list[str], cwd: Path, *, with_memory: bool = True) -> Cost:
    """Run a command that must succeed; without memory (0 then) nobody looks at it while it runs."""
    before, start = os.times(), time.perf_counter()
    with open(cwd / "screen.txt", "w") as screen:
        child = subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdout=screen, stderr=screen)
        peaks: list[float] = [0.0]
        watcher = threading.Thread(target=_watch, args=(child, peaks), daemon=True)
        if with_memory:
            watcher.start()
        status = child.wait()
    wall = time.perf_counter() - start
    if with_memory:
        watcher.join()
    if status:
        raise SystemExit(f"{' '.join(command[:4])} failed:\n{(cwd / 'screen.txt').read_text()[-2000:]}")
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Cost(wall, cpu, peaks[0])


def side_by_side(commands: dict[str, list[list[str]]], repeat: int, folder: Path, *, with_memory: bool = True
                 ) -> dict[str, Cost]:
    """Medians of the summed costs of each program's commands, in turns after one warm-up; memory: the largest.

    Each program has a folder of its own below `folder`, emptied before each turn.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(repeat + 1):
        for name, lines in commands.items():
            place = folder / name
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            each = [run(line, place, with_memory=with_memory) for line in lines]
            if turn:
                costs[name].append(Cost(sum(c.wall for c in each), sum(c.cpu for c in each),
                                        max(c.memory for c in each)))
    return {name: Cost(*(statistics.median(getattr(c, field) for c in found) for field in ("wall", "cpu", "memory")))
            for name, found in costs.items()}


def row(name: str, found: dict[str, Cost]) -> str:
    """A row of the table of :data:`HEAD`."""
    theirs, ours = found["dials"], found["xdp"]
    return (f"| {name} | {theirs.wall:.2f} | {ours.wall:.2f} | {theirs.wall / ours.wall:.1f} | {theirs.cpu:.1f} | "
            f"{ours.cpu:.1f} | {theirs.memory:.0f} | {ours.memory:.0f} |")


HEAD = ("| | DIALS s | xdp s | ratio | DIALS CPU s | xdp CPU s | DIALS MiB | xdp MiB |\n"
        "|---|---|---|---|---|---|---|---|")


def images_of(folder: Path, n_frames: int) -> list[str]:
    """Images of rot_dev where 60 frames are wanted, else of a simulated crystal."""
    from series import repeated_series

    if n_frames == 60:
        return list(map(str, repeated_series(folder / "images_60", 60)))
    return simulated_series(folder, n_frames)


def simulated_series(folder: Path, n_frames: int) -> list[str]:
    """Images of a simulated lysozyme crystal, half a degree each, on a Pilatus-like detector of 981 x 831 pixels."""
    from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan, simulate_rotation
    from xdp.simulation.write import write_minicbf_series

    images = folder / f"simulated_{n_frames}"
    made = sorted(map(str, images.glob("series_*.cbf")))
    if len(made) != n_frames:
        images.mkdir(parents=True, exist_ok=True)
        models = make_crystal(orientation=3), make_beam(), make_detector((981, 831), distance=165.0), make_goniometer()
        simulation = simulate_rotation(*models, make_scan(n_frames, 0.5), seed=3)
        made = [str(path) for path in write_minicbf_series(simulation, images, "series")]
    return made


def _watch(child: subprocess.Popen, peaks: list[float]) -> None:
    """Keep the largest memory of a process and those below it until it has ended."""
    while child.poll() is None:
        peaks[0] = max(peaks[0], sum(_memory(pid) for pid in _family(child.pid)))
        time.sleep(_PAUSE)


def _family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    try:
        below = [int(word) for task in Path(f"/proc/{pid}/task").iterdir()
                 for word in (task / "children").read_text().split()]
    except OSError:
        return
    for one in below:
        yield from _family(one)


def _memory(pid: int) -> float:
    """MiB of a process, pages shared with others by their share; 0 for one that has gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Pss:")), 0.0)
