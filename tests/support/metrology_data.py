"""Shots on a detector of four quadrants whose panels have moved, and a slow twin of the equations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.experiment import Detector, ExperimentList
from xdp.reflections import ReflectionTable
from xdp.serial.metrology.draw import draw_panel_shots, make_quadrant_detector
from xdp.serial.metrology.fit import make_turn
from xdp.serial.metrology.nodes import Motion, find_groups, move_groups

PIXEL = 0.11
BEAM = np.array([0.0, 0.0, -1.0])


def disturb_detector(detector: Detector, shifts: dict[int, float], seed: int = 3, turn: float = 1e-3) -> Detector:
    """The detector with the groups of levels moved at random: by shifts (mm, each coordinate), turns in radians."""
    rng = np.random.default_rng(seed)
    for level, size in shifts.items():
        groups = find_groups(detector, level)
        detector = move_groups(detector, groups, [
            Motion(make_turn(rng.normal(0.0, turn, 3)), g.pivot, g.pivot + rng.normal(0.0, size, 3)) for g in groups])
    return detector


def make_shots(n_shots: int = 60, shifts: dict[int, float] | None = None, **how: object
               ) -> tuple[Detector, ExperimentList, ReflectionTable]:
    """The true detector, and shots with their spots whose detector is wrong."""
    detector = make_quadrant_detector()
    experiments, table = draw_panel_shots(detector, n_shots, **how)
    wrong = disturb_detector(detector, shifts if shifts is not None else {1: 0.1, 2: 0.05})
    return detector, ExperimentList([replace(e, detector=wrong) for e in experiments]), table
