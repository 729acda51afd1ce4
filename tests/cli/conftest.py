"""Folders with small inputs for the commands; each is the current one while its test runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from indexing_data import make_sweep, simulate_spots
from refinement_data import disturbed, observed
from refinement_data import sweep as refinement_sweep
from sweeps import background, sweep

from xdp.experiment import ExperimentList, write_experiments
from xdp.logs import stop_log
from xdp.reflections import write_reflections


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty folder."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    stop_log()


@pytest.fixture
def hot_sweep(folder) -> Path:
    """imported.expt of a sweep of four images with a hot pixel."""
    counts = background(4, mean=20.0)
    counts[:, 0, 20:22, 30:32] = 900
    write_experiments("imported.expt", sweep(folder, counts))
    return folder


@pytest.fixture
def spots(folder) -> Path:
    """imported.expt and strong.refl of a crystal of 42, 55, 71 Å."""
    experiment = make_sweep()
    write_experiments("imported.expt", ExperimentList([experiment]))
    write_reflections("strong.refl", simulate_spots(experiment, n=400)[0].table)
    return folder


@pytest.fixture
def indexed(folder) -> Path:
    """indexed.expt and indexed.refl of a sweep of lysozyme, its models a little off."""
    truth = ExperimentList([refinement_sweep()])
    write_experiments("indexed.expt", disturbed(truth, angle=5e-4, shift=0.05))
    write_reflections("indexed.refl", observed(truth, n=250, d_min=3.5))
    return folder
