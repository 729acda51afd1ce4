"""Simulated tables for tests of scaling and merging: one sweep, or several, with their truth."""

from __future__ import annotations

from functools import cache

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.reflections.table import ReflectionTable
from xdp.scaling.scale import scale
from xdp.simulation.integrated import IntegratedOptions, IntegratedTruth, simulate_integrated
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan


@cache
def make_table(n_frames: int = 180, width: float = 1.0, n_sweeps: int = 1, seed: int = 1, **named: float
               ) -> tuple[ExperimentList, ReflectionTable, IntegratedTruth]:
    """Sweeps of lysozyme on a detector so near that 2.5 Å is on it, integrated as `named` says."""
    experiments = ExperimentList([
        Experiment(identifier=f"sweep {k}", beam=make_beam(), detector=make_detector((300, 260), distance=70.0),
                   goniometer=make_goniometer(), scan=make_scan(n_frames, width),
                   crystal=make_crystal(orientation=seed + k)) for k in range(n_sweeps)])
    table, truth = simulate_integrated(experiments, IntegratedOptions(**{"d_min": 2.5, **named}), seed)
    return experiments, table, truth


@cache
def make_scaled() -> tuple[ExperimentList, ReflectionTable]:
    """A sweep of 90 degrees that was scaled; ``make_table`` with the same factors has its truth."""
    experiments, table, _ = make_table(n_frames=90, d_min=3.0, counts=400.0, jitter=0.02)
    found = scale(experiments, table)
    return found.experiments, found.reflections
