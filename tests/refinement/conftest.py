"""Simulated observations, as a module that tests of this folder share."""

from __future__ import annotations

import pytest
from refinement_data import Simulated, observed, sweep

from xdp.experiment.experiment import ExperimentList


@pytest.fixture(scope="session")
def one_sweep() -> Simulated:
    """One sweep of 20 degrees, 600 reflections."""
    truth = ExperimentList([sweep()])
    return Simulated(truth, observed(truth))
