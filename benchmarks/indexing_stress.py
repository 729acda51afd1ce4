"""Indexing of random crystals from simulated spot lists: how often the indices are exactly right.

Each case is one sweep of a random crystal: Bravais type, cell from 5 to 300 Å, 5 to 180 degrees, a beam centre off by
up to 3 mm, up to 60 % spurious spots, one to three lattices. A case succeeds where each lattice is found and at least
98 % of the spots that are indexed by it have their true index, modulo the choice of axes. Seeds from 1000 are of
electron diffraction: wavelength 0.0251 Å, a beam centre off by up to 0.5 mm that drifts by 4 pixels.

    python benchmarks/indexing_stress.py 200 --save stress.json
    python benchmarks/indexing_stress.py 40 --step 5 --programs xdp dials --save stress.json   # 40 also by dials.index
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from xdp.errors import XdpError
from xdp.experiment.beam import Beam
from xdp.experiment.detector import SIMPLE, Detector, Panel
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.imageset import ImageSet
from xdp.experiment.io import read_experiments, write_experiments
from xdp.indexing.index import index_sweeps
from xdp.indexing.lattice.symmetry import make_primitive_axes
from xdp.indexing.options import Indexing, MultipleLatticeSearch
from xdp.reflections.refl import read_reflections, write_reflections
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_goniometer, make_scan
from xdp.simulation.spot_lists import (
    HALL,
    SpotList,
    draw_cell,
    draw_crystal,
    shift_experiment,
    simulate_spot_list,
)

T = TypeVar("T")  # what an attempt gives

LATTICES = tuple(HALL)
PROGRAMS = ("xdp", "dials")
DIALS_TIMEOUT = 200  # seconds of processor time, so that what else runs on the machine does not count
ELECTRONS = 1000     # seeds from here on are of electron diffraction


@dataclass(frozen=True)
class Case:
    """The particulars of one random case."""

    seed: int
    lattice: str
    cell: tuple[float, ...]
    width: float       # degrees of data
    shift: float       # mm
    spurious: float
    n_lattices: int
    n_spots: int
    kind: str = "X-rays"

    def classes(self) -> dict[str, str]:
        """The classes by which rates are reported."""
        longest = max(self.cell[:3])
        return {"kind": self.kind} if self.kind != "X-rays" else {
                "kind": self.kind, "lattice": self.lattice, "cell": _class(longest, (20, 100, 300), "A"),
                "width": _class(self.width, (15, 60, 180), "deg"), "shift": _class(self.shift, (0.5, 1.5, 3.0), "mm"),
                "spurious": _class(self.spurious, (0.2, 0.4, 0.6), ""), "lattices": str(self.n_lattices)}

def _class(value: float, limits: tuple[float, ...], unit: str) -> str:
    return f"<= {next(limit for limit in limits if value <= limit * 1.0001)} {unit}"


def make_case(seed: int) -> tuple[Case, ExperimentList, SpotList, list]:
    """Case `seed`: its particulars, the models as a header has them, the spots, and the true crystals."""
    if seed >= ELECTRONS:
        return make_electron_case(seed)
    rng = np.random.default_rng([7, seed])
    lattice = LATTICES[seed % 14]
    low, high = ((5.0, 20.0), (20.0, 100.0), (60.0, 300.0))[(seed // 14) % 3]
    cell = draw_cell(lattice, low, high, rng)
    n_lattices = int(rng.choice([1, 1, 2, 3]))
    width = float(np.exp(rng.uniform(np.log(5.0), np.log(180.0))))
    step = float(rng.choice([0.1, 0.2, 0.5]))
    crystals = [draw_crystal(lattice, cell, int(rng.integers(1 << 30))) for _ in range(n_lattices)]
    true = _experiment(high, max(cell[:3]), step, width)
    d_min = _resolution(crystals[0], high)
    n_spots = int(np.exp(rng.uniform(np.log(150.0), np.log(4000.0)))) * n_lattices
    spurious, shift = float(rng.uniform(0, 0.6)), float(rng.uniform(0, 3.0))
    spots = simulate_spot_list([_with(true, c) for c in crystals], rng, n_spots=n_spots, d_min=d_min,
                               spurious=spurious)
    angle = rng.uniform(0, 2 * np.pi)
    wrong = shift_experiment(true, (shift * np.cos(angle), shift * np.sin(angle)))
    case = Case(seed, lattice, tuple(cell), width, shift, spurious, n_lattices, len(spots.table))
    return case, ExperimentList([wrong]), spots, crystals


def make_electron_case(seed: int) -> tuple[Case, ExperimentList, SpotList, list]:
    """A case of electron diffraction: a flat Ewald sphere, 30 to 120 degrees, a beam that drifts across the detector.

    The axis lies anywhere across the beam and the header knows it.
    """
    rng = np.random.default_rng([11, seed])
    lattice, width = LATTICES[seed % 14], float(rng.uniform(30.0, 120.0))
    low, high = ((4.0, 15.0), (10.0, 40.0), (25.0, 90.0))[(seed // 14) % 3]
    crystal = draw_crystal(lattice, cell := draw_cell(lattice, low, high, rng), int(rng.integers(1 << 30)))
    true = electron_sweep(width, d_min := _resolution(crystal, high), float(rng.uniform(0.0, 2.0 * np.pi)))
    spurious, shift = float(rng.uniform(0.0, 0.4)), float(rng.uniform(0.0, 0.5))
    n_spots = int(np.exp(rng.uniform(np.log(150.0), np.log(2000.0))))
    spots = simulate_spot_list([_with(true, crystal)], rng, n_spots=n_spots, d_min=d_min, spurious=spurious)
    table, angle = spots.table, rng.uniform(0.0, 2.0 * np.pi)
    frame = table["xyzobs.px.value"][:, 2] / true.scan.n_frames
    drift = 4.0 * np.sin(np.pi * frame)[:, None] * [np.cos(angle), np.sin(angle), 0.0]  # px
    table = table.with_columns(**{"xyzobs.px.value": table["xyzobs.px.value"] + drift})
    wrong = shift_experiment(true, (shift * np.cos(angle), shift * np.sin(angle)))
    case = Case(seed, lattice, tuple(cell), width, shift, spurious, 1, len(table), "electrons")
    return case, ExperimentList([wrong]), SpotList(table, spots.crystal, spots.miller_index), [crystal]


def electron_sweep(width: float, d_min: float, azimuth: float, wavelength: float = 0.0251) -> Experiment:
    """A sweep of 0.5 degree frames on a 2048 x 2048 detector that reaches `d_min` (Å) at its edge."""
    n, pixel = 2048, 0.055
    distance = 0.5 * n * pixel / np.tan(2.0 * np.arcsin(0.5 * wavelength / d_min))
    origin = (-(n / 2 + 3.3) * pixel, (n / 2 - 2.6) * pixel, -distance)
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), origin, (n, n), (pixel, pixel), (0.0, 1e6), type="SENSOR_PAD",
                  px_mm_strategy=SIMPLE)
    goniometer = Goniometer(rotation_axis=(float(np.cos(azimuth)), float(-np.sin(azimuth)), 0.0))
    images = ImageSet("ImageSequence", template="simulated_####.cbf")
    return Experiment(beam=Beam.along_z(wavelength), detector=Detector((panel,)), goniometer=goniometer,
                      scan=make_scan(int(width / 0.5), 0.5), imageset=images)


def _with(experiment: Experiment, crystal: object) -> Experiment:
    from dataclasses import replace

    return replace(experiment, crystal=crystal)


def _experiment(class_high: float, longest: float, step: float, width: float) -> Experiment:
    wavelength, distance = (0.6889, 150.0) if class_high <= 20.0 else (0.9795, max(200.0, 1.1 * longest))
    fast, slow, pixel = 1475, 1679, 0.172
    origin = (-(fast / 2 + 3.3) * pixel, (slow / 2 - 2.6) * pixel, -distance)
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), origin, (fast, slow), (pixel, pixel), (0.0, 1e6),
                  type="SENSOR_PAD", px_mm_strategy=SIMPLE)
    n = max(int(width / step), 2)
    images = ImageSet("ImageSequence", template="simulated_####.cbf")
    return Experiment(beam=make_beam(wavelength), detector=Detector((panel,)), goniometer=make_goniometer(),
                      scan=make_scan(n, step), imageset=images)


def _resolution(crystal: object, class_high: float) -> float:
    """A resolution limit with at most some 10^5 reflections in the sphere."""
    volume = 1.0 / abs(np.linalg.det(crystal.A))
    return max(0.75 if class_high <= 20.0 else 1.8, (4.19 * volume / 1.5e5) ** (1 / 3))


def judge(spots: SpotList, crystals: list, experiments: ExperimentList, table: ReflectionTable) -> tuple[bool, str]:
    """Whether every true crystal is found with exact indices; and a word on what came out.

    Rows of `table` are matched to the simulated spots by position.
    """
    rows = _match(spots.table["xyzobs.px.value"], table["xyzobs.px.value"])
    ids, hkl = table["id"][rows], table["miller_index"][rows]
    notes, taken = [], set()
    for number, crystal in enumerate(crystals):
        mine = spots.crystal == number
        centring = crystal.space_group.centring_type()
        true = np.linalg.inv(make_primitive_axes(crystal.real_space_matrix, centring))
        best = (0.0, 0.0, -1)
        for k, e in enumerate(experiments):
            found = _primitive(e.crystal)          # axes in rows
            m = np.round(found @ true).astype(int)  # indices(found, primitive) = m @ indices(true, primitive)
            if abs(round(np.linalg.det(m))) != 1:
                continue
            p_true = make_primitive_axes(np.eye(3), centring)
            p_found = make_primitive_axes(np.eye(3), e.crystal.space_group.centring_type())
            expected = spots.miller_index @ p_true.T @ m.T
            came = hkl @ p_found.T
            assigned = ids == k
            right = assigned & mine & (np.abs(expected - came).max(axis=1) < 0.1)
            best = max(best, (right.sum() / max(mine.sum(), 1), right.sum() / max((assigned & mine).sum(), 1), k))
        good = best[0] >= 0.8 and best[1] >= 0.98 and best[2] not in taken
        if good:
            taken.add(best[2])
        notes.append(f"{best[0]:.2f}/{best[1]:.2f}" if good else f"({best[0]:.2f}/{best[1]:.2f})")
    return all(not n.startswith("(") for n in notes), " ".join(notes)


def _primitive(crystal: object) -> np.ndarray:
    return make_primitive_axes(crystal.real_space_matrix, crystal.space_group.centring_type())


def _match(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    """For each wanted position the row of the table at that position."""
    from scipy.spatial import cKDTree

    return cKDTree(there).query(wanted)[1]


def run_xdp(case: Case, experiments: ExperimentList, spots: SpotList) -> tuple[ExperimentList, ReflectionTable]:
    """Index in this process with nothing known but the number of lattices."""
    options = Indexing(multiple_lattice_search=MultipleLatticeSearch(max_lattices=case.n_lattices))
    result = index_sweeps(experiments, spots.table, options)
    return result.experiments, result.reflections


def run_dials(case: Case, experiments: ExperimentList, spots: SpotList) -> tuple[ExperimentList, ReflectionTable]:
    """The same by dials.index."""
    with tempfile.TemporaryDirectory() as folder:
        write_experiments(Path(folder) / "i.expt", experiments)
        write_reflections(Path(folder) / "s.refl", spots.table)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        command = ["prlimit", f"--cpu={DIALS_TIMEOUT}", "dials.index", "i.expt", "s.refl",
                   f"max_lattices={case.n_lattices}"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            raise XdpError(f"timeout after {DIALS_TIMEOUT} s")
        if done.returncode:
            raise XdpError((done.stdout + done.stderr).strip().splitlines()[-1])
        return read_experiments(Path(folder) / "indexed.expt"), read_reflections(Path(folder) / "indexed.refl")


def attempt(run, made: tuple) -> tuple[bool, str, float]:
    """One program on one case: success, a note, seconds."""
    case, experiments, spots, crystals = made
    begin = time.perf_counter()
    try:
        ok, note = judge(spots, crystals, *run(case, experiments, spots))
    except XdpError as error:
        ok, note = False, str(error)[:90]
    return ok, note, time.perf_counter() - begin


def report(rows: list[dict]) -> None:
    """Rates by class for each program."""
    programs = [p for p in PROGRAMS if any(p in r for r in rows)]
    groups: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for row in rows:
        for name, value in {**row["classes"], "all": ""}.items():
            groups[name, value].append(row)
    for (name, value), members in sorted(groups.items()):
        text = f"{name:9s} {value:10s}"
        for p in programs:
            done = [r[p][0] for r in members if p in r]
            both = [r for r in members if "dials" in r]
            text += f"  {p} {sum(done):3d} of {len(done):3d}" if done else ""
            if p == "xdp" and "dials" in programs and both:
                text += f" (on the sample {sum(r['xdp'][0] for r in both):2d} of {len(both):2d})"
        print(text)


@contextlib.contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Hold a lock on a file, if one is named."""
    if path is None:
        yield
        return
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def load(path: Path | None) -> dict[int, dict]:
    """The rows that were saved, by seed; a later row of a seed adds to an earlier one."""
    rows: dict[int, dict] = {}
    for line in path.read_text().splitlines() if path and path.exists() else []:
        row = json.loads(line)
        rows[row["case"]["seed"]] = rows.get(row["case"]["seed"], {}) | row
    return rows


def run_case(seed: int, programs: Sequence[str], old: dict) -> dict:
    """The row of one case with the results of the programs that `old` lacks; printed."""
    made = make_case(seed)
    row = old | {"case": asdict(made[0]), "classes": made[0].classes()}
    for program in programs:
        if program not in row:
            row[program] = attempt({"xdp": run_xdp, "dials": run_dials}[program], made)
    c = made[0]
    cell = " ".join(f"{v:.1f}" for v in c.cell)
    print(f"{seed:4d} {c.lattice} {cell} {c.width:.0f} deg {c.shift:.1f} mm {c.spurious:.0%} x{c.n_lattices} "
          f"{c.n_spots} spots:", *(f"{p} {row[p]}" for p in PROGRAMS if p in row), flush=True)
    return row


def run_cases(attempt: Callable[[int], T], n_cases: int, doc: str | None) -> list[T]:
    """Run the cases that the command line names; also for the benchmarks beside this one.

    Parameters
    ----------
    attempt : callable
        Runs a case by its seed and prints it.
    n_cases : int
        How many, if the command line does not say.
    doc : str
        What ``--help`` prints.

    Returns
    -------
    list
        What the attempts gave; empty for one case alone, which is run with its log.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("cases", type=int, nargs="?", default=n_cases)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case, with its log")
    arguments = parser.parse_args()
    if arguments.only is not None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        attempt(arguments.only)
        return []
    return [attempt(seed) for seed in range(arguments.first, arguments.first + arguments.cases)]


def main() -> None:
    """Run the cases, print each and the rates by class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=int, nargs="?", default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1, help="take every so many-th seed")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=["xdp"])
    parser.add_argument("--only", type=int, help="one case, with its log")
    parser.add_argument("--save", type=Path, help="JSON, one line a case; what is there is not run again")
    parser.add_argument("--lock", type=Path, help="a file that is locked while a case runs, for a shared machine")
    arguments = parser.parse_args()
    numbers = range(arguments.first, arguments.first + arguments.cases * arguments.step, arguments.step)
    if arguments.only is not None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        numbers = range(arguments.only, arguments.only + 1)
    rows = load(arguments.save)
    for seed in numbers:
        old = rows.get(seed, {})
        if all(p in old for p in arguments.programs):
            continue
        with locked(arguments.lock):
            rows[seed] = run_case(seed, arguments.programs, old)
        if arguments.save:
            with arguments.save.open("a") as out:
                out.write(json.dumps(rows[seed], default=str) + "\n")
    report(list(rows.values()))


if __name__ == "__main__":
    main()
