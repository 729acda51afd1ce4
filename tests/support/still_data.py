"""Simulated stills for tests of merging: tables with partialities near the truth, and faults that are put in."""

from __future__ import annotations

from functools import cache

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.reflections.table import ReflectionTable
from xdp.simulation.integrated_stills.still_tables import StillPhysics, StillTables, make_still_tables
from xdp.simulation.mosaic_domains import DomainOptions

P4 = ((79.3, 79.3, 37.8, 90.0, 90.0, 90.0), " P 4")
P43212 = ((79.3, 79.3, 37.8, 90.0, 90.0, 90.0), " P 4nw 2abw")


@cache
def draw_stills(n_lattices: int = 60, form: tuple = P43212, d_min: float = 4.5, seed: int = 1) -> StillTables:
    """Simulated stills, whose partialities are sums over few domains."""
    physics = StillPhysics(domains=DomainOptions(2.5e-4, 0.05, n_domains=32), d_min=d_min)
    return make_still_tables(n_lattices, *form, physics=physics, seed=seed)


def make_known(drawn: StillTables, error: float = 0.08) -> ReflectionTable:
    """Reflections with partialities that are off by a known relative error."""
    rng = np.random.default_rng(3)
    p = np.clip(drawn.partiality * np.exp(error * rng.normal(size=len(drawn.partiality))), 1e-9, 1.0)
    return drawn.reflections.with_columns(**{"partiality": p, "partiality.variance": (error * p) ** 2})


def get_metric(experiments: ExperimentList) -> np.ndarray:
    """The reciprocal metric of the first crystal, 1/Å²."""
    b = experiments[0].known.crystal.B
    return b.T @ b
