"""Find the symmetry of simulated tables, and compare it with the truth: rates, and the calibration of probabilities.

    python benchmarks/symmetry_truth.py [--first 0] [--count 300] [--show] [--dials]

Table number N is always the same. Half of the tables have no trap; the others are twins, near-symmetric, have a
pseudo-translation, or the metric of a higher lattice. Widths are 5 to 180 degrees, mean I/sigma is 0.7 to 20, and the
resolution 0.8 to 4 Å. With ``--dials`` `dials.symmetry` runs on the same files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import xdp
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.lattice.symmetry import find_space_group
from xdp.intensities.lattice import list_proper_rotations, move_rotations
from xdp.reflections.table import ReflectionTable
from xdp.simulation.integrated import IntegratedOptions, simulate_integrated
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.symmetry.find import Symmetrized, find_symmetry

#: Space groups by lattice: shape of the cell (axes relative to the shortest, angles) and Hall symbol of the centring.
FAMILIES = {
    "P1": ((1, 1.17, 1.41, 82, 97, 103), " P 1"), "P2": ((1, 1.23, 1.48, 90, 101, 90), " P 1"),
    "C2": ((1.7, 1.0, 1.3, 90, 106, 90), " C 2y"), "P222": ((1, 1.19, 1.43, 90, 90, 90), " P 1"),
    "C222": ((1, 1.53, 1.31, 90, 90, 90), " C 2 2"), "I222": ((1, 1.23, 1.47, 90, 90, 90), " I 2 2"),
    "F222": ((1.4, 1.7, 2.1, 90, 90, 90), " F 2 2"), "P4": ((1, 1, 1.37, 90, 90, 90), " P 1"),
    "I4": ((1.2, 1.2, 1.9, 90, 90, 90), " I 2 2"), "P3": ((1, 1, 1.31, 90, 90, 120), " P 1"),
    "R3": ((1.5, 1.5, 1.3, 90, 90, 120), " R 3"), "P23": ((1.2, 1.2, 1.2, 90, 90, 90), " P 1"),
    "I23": ((1.6, 1.6, 1.6, 90, 90, 90), " I 2 2"), "F23": ((2, 2, 2, 90, 90, 90), " F 2 2")}
GROUPS = {
    "P1": ["P1"], "P2": ["P2", "P21"], "C2": ["C2"], "P222": ["P222", "P2221", "P21212", "P212121"],
    "C222": ["C222", "C2221"], "I222": ["I222", "I212121"], "F222": ["F222"],
    "P4": ["P4", "P41", "P42", "P422", "P4212", "P4122", "P41212", "P4222", "P42212", "P43212"],
    "I4": ["I4", "I41", "I422", "I4122"],
    "P3": ["P3", "P31", "P312", "P321", "P3121", "P3112", "P3221", "P6", "P61", "P62", "P63", "P622", "P6122", "P6222",
           "P6322", "P6522"],
    "R3": ["R3", "R32"], "P23": ["P23", "P213", "P432", "P4132", "P4232"], "I23": ["I23", "I213", "I432", "I4132"],
    "F23": ["F23", "F432", "F4132"]}
#: Traps: space groups, and an index that a rotation of the lattice, none of the group, takes h,k,l to.
LAWS = [("P4", "P4", "k,h,-l"), ("P4", "P41", "k,h,-l"), ("P3", "P3", "-h,-k,l"), ("P3", "P31", "k,h,-l"),
        ("P3", "P321", "-h,-k,l"), ("P3", "P312", "-h,-k,l"), ("P3", "P6", "k,h,-l"), ("P222", "P2", "h,-k,-l"),
        ("P222", "P21", "h,-k,-l"), ("P23", "P23", "k,h,-l"), ("P23", "P213", "k,h,-l"), ("R3", "R3", "k,h,-l"),
        ("I4", "I4", "k,h,-l")]
TRAPS = ("twin", "near", "translation", "metric")


@dataclass(frozen=True)
class Case:
    """What a table is drawn with."""

    number: int
    family: str
    group: str
    width: float
    d_min: float
    counts: float
    trap: str = ""
    structure: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        extra = " ".join(f"{k}={v}" for k, v in self.structure.items() if k != "space_group")
        return (f"{self.number:4d} {self.group:8s} {self.width:5.0f} deg {self.d_min:4.1f} A counts {self.counts:6.1f} "
                f"{self.trap} {extra}")


def draw_case(number: int) -> Case:
    """Draw what the table of a number has."""
    rng = np.random.default_rng(1000 + number)
    # logarithmic: 5 to 180 degrees, 0.8 to 4 Å, I/sigma about 0.7 to 20
    width = float(np.round(5.0 * 36.0 ** rng.random()))
    d_min = float(0.8 * 5.0 ** rng.random())
    counts = float(6.0 * 200.0 ** rng.random())
    family = list(GROUPS)[number % len(GROUPS)]
    group = str(rng.choice(GROUPS[family]))
    trap = TRAPS[number // 2 % len(TRAPS)] if number % 2 else ""
    structure: dict[str, Any] = {}
    if trap in ("twin", "near"):
        family, group, law = LAWS[int(rng.integers(len(LAWS)))]
        structure = {"near_rotation": law, "near_correlation": float(np.round(rng.uniform(0.3, 0.95), 2))}
        if trap == "twin":
            structure = {"twin_law": law, "twin_fraction": float(np.round(rng.uniform(0.1, 0.5), 2))}
            if rng.random() < 0.25:
                structure["twin_fraction"] = 0.5
    if trap == "translation":
        vectors = [(0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5), (0.5, 0.5, 0.5)]
        structure = {"translation": tuple(float(v) for v in rng.choice(vectors)),
                     "translation_rest": float(np.round(rng.uniform(0.1, 0.4), 2))}
        family, group = [("P222", "P212121"), ("P2", "P21"), ("P222", "P222"), ("P1", "P1")][int(rng.integers(4))]
    if trap == "metric":
        family, group = [("P222", "P21"), ("P222", "P2"), ("P4", "P222"), ("P4", "P212121"), ("P23", "P4"),
                         ("P23", "P222"), ("P3", "C2221")][int(rng.integers(6))]
    return Case(number, family, group, width, d_min, counts, trap, {"space_group": group, **structure})


def draw_table(case: Case) -> tuple[ExperimentList, ReflectionTable]:
    """Draw the table of a case: about 2 000 to 40 000 rows."""
    shape, hall = FAMILIES[case.family]
    edge = 16.0 * case.d_min + 6.0
    cell = (*(edge * v for v in shape[:3]), *(float(v) for v in shape[3:]))
    half = 0.172 * 130.0  # mm, of the detector
    angle = 2.0 * np.arcsin(min(0.9795 / (2.0 * case.d_min), 0.62))
    crystal = make_crystal(cell, hall, orientation=case.number + 1)
    experiment = Experiment(
        identifier="sweep", beam=make_beam(), detector=make_detector((300, 260), distance=half / np.tan(angle)),
        goniometer=make_goniometer(), scan=make_scan(max(2, round(case.width)), case.width / max(2, round(case.width))),
        crystal=crystal)
    options = IntegratedOptions(
        d_min=case.d_min, counts=case.counts, background=20.0, wilson_b=4.0 * case.d_min**2, jitter=0.03, volume=0.15,
        attenuation=0.3, instrument=0.02, outliers=0.002, structure=case.structure)
    models = ExperimentList([experiment])
    return models, simulate_integrated(models, options, case.number + 1)[0]


def is_right(case: Case, crystal: Any, change: np.ndarray) -> bool:
    """Whether a crystal, on axes ``change @ true axes``, has the rotations of the truth."""
    true = {tuple(np.round(r, 3).ravel()) for r in list_proper_rotations(find_space_group(case.group)).astype(float)}
    found = change.T @ list_proper_rotations(crystal.space_group) @ np.linalg.inv(change).T
    return {tuple(np.round(r, 3).ravel() + 0.0) for r in found} == true


def names_truth(case: Case, found: Symmetrized) -> bool:
    """Whether the true space group is among those that are named."""
    return find_space_group(case.group).number in {find_space_group(n).number for n in found.verdict.space_groups}


def list_bins(cases: list[Case], results: list[Symmetrized]) -> list[tuple[float, int, float]]:
    """Calibration: in ten bins of probability, the mean probability of groups, their number, and how many are true."""
    p, hit = [], []
    for case, found in zip(cases, results, strict=True):
        true = move_rotations(list_proper_rotations(find_space_group(case.group)),
                              np.linalg.inv(found.lattice.from_input))
        wanted = {r.tobytes() for r in true} if true is not None else set()
        for group, probability in zip(found.posterior.groups, found.posterior.probability, strict=True):
            p.append(probability)
            hit.append({found.lattice.rotations[k].tobytes() for k in group} == wanted)
    number = np.minimum((np.array(p) * 10).astype(int), 9)
    rows = [number == k for k in range(10) if np.any(number == k)]
    return [(float(np.mean(np.array(p)[r])), int(np.sum(r)), float(np.mean(np.array(hit)[r]))) for r in rows]


def ask_dials(folder: Path, experiments: ExperimentList, table: ReflectionTable) -> tuple[str, float]:
    """The space group of dials.symmetry, and its seconds."""
    xdp.write_experiments(folder / "a.expt", experiments)
    xdp.write_reflections(folder / "a.refl", table)
    start = time.perf_counter()
    words = ["dials.symmetry", "a.expt", "a.refl", "output.html=None"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        return "failed", seconds
    best = json.loads((folder / "dials.symmetry.json").read_text())["subgroup_scores"][0]
    group = xdp.read_experiments(folder / "symmetrized.expt")[0].crystal.space_group.short_name()
    return f"{group} {best['likelihood']:.3f}", seconds


def main() -> None:
    """Read the arguments, run the tables, and print rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="number of the first table")
    parser.add_argument("--count", type=int, default=300, help="how many tables")
    parser.add_argument("--show", action="store_true", help="a line for each table, not only for those that went wrong")
    parser.add_argument("--dials", action="store_true", help="run dials.symmetry as well")
    arguments = parser.parse_args()
    tally: Counter = Counter()
    cases, results, seconds = [], [], 0.0
    for number in range(arguments.first, arguments.first + arguments.count):
        case = draw_case(number)
        experiments, table = draw_table(case)
        if len(table) < 50:
            tally["too few reflections"] += 1
            continue
        start = time.process_time()
        found = find_symmetry(experiments, table)
        seconds += time.process_time() - start
        verdict = found.verdict
        right = is_right(case, found.experiments[0].crystal, verdict.change_of_basis)
        kind = case.trap or "none"
        tally[kind, "decided right" if right else "decided wrong"] += verdict.is_decided
        tally[kind, "undecided"] += not verdict.is_decided
        if verdict.is_decided and right:
            tally["space group", "not named" if not names_truth(case, found) else
                  "decided" if verdict.is_space_group_decided else "open"] += 1
        wrong = verdict.is_decided and (not right or not names_truth(case, found))
        if arguments.show or wrong or (not case.trap and not verdict.is_decided):
            names = " ".join(f"{n}:{p:.3f}" for n, p in verdict.alternatives)
            print(case, len(table), "->", "RIGHT" if right else "WRONG" if verdict.is_decided else "undecided", names,
                  *verdict.space_groups[:4], f"twin {verdict.twin_probability:.2f} {verdict.twin_fraction:.2f}",
                  flush=True)
        if arguments.dials:
            with tempfile.TemporaryDirectory() as folder:
                print(case, "DIALS", *ask_dials(Path(folder), experiments, table), flush=True)
        cases.append(case)
        results.append(found)
    for key in sorted(tally, key=str):
        print(*(key if isinstance(key, tuple) else (key,)), tally[key])
    for p, n, share in list_bins(cases, results):
        print(f"probability {p:.3f}: {n} groups, {share:.3f} true")
    print(f"{seconds:.0f} s of CPU")


if __name__ == "__main__":
    main()
