"""Simulated strong spots of sweeps, to be indexed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import SIMPLE
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.indexing.spots import load_spots
from xdp.indexing.state import IndexingState
from xdp.simulation.models import make_beam, make_detector, make_goniometer, make_scan
from xdp.simulation.spot_lists import SpotList, draw_crystal, simulate_spot_list

CELL = (42.0, 55.0, 71.0, 90.0, 90.0, 90.0)


def make_sweep(width: float = 30.0, distance: float = 180.0) -> Experiment:
    """A sweep of 0.5 degree images on a small detector without parallax."""
    detector = make_detector((981, 831), distance=distance, gaps=False)
    panel = replace(detector[0], px_mm_strategy=SIMPLE)
    return Experiment(beam=make_beam(), detector=replace(detector, panels=(panel,)), goniometer=make_goniometer(),
                      scan=make_scan(int(2 * width), 0.5))


def simulate_spots(experiment: Experiment, seeds: tuple[int, ...] = (1,), *, n: int = 800, spurious: float = 0.0,
             cell: tuple = CELL, lattice: str = "oP") -> tuple[SpotList, list[Crystal]]:
    """Simulated spots of one crystal for each seed, and the crystals."""
    crystals = [draw_crystal(lattice, cell, seed) for seed in seeds]
    rng = np.random.default_rng(5)
    return simulate_spot_list([replace(experiment, crystal=c) for c in crystals], rng, n_spots=n * len(seeds),
                              d_min=2.5, spurious=spurious), crystals


def make_state(n: int = 300) -> tuple[IndexingState, SpotList]:
    """A sweep of 20 degrees with its spots and their true crystal, nothing indexed; and the spots with their truth."""
    sweeps = ExperimentList([make_sweep(20.0)])
    spots, crystals = simulate_spots(sweeps[0], n=n)
    return IndexingState(sweeps, load_spots(sweeps, spots.table), crystals), spots
