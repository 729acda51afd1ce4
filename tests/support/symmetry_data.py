"""Simulated tables for tests of symmetry: crystals in P1, say, whose intensities have the symmetry asked for."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.reflections.table import ReflectionTable
from xdp.simulation.integrated import IntegratedOptions, simulate_integrated
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan

#: Cells (Å, degrees) that are as small as tests may be fast.
TETRAGONAL = (45.0, 45.0, 62.0, 90.0, 90.0, 90.0)
ORTHORHOMBIC = (42.0, 50.0, 61.0, 90.0, 90.0, 90.0)
HEXAGONAL = (48.0, 48.0, 60.0, 90.0, 90.0, 120.0)
CUBIC = (56.0, 56.0, 56.0, 90.0, 90.0, 90.0)


@cache
def make_symmetric(space_group: str, cell: tuple[float, ...], n_frames: int = 60, *, hall: str = " P 1", seed: int = 1,
                   d_min: float = 2.8, counts: float = 300.0, **structure: Any
                   ) -> tuple[ExperimentList, ReflectionTable]:
    """A sweep of one-degree frames whose intensities have a space group; the crystal's own has its centring only."""
    crystal = make_crystal(cell, hall, orientation=seed)
    experiments = ExperimentList([Experiment(
        identifier="sweep", beam=make_beam(), detector=make_detector((300, 260), distance=70.0),
        goniometer=make_goniometer(), scan=make_scan(n_frames, 1.0), crystal=crystal)])
    options = IntegratedOptions(d_min=d_min, counts=counts, jitter=0.02, volume=0.1,
                                structure={"space_group": space_group, **structure})
    return experiments, simulate_integrated(experiments, options, seed)[0]


@cache
def make_wedges(space_group: str, cell: tuple[float, ...], law: str, n: int = 14, *, hall: str = " P 1", width: int = 5,
                strangers: tuple[int, ...] = (), seed: int = 1
                ) -> tuple[ExperimentList, ReflectionTable, np.ndarray]:
    """Short sweeps of crystals in random orientations, about half of them indexed by `law`; and which these are."""
    flips = np.random.default_rng(seed).random(n) < 0.5
    experiments = ExperimentList([Experiment(
        identifier=f"wedge {k}", beam=make_beam(), detector=make_detector((300, 260), distance=70.0),
        goniometer=make_goniometer(), scan=make_scan(width, 1.0), crystal=make_crystal(cell, hall, orientation=50 + k))
        for k in range(n)])
    structure = {"space_group": space_group, "strangers": strangers,
                 "indexing": tuple(law if flip else "h,k,l" for flip in flips)}
    options = IntegratedOptions(d_min=2.8, counts=300.0, jitter=0.03, volume=0.2, instrument=0.03, structure=structure)
    return experiments, simulate_integrated(experiments, options, seed)[0], flips
