"""Indexing of cells with one very long axis: how often the indices are exactly right, and the processor's seconds.

Each case is a sweep of 60 to 180 degrees of a random primitive or centred cell whose longest axis is 8 to 40 times the
shortest; the third one is up to 1.6 times the shortest, or from seed 20 on up to 6 times. There are 1,000 to 4,000
spots, of which 20 % are spurious. Nothing is known but the geometry. A case succeeds where
at least 98 % of the spots that are indexed have their true index, as in indexing_stress.py.

    python benchmarks/indexing_axial.py 40
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from indexing_stress import judge, run_cases

from xdp.errors import XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import SIMPLE, Detector, Panel
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.index import index_sweeps
from xdp.simulation.models import make_beam, make_goniometer, make_scan
from xdp.simulation.spot_lists import SpotList, draw_crystal, simulate_spot_list

LATTICES = ("aP", "mP", "mC", "oP", "oC", "oI", "tP", "tI", "hP", "hR")
LIMIT = 20.0  # seconds of processor time within which a case must be done


def make_case(seed: int) -> tuple[ExperimentList, SpotList, Crystal]:
    """Case `seed`: the sweep as imported, its spots, and the true crystal."""
    rng = np.random.default_rng([13, seed])
    lattice = LATTICES[seed % len(LATTICES)]
    a = float(np.exp(rng.uniform(np.log(4.0), np.log(12.0))))
    c = a * float(np.exp(rng.uniform(np.log(8.0), np.log(40.0))))
    b = a * float(rng.uniform(1.0, 1.6) if seed < 20 else rng.uniform(1.0, 6.0)) if lattice[0] in "amo" else a
    angles = {"a": tuple(rng.uniform(80.0, 100.0, 3)), "m": (90.0, float(rng.uniform(91.0, 110.0)), 90.0),
              "h": (90.0, 90.0, 120.0)}.get(lattice[0], (90.0, 90.0, 90.0))
    crystal = draw_crystal(lattice, (a, b, c, *angles), int(rng.integers(1 << 30)))
    experiment = make_sweep(c, float(rng.uniform(60.0, 180.0)), crystal)
    n_spots = int(rng.uniform(1000, 4000))
    spots = simulate_spot_list([experiment], rng, n_spots=round(0.8 * n_spots), d_min=1.0, spurious=0.2)
    return ExperimentList([replace(experiment, crystal=None)]), spots, crystal


def make_sweep(longest: float, width: float, crystal: Crystal) -> Experiment:
    """A sweep of half-degree frames whose detector is so far away that spots of the longest axis (Å) lie apart."""
    pixel, size, distance = 0.172, (1475, 1679), max(150.0, longest)
    centre = (size[0] / 2 + 3.3, size[1] / 2 - 2.6)
    origin = (-centre[0] * pixel, centre[1] * pixel, -distance)
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), origin, size, (pixel, pixel), (0.0, 1e6), type="SENSOR_PAD",
                  px_mm_strategy=SIMPLE)
    return Experiment(beam=make_beam(0.6889), detector=Detector((panel,)), goniometer=make_goniometer(),
                      scan=make_scan(int(2 * width), 0.5), crystal=crystal)


def attempt(seed: int) -> tuple[bool, float]:
    """Index one case; print it, and give whether it is right and the seconds that it took."""
    experiments, spots, crystal = make_case(seed)
    begin = time.process_time()
    try:
        result = index_sweeps(experiments, spots.table)
        is_right, note = judge(spots, [crystal], result.experiments, result.reflections)
        note += "  " + " ".join(f"{v:.2f}" for v in result.experiments[0].known.crystal.unit_cell)
    except XdpError as error:
        is_right, note = False, str(error)[:90]
    seconds = time.process_time() - begin
    cell = " ".join(f"{v:.1f}" for v in crystal.unit_cell)
    print(f"{seed:4d} {'right' if is_right else 'WRONG'} {seconds:5.1f} s {LATTICES[seed % len(LATTICES)]} {cell} "
          f"{len(spots.table)} spots: {note}", flush=True)
    return is_right, seconds


def main() -> None:
    """Run the cases and print how many are right, and how many within the time."""
    rows = run_cases(attempt, 40, __doc__)
    if not rows:
        return
    right, quick = sum(ok for ok, _ in rows), sum(seconds < LIMIT for _, seconds in rows)
    print(f"{right} of {len(rows)} right, {quick} of {len(rows)} within {LIMIT:g} s")


if __name__ == "__main__":
    main()
