"""Indexing of single crystals among structured noise: is the first crystal the same where more lattices are asked for?

Each case is a sweep of one random crystal with 400 to 1,500 spots, uniform noise, and structured noise of one of five
kinds: a loose heap of spots about the points of a tiny lattice, powder rings, pixels that are hot on many frames,
clusters, and streaks. A case succeeds where the crystal that is found with max_lattices=3 has the cell, the residuals
and the indices of that with max_lattices=1.

    python benchmarks/indexing_junk.py 30
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from indexing_stress import electron_sweep, run_cases

from xdp.errors import XdpError
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.index import Indexed, index_sweeps
from xdp.indexing.options import Indexing, MultipleLatticeSearch
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.spot_lists import draw_cell, draw_crystal, simulate_spot_list

KINDS = ("heap", "rings", "hot", "clusters", "streaks")
LATTICES = ("aP", "mP", "oP", "tP", "oC", "hP")
# What may differ between the two runs: a lattice that is refused leaves no trace, one that is kept some rounding.
CELL, RMSD, INDICES = 5e-4, 1.1, 0.98


def make_case(seed: int) -> tuple[str, ExperimentList, ReflectionTable]:
    """Case `seed`: the kind of noise, the sweep as imported, and its spots."""
    rng = np.random.default_rng([17, seed])
    kind, electrons = KINDS[seed % len(KINDS)], seed % 2 == 0
    low, high, d_min = (5.0, 20.0, 0.85) if electrons else (30.0, 90.0, 2.2)
    lattice = LATTICES[seed % len(LATTICES)]
    crystal = draw_crystal(lattice, draw_cell(lattice, low, high, rng), int(rng.integers(1 << 30)))
    sweep = electron_sweep(90.0, d_min, float(rng.uniform(0.0, 6.0))) if electrons else Experiment(
        beam=make_beam(), detector=make_detector(), goniometer=make_goniometer(), scan=make_scan(180, 0.5))
    experiment = replace(sweep, crystal=crystal)
    spots = simulate_spot_list([experiment], rng, n_spots=int(rng.uniform(400, 1500)), d_min=d_min,
                               spurious=float(rng.uniform(0.1, 0.3)), sigma_px=0.5, sigma_frame=0.4).table
    noise = make_noise(kind, experiment, spots, rng)
    together = {k: np.concatenate([spots[k], noise[k]]) for k in spots}
    return kind, ExperimentList([sweep]), ReflectionTable(together)


def make_noise(kind: str, experiment: Experiment, spots: ReflectionTable, rng: np.random.Generator) -> ReflectionTable:
    """60 to 200 spots of structured noise, with the columns of `spots`."""
    n = int(rng.uniform(60, 200))
    if kind == "heap":
        crystal = make_crystal((2.2, 2.3, 8.9, 87, 95, 70), " P 1", orientation=int(rng.integers(1 << 20)))
        errors = float(rng.uniform(2.0, 4.0))
        heap = simulate_spot_list([replace(experiment, crystal=crystal)], rng, n_spots=n, d_min=0.85, sigma_px=errors,
                                  sigma_frame=errors).table
        xyz = heap["xyzobs.px.value"].copy()
        xyz[:, 2] = np.clip(xyz[:, 2], *experiment.known.scan.array_range)  # errors may lead out of the scan
        return heap.with_columns(**{"xyzobs.px.value": xyz})
    detector, scan = experiment.known.detector, experiment.known.scan
    size, (first, last) = np.array(detector[0].image_size), scan.array_range
    xyz = np.column_stack([rng.random(n) * size[0], rng.random(n) * size[1], rng.uniform(first, last, n)])
    if kind == "rings":
        radius = rng.choice([0.2, 0.22, 0.25, 0.33], n) * size.min() + rng.normal(0.0, 0.7, n)
        angle = rng.uniform(0.0, 2.0 * np.pi, n)
        xyz[:, :2] = 0.5 * size + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    elif kind == "hot":
        pixels = (rng.random((8, 2)) * size)[rng.integers(0, 8, n)]
        xyz[:, :2] = pixels + rng.normal(0.0, 0.2, (n, 2))
    elif kind == "clusters":
        xyz = xyz[rng.integers(0, 6, n)] + rng.normal(0.0, 6.0, (n, 3))
    else:
        start, along = xyz[rng.integers(0, 5, n)], rng.normal(size=(5, 3))[rng.integers(0, 5, n)]
        xyz = start + along * rng.uniform(-40.0, 40.0, (n, 1)) + rng.normal(0.0, 0.7, (n, 3))
    xyz = np.clip(xyz, [1.0, 1.0, first], [*(size - 1.0), last])
    rows = spots.select(rng.integers(0, len(spots), n))
    return rows.with_columns(**{"xyzobs.px.value": xyz})


def compare(one: Indexed, more: Indexed) -> tuple[bool, str]:
    """Whether the first crystal is the same, and a word on it."""
    cells = [np.array(r.experiments[0].known.crystal.unit_cell) for r in (one, more)]
    rms = []
    for result in (one, more):
        mine = result.reflections.select(result.reflections["id"] == 0)
        off = mine["xyzcal.mm"] - mine["xyzobs.mm.value"]
        rms.append(np.sqrt(np.median(off**2, axis=0)))
    mine = one.reflections["id"] == 0
    same = np.mean(np.all(one.reflections["miller_index"] == more.reflections["miller_index"], axis=1)[mine])
    change = float(np.abs(cells[1] / cells[0] - 1.0).max())
    factor = float((rms[1] / np.maximum(rms[0], 1e-9)).max())
    n = len(more.experiments.unique("crystal"))
    note = f"{n} lattices, cell {change:.1e}, residuals x {factor:.2f}, {same:.1%} of the indices"
    return change < CELL and factor < RMSD and same > INDICES, note


def attempt(seed: int) -> bool:
    """Index one case for one and for three lattices; print whether the first crystal is the same."""
    kind, sweeps, spots = make_case(seed)
    try:
        one, more = (index_sweeps(sweeps, spots, Indexing(multiple_lattice_search=MultipleLatticeSearch(
            max_lattices=n))) for n in (1, 3))
        is_same, note = compare(one, more)
        note += f", {np.mean(one.reflections['id'] >= 0):.0%} indexed"
    except XdpError as error:
        is_same, note = False, str(error)[:90]
    print(f"{seed:4d} {kind:8s} {'same' if is_same else 'DIFFERENT'} {len(spots)} spots: {note}", flush=True)
    return is_same


def main() -> None:
    """Run the cases and print in how many the first crystal is the same."""
    same = run_cases(attempt, 30, __doc__)
    if same:
        print(f"{sum(same)} of {len(same)} the same")


if __name__ == "__main__":
    main()
