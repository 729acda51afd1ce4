"""Indices near the Ewald sphere, beside a search through all of them."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.prediction._kernels_near_sphere import list_near_sphere

pytestmark = pytest.mark.kernels

A = np.array([[0.021, 0.001, -0.004], [0.002, 0.018, 0.003], [-0.001, 0.004, 0.025]])
S0 = np.array([0.0, 0.02, -1.0])


def search_all(reach, q_low, q_high, constant, slope):
    """The same by NumPy."""
    axes = [np.arange(-n, n + 1) for n in reach]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[np.any(hkl != 0, axis=1)]
    q = hkl @ A.T
    square = np.square(q).sum(axis=1)
    off = np.abs(np.linalg.norm(S0 + q, axis=1) - np.linalg.norm(S0))
    return hkl[(square >= q_low) & (square <= q_high) & (off <= constant + slope * np.sqrt(square))]


@pytest.mark.parametrize(("constant", "slope"), [(0.004, 0.0), (0.0, 0.01), (0.002, 0.02)])
def test_near_points_are_those_of_the_search_in_its_order(constant, slope):
    reach, limits = np.array([12, 13, 9]), (0.01, 0.05)
    expected = search_all(reach, *limits, constant, slope)
    out = np.zeros((1000, 3), np.int32)
    n = list_near_sphere(A, reach, S0, *limits, constant, slope, out)
    assert n == len(expected) > 20
    np.testing.assert_array_equal(out[:n], expected)


def test_points_beyond_the_room_are_counted_not_written():
    reach = np.array([12, 13, 9])
    out = np.full((8, 3), 99, np.int32)
    n = list_near_sphere(A, reach, S0, 0.0, 0.05, 0.004, 0.0, out[:5])
    assert n == len(search_all(reach, 0.0, 0.05, 0.004, 0.0)) > 5
    assert np.all(out[5:] == 99)
