"""Rotations by angles about axes, and their derivatives."""

from __future__ import annotations

import numpy as np

from xdp.refinement.parameters.rotations import make_cross_matrix, make_rotation, move_axes, multiply_rotations


def test_rotation_is_the_exponential_of_the_cross_matrix():
    from scipy.linalg import expm

    axis = np.array([0.6, 0.0, -0.8])
    rotations = make_rotation(axis, np.array([0.3, -2.0]))
    for matrix, angle in zip(rotations, (0.3, -2.0), strict=True):
        np.testing.assert_allclose(matrix, expm(angle * make_cross_matrix(axis)), atol=1e-14)


def test_products_of_rotations_differentiate():
    axes = np.eye(3)[[0, 2, 1]]
    angles = np.array([0.3, -0.2, 0.5])
    whole, turns = multiply_rotations(axes, angles), move_axes(axes, angles)
    for k in range(3):
        e = 1e-6 * np.eye(3)[k]
        numeric = (multiply_rotations(axes, angles + e) - multiply_rotations(axes, angles - e)) / 2e-6
        np.testing.assert_allclose(np.cross(turns[k], whole.T).T, numeric, atol=1e-9)
    np.testing.assert_allclose(whole @ whole.T, np.eye(3), atol=1e-14)
