"""Spots get the index of the nearest lattice point."""

from __future__ import annotations

import numpy as np

from xdp.indexing.assign.assign import assign_indices
from xdp.refinement.parameters.rotations import make_rotation


def test_assignment_takes_the_nearest_lattice_and_one_spot_an_index():
    first, second = np.eye(3) / 50.0, make_rotation(np.array([0, 0, 1.0]), 0.3) / 40.0
    hkl = np.array([[1, 2, 3], [4, -1, 2], [2, 2, -5]])
    points = np.concatenate([hkl @ first.T, hkl @ second.T, hkl[:1] @ first.T + 1e-3, [[0.0, 0.0, 0.0]]])
    found = assign_indices(points, np.zeros(len(points)), [first, second])
    np.testing.assert_array_equal(found.crystal, [0, 0, 0, 1, 1, 1, -1, -1])
    np.testing.assert_array_equal(found.hkl[:3], hkl)
    np.testing.assert_array_equal(found.hkl[3:6], hkl)
    assert not found.hkl[6:].any()


def test_reflections_seen_twice_far_apart_in_angle_both_keep_their_index():
    a = np.eye(3) / 50.0
    points = np.array([[1, 2, 3], [1, 2, 3]]) @ a.T
    found = assign_indices(points, np.radians([10.0, 100.0]), [a])
    np.testing.assert_array_equal(found.crystal, [0, 0])


def test_sweeps_do_not_compete():
    a = np.eye(3) / 50.0
    points = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.1]]) @ a.T
    assert assign_indices(points, np.zeros(2), [a]).crystal.tolist() == [0, -1]
    assert assign_indices(points, np.zeros(2), [a], block=np.array([0, 1])).crystal.tolist() == [0, 0]


def test_tolerance_bounds_every_index():
    a = np.eye(3) / 50.0
    points = np.array([[1.0, 2.0, 3.2]]) @ a.T
    assert assign_indices(points, np.zeros(1), [a], tolerance=0.25).crystal.tolist() == [0]
    assert assign_indices(points, np.zeros(1), [a], tolerance=0.15).crystal.tolist() == [-1]
