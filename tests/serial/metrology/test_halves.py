"""Two detectors compared: the gauge is taken out, what is left is measured by its errors."""

from __future__ import annotations

import numpy as np
from metrology_data import BEAM

from xdp.serial.metrology.draw import make_quadrant_detector
from xdp.serial.metrology.fit import make_turn
from xdp.serial.metrology.halves import compare_detectors
from xdp.serial.metrology.nodes import Motion, find_groups, move_groups


def compare(first, second, is_distance_free=True):
    covariances = np.tile(np.eye(6) * 0.01**2, (len(first), 1, 1))
    return compare_detectors("test", first, second, covariances, [np.array([i]) for i in range(len(first))], BEAM,
                             is_distance_free)


def test_shift_turn_and_distance_of_the_whole_are_gauge():
    detector = make_quadrant_detector()
    root = find_groups(detector, 0)
    motion = Motion(make_turn(BEAM * 1e-4), np.zeros(3), np.array([0.3, -0.2, 0.0]))
    moved = move_groups(detector, root, [motion])
    assert np.abs(compare(detector, moved).shifts[:, :2]).max() < 1e-6
    farther = move_groups(detector, root, [Motion(np.eye(3), root[0].pivot, root[0].pivot + np.array([0.0, 0.0, 1.0]))])
    assert np.abs(compare(detector, farther).shifts[:, 2]).max() < 1.0 + 1e-9


def test_errors_of_a_known_size_have_their_chi_square():
    detector, rng = make_quadrant_detector(sensors=25), np.random.default_rng(1)
    groups = find_groups(detector, 2)
    moved = move_groups(detector, groups, [Motion(np.eye(3), g.pivot, g.pivot + rng.normal(0.0, 0.01, 3))
                                           for g in groups])
    found = compare(detector, moved)
    assert 0.7 < found.chi_square < 1.3  # 200 coordinates: 1 +- 0.1
    assert np.allclose(found.formal, 0.01)
    assert found.errors.shape == (100, 2)
    assert np.isclose(found.ratio**2, found.chi_square)
    assert compare(detector, moved, False).shifts.shape == (100, 3)
