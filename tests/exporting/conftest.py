"""Experiments and integrated tables to export."""

from __future__ import annotations

from collections.abc import Callable

import export_data
import pytest

from xdp.experiment import ExperimentList
from xdp.reflections import ReflectionTable


@pytest.fixture
def make_experiments() -> Callable[..., ExperimentList]:
    """Make experiments with crystals."""
    return export_data.make_sweeps


@pytest.fixture
def make_integrated() -> Callable[..., ReflectionTable]:
    """Make a table of integrated reflections."""
    return export_data.make_integrated
