"""Intensities and partialities of simulated stills against their truth: correlations, pulls, predictions.

    python benchmarks/stills_truth.py [--data FOLDER] [--algorithm gaussian_rs ellipsoid] [--sets small_cell pink ...]

`stills_dev` (``truth.json`` beside the images) is imported, searched for spots, indexed with the known cell (detector
and beam as imported) and integrated twice: without a prior, then with what the run told of the widths; then it is
post-refined against its own merged intensities. The other sets are drawn by xdp.simulation, summed over mosaic domains,
and begin from crystals that are 0.02 degrees and 0.05 % off.

True partialities are sums over domains, sizes and wavelengths (xdp.simulation.mosaic_domains). All figures are of the
fixed list of reflections with a true partiality of 0.1 and more that can be summed at the true models; a reflection of
the list that was not predicted counts with intensity 0. A pull's width is the interquartile range over 1.349.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from scipy.spatial.transform import Rotation

import xdp
from xdp.experiment import ExperimentList
from xdp.images.masked_frames import PanelFrame
from xdp.integration.options import IntegrateOptions
from xdp.integration.partiality.options import PartialityOptions
from xdp.integration.partiality.postrefine import postrefine_run
from xdp.integration.partiality.prior import PartialityPrior, PriorSums
from xdp.integration.partiality.shot_data import choose_usable_rows, compute_corrections
from xdp.integration.plan.sweeps import find_sweeps
from xdp.integration.shoeboxes.frames import FrameSource
from xdp.integration.stills.shot import integrate_shot
from xdp.merging.unique import find_unique
from xdp.reflections.table import ReflectionTable
from xdp.simulation import SimulationOptions, make_beam, make_crystal, make_detector, simulate_stills
from xdp.simulation.mosaic_domains import DomainOptions, sum_domains
from xdp.simulation.structures.structure import draw_intensities

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "stills_dev"
SETS: dict[str, dict[str, Any]] = {
    "small_cell": {"cell": (42.0, 45.0, 38.0, 90, 90, 90), "hall": " P 2ac 2ab", "eta": 0.08, "point_size": 4e-4},
    "pink": {"cell": (79.3, 79.3, 37.8, 90, 90, 90), "hall": " P 4nw 2abw", "eta": 0.04, "point_size": 2e-4,
             "bandwidth": 3e-3},
    "mosaic": {"cell": (50.0, 65.0, 90.0, 90, 105, 90), "hall": " P 2yb", "eta": 0.15, "point_size": 1.5e-4},
    "small_domains": {"cell": (58.0, 58.0, 75.0, 90, 90, 120), "hall": " P 61 2 (0 0 -1)", "eta": 0.02,
                      "point_size": 6e-4},
}


@dataclass
class Shots:
    """Shots ready to be integrated, and their truth.

    ``images[i]`` are the panels of shot i and the numbers of its lattices; ``true`` has the true crystal of each
    lattice; ``intensities`` gives true intensities J of indices.
    """

    images: list[tuple[list, list[int]]]
    experiments: list
    spots: list[ReflectionTable]
    true: list
    domains: DomainOptions
    intensities: Any
    d_min: float | None = None


def load_stills_dev(folder: Path) -> Shots:
    """Import, search and index the shots of stills_dev, and find the true crystal of each lattice."""
    truth = json.loads((folder / "truth.json").read_text())
    imported = xdp.import_images([folder / "stills_dev.h5"])
    strong = xdp.find_spots(imported.experiments)
    indexed = xdp.index(imported.experiments, strong.reflections, joint_indexing=False, space_group="P43212",
                        unit_cell=truth["cell"], multiple_lattice_search={"max_lattices": 2})
    first = imported.experiments[0]
    # a distance refined for each shot would take up its cell's size, and turn partialities with it
    experiments = [replace(e, detector=first.detector, beam=first.beam) for e in indexed.experiments]
    table = indexed.reflections
    spots = [table.select((table["id"] == i) & ((table["flags"] & np.uint64(4)) > 0)) for i in range(len(experiments))]
    images = []
    for sweep in find_sweeps(ExperimentList(experiments)):
        images.append((FrameSource(sweep).read(sweep.first), list(sweep.ids)))
    crystals = [np.array(c["A"]) for shot in truth["shots"] for c in shot["crystals"]]
    true = [with_a(e.crystal, find_equivalent(e.crystal, crystals)) for e in experiments]
    size = float(np.sqrt(0.63) / 2.0 / truth["mosaic"]["domain_size_A"][0])
    domains = DomainOptions(size, truth["mosaic"]["sigma_deg"],
                            truth["bandwidth"]["full_width_relative"] / np.sqrt(12.0))
    return Shots(images, experiments, spots, true, domains, read_amplitudes(folder / "truth_asu.hkl"))


def draw_set(name: str, n_shots: int = 24) -> Shots:
    """Draw the shots of a simulated set, with crystals that are a little off."""
    physics = dict(SETS[name])
    cell, hall = physics.pop("cell"), physics.pop("hall")
    options = SimulationOptions(**({"photons": 4000.0, "hot_pixels": 0, "dead_pixels": 0, "d_min": 2.2,
                                    "background": 1.0, "sigma_b": 0.05} | physics))
    crystals = [make_crystal(cell, hall, orientation=k) for k in range(n_shots)]
    drawn = simulate_stills(crystals, make_beam(1.2), make_detector((500, 480), distance=70.0, gaps=False),
                            options=options, seed=1)

    rng, stack = np.random.default_rng(2), drawn.stack()
    profile = {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.09, "sigma_m": 0.0}
    images, experiments, spots = [], [], []
    for i, experiment in enumerate(drawn.experiments):
        turn = Rotation.from_rotvec(np.deg2rad(0.02 / np.sqrt(3) * rng.normal(size=3))).as_matrix()
        a_matrix = turn @ experiment.crystal.A * (1.0 + 5e-4 * rng.normal())
        experiments.append(replace(experiment, crystal=with_a(experiment.crystal, a_matrix), profile=profile))
        images.append(([PanelFrame(panel, np.zeros((0, 0), bool), 0.0, 1e6) for panel in stack[i]], [i]))
        own = drawn.truth.select((drawn.truth["id"] == i) & (drawn.truth["intensity.sum.value"] > 60.0))
        spots.append(own.with_columns(**{"xyzobs.px.value": own["xyzcal.px"],
                                         "intensity.sum.variance": own["intensity.sum.value"] + 20.0}))

    def find(hkl: np.ndarray) -> np.ndarray:
        return draw_intensities(crystals[0], hkl, wilson_b=options.wilson_b, seed=options.structure_seed)

    domains = DomainOptions(options.point_size, options.eta, options.bandwidth)
    return Shots(images, experiments, spots, [e.crystal for e in drawn.experiments], domains, find, options.d_min)


def read_amplitudes(path: Path) -> Any:
    """A function that gives |F|² of indices: Friedel mates differ."""
    rows = np.loadtxt(path)
    group = gemmi.SpaceGroup("P 43 21 2")
    table: dict[tuple, float] = {}
    for operation in group.operations().sym_ops:
        moved = np.rint(rows[:, :3] @ (np.array(operation.rot) / operation.DEN)).astype(int)
        for sign, column in ((1, 3), (-1, 4)):
            table.update({key: table.get(key, value**2) for key, value in
                          zip(map(tuple, (sign * moved).tolist()), rows[:, column].tolist(), strict=True)})
    return lambda hkl: np.array([table.get(tuple(h), np.nan) for h in np.asarray(hkl).tolist()])


def with_a(crystal, a_matrix: np.ndarray):
    """The crystal with another setting matrix."""
    axes = np.linalg.inv(a_matrix)
    return replace(crystal, real_space_a=tuple(axes[0].tolist()), real_space_b=tuple(axes[1].tolist()),
                   real_space_c=tuple(axes[2].tolist()), extra={})


def find_equivalent(crystal, candidates: list[np.ndarray]) -> np.ndarray:
    """The A of those candidates and their equivalents that is nearest to a crystal's."""
    rotations = [np.array(op.rot) // op.DEN for op in crystal.space_group.operations().sym_ops]
    all_of_them = [a @ r for a in candidates for r in rotations]
    return min(all_of_them, key=lambda a: np.linalg.norm(a - crystal.A))


def integrate_all(shots: Shots, algorithm: str, prior: PartialityPrior | None, partiality: PartialityOptions,
                  crystals: list | None = None):
    """Integrate all shots; experiments, table, sums of the widths, CPU seconds a shot."""
    plain = IntegrateOptions()
    options = plain.model_copy(update={
        "profile": plain.profile.model_copy(update={"algorithm": algorithm}),
        "prediction": plain.prediction.model_copy(update={"d_min": shots.d_min})})
    experiments, tables, sums = list(shots.experiments), [], PriorSums()
    if crystals is not None:
        experiments = [replace(e, crystal=c) for e, c in zip(experiments, crystals, strict=True)]
    begin = time.process_time()
    for panels, ids in shots.images:
        found = integrate_shot(panels, [experiments[i] for i in ids], [shots.spots[i] for i in ids], options, prior,
                               partiality=partiality)
        for number, why in found.failures:
            print(f"   lattice {ids[number]} failed: {why}")
        if found.reflections is None:
            continue
        numbers = np.array([ids[number] for number in found.numbers], np.int32)
        tables.append(found.reflections.with_columns(id=numbers[found.reflections["id"]]))
        tables[-1].identifiers = {}
        for number, experiment, fit in zip(numbers.tolist(), found.experiments, found.fits, strict=True):
            experiments[number] = experiment
            sums.add(fit.widths, fit.width_variances)
    return experiments, ReflectionTable.concatenate(tables), sums, (time.process_time() - begin) / len(shots.images)


@dataclass
class Truth:
    """The fixed list: lattice, index, true partiality, J, and the true scale of each lattice."""

    row: dict[tuple[int, int, int, int], int]
    partiality: np.ndarray
    intensity: np.ndarray
    lattice: np.ndarray
    scale: np.ndarray
    hkl: np.ndarray
    significance: np.ndarray


def make_truth(shots: Shots, algorithm: str) -> Truth:
    """Sum at the true models, without any refinement: which reflections can be measured, and the scales."""
    fixed = PartialityOptions(refine_orientation=False, refine_cell=False, prediction_cycles=1, prediction_sigmas=4.5,
                              bandwidth=shots.domains.bandwidth)
    experiments, table, _, _ = integrate_all(shots, algorithm, None, fixed, shots.true)
    part, good = np.zeros(len(table)), np.zeros(len(table), bool)
    for i, experiment in enumerate(experiments):
        own = np.flatnonzero(table["id"] == i)
        part[own] = sum_domains(shots.true[i], experiment.beam, table["miller_index"][own], shots.domains).partiality
        good[own] = choose_usable_rows(experiment, table.select(own))
    true = shots.intensities(table["miller_index"])
    keep = good & np.isfinite(true)
    table, part, true = table.select(keep), part[keep], true[keep]
    factor, lattice = compute_corrections(table), np.asarray(table["id"], np.int64)
    value, variance = table["intensity.sum.value"] * factor, table["intensity.sum.variance"] * factor**2
    listed = part >= 0.1
    product = part * true
    n = len(shots.true)
    scale = (np.bincount(lattice[listed], (value * product)[listed], n)
             / np.maximum(np.bincount(lattice[listed], product[listed] ** 2, n), 1e-300))
    hkl = np.asarray(table["miller_index"])
    row = {(int(i), *map(int, h)): k for k, (i, h) in enumerate(zip(lattice, hkl, strict=True))}
    return Truth(row, part, true, lattice, scale, hkl, scale[lattice] * product / np.sqrt(variance))


def measure_width(pull: np.ndarray) -> float:
    """The width of a pull distribution."""
    return float(np.subtract(*np.quantile(pull, [0.75, 0.25])) / 1.349) if len(pull) > 20 else np.nan


def report(title: str, table: ReflectionTable, truth: Truth, crystal, mis: np.ndarray) -> None:
    """Print the figures of a table."""
    keys = zip(np.asarray(table["id"]).tolist(), np.asarray(table["miller_index"]).tolist(), strict=True)
    place = np.array([truth.row.get((i, *h), -1) for i, h in keys])
    table, place = table.select(place >= 0), place[place >= 0]
    factor = compute_corrections(table)
    n = len(truth.partiality)
    value, variance, part, part_variance = np.zeros(n), np.ones(n), np.full(n, np.nan), np.zeros(n)
    value[place] = table["intensity.sum.value"] * factor
    variance[place] = table["intensity.sum.variance"] * factor**2
    part[place], part_variance[place] = table["partiality"], table["partiality.variance"]
    found = np.isfinite(part)
    listed = truth.partiality >= 0.1
    scale = truth.scale[truth.lattice]
    expected = scale * truth.partiality * truth.intensity
    full = np.where(found, value / np.where(found, part, 1.0), 0.0)
    counting = variance / np.where(found, part, 1.0) ** 2
    relative = np.where(found, part_variance / np.where(found, part, 1.0) ** 2, 0.0)
    # the scale of each lattice by the fit's own partialities, robustly weighted
    spread = counting + relative * (scale * truth.intensity) ** 2
    use = listed & found
    weight = 1.0 / (spread[use] + (0.02 * (scale * truth.intensity)[use]) ** 2)
    lattice = truth.lattice[use]
    own = (np.bincount(lattice, weight * full[use] * truth.intensity[use], len(truth.scale))
           / np.maximum(np.bincount(lattice, weight * truth.intensity[use] ** 2, len(truth.scale)), 1e-300))
    level = np.maximum(own, 1e-12)[truth.lattice]
    print(f" {title}: {listed.sum()} reflections on the list, {(listed & ~found).sum()} not predicted; orientation off "
          f"by {np.median(mis):.4f} degrees (median), {mis.max():.4f} at most")
    print(f"   CC(I, scale p J) {np.corrcoef(value[listed], expected[listed])[0, 1]:.4f}  CC(I/p, J) "
          f"{np.corrcoef((full / level)[listed], truth.intensity[listed])[0, 1]:.4f}  at true partialities "
          f"{np.corrcoef((value / truth.partiality / scale)[listed], truth.intensity[listed])[0, 1]:.4f}  without "
          f"{np.corrcoef((value / scale)[listed], truth.intensity[listed])[0, 1]:.4f}")
    significance, pull = expected / np.sqrt(variance), (value - expected) / np.sqrt(variance)
    bins = ((-9, 1), (1, 3), (3, 6), (6, 12), (12, 20), (20, 30))
    print("   pull of I by true I/sigma:", "  ".join(
        f"{max(a, 0)}-{b} {measure_width(pull[found & (significance >= a) & (significance < b)]):.2f}"
        for a, b in bins))
    sigma = np.sqrt(counting + relative * full**2) / level
    pull = (full / level - truth.intensity) / sigma
    edges = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
    print("   pull of I/p by p:", "  ".join(
        f"{a} {measure_width(pull[use & (part >= a) & (part < b)]):.2f} ({(use & (part >= a) & (part < b)).sum()})"
        for a, b in itertools.pairwise(edges)))
    length = np.einsum("ni,ij,nj->n", truth.hkl, crystal.B.T @ crystal.B, truth.hkl)
    thirds = np.quantile(length[listed], [0, 1 / 3, 2 / 3, 1]).tolist()
    print("   pull of I/p by thirds of resolution:", "  ".join(
        f"{measure_width(pull[use & (part >= 0.1) & (length >= a) & (length <= b)]):.2f}"
        for a, b in itertools.pairwise(thirds)))
    unique = find_unique(crystal.space_group, truth.hkl[use])
    number, _ = unique.group_mates_apart()
    weight = sigma[use] ** -2.0
    total = np.bincount(number, weight)
    mean = np.bincount(number, weight * (full / level)[use]) / total
    true = np.bincount(number, truth.intensity[use]) / np.bincount(number)
    print(f"   merged: {len(total)} reflections, CC {np.corrcoef(mean, true)[0, 1]:.4f}, pull "
          f"{measure_width((mean - true) * np.sqrt(total)):.2f}")
    strong = truth.significance > 5.0
    print(f"   predicted of those above 5 sigma: {100.0 * np.mean(found[strong]):.2f} % of {strong.sum()}")


def measure_misorientations(experiments, true) -> np.ndarray:
    """Angles, degrees, between crystals and the true ones."""
    out = []
    for experiment, crystal in zip(experiments, true, strict=True):
        u, _, v = np.linalg.svd(experiment.crystal.A @ np.linalg.inv(crystal.A))
        out.append(np.rad2deg(Rotation.from_matrix(u @ v).magnitude()))
    return np.array(out)


def run(name: str, shots: Shots, algorithm: str) -> None:
    """Integrate, post-refine and report one set."""
    print(f"{name}, {algorithm}: {len(shots.images)} shots, {len(shots.true)} lattices; true a "
          f"{shots.domains.point_size:.2e} 1/Å, b {shots.domains.eta:.4f} degrees, c {shots.domains.bandwidth:.1e}")
    truth, options, prior = make_truth(shots, algorithm), PartialityOptions(), None
    for title in ("first pass", "with the run's prior"):
        experiments, table, sums, seconds = integrate_all(shots, algorithm, prior, options)
        prior = sums.estimate_prior()
        report(title, table, truth, shots.true[0], measure_misorientations(experiments, shots.true))
        a, b, c = np.exp(prior.mean).tolist()
        print(f"   the run's a {a:.2e} 1/Å, b {np.rad2deg(b):.4f} degrees, c {c:.1e}; {1e3 * seconds:.0f} ms of CPU a "
              "shot")
    begin = time.process_time()
    refined = postrefine_run(experiments, table, options)
    seconds = (time.process_time() - begin) / len(shots.true)
    report("post-refined", refined.reflections, truth, shots.true[0],
           measure_misorientations(refined.experiments, shots.true))
    print(f"   {1e3 * seconds:.0f} ms of CPU a lattice")


def main() -> None:
    """Read the command line and run the sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--algorithm", nargs="*", default=["gaussian_rs"])
    parser.add_argument("--sets", nargs="*", default=[], choices=["stills_dev", *SETS])
    words = parser.parse_args()
    logging.disable(logging.WARNING)
    for name in words.sets or ["stills_dev"]:
        shots = load_stills_dev(words.data) if name == "stills_dev" else draw_set(name)
        for algorithm in words.algorithm:
            run(name, shots, algorithm)


if __name__ == "__main__":
    main()
