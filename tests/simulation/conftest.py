"""A small simulated series."""

from __future__ import annotations

import pytest

from xdp.simulation import (
    Simulation,
    SimulationOptions,
    make_beam,
    make_crystal,
    make_detector,
    make_goniometer,
    make_scan,
    simulate_rotation,
)

QUIET = SimulationOptions(d_min=2.8, hot_pixels=0, dead_pixels=0)


@pytest.fixture(scope="session")
def quiet() -> SimulationOptions:
    """Options without bad pixels."""
    return QUIET


@pytest.fixture(scope="session")
def series() -> Simulation:
    """Ten frames of half a degree on a 300 x 260 panel with gaps."""
    return simulate_rotation(make_crystal(), make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(),
                             make_scan(10), options=QUIET, seed=5)
