"""Indices within a sphere, and passages through the Ewald sphere, beside slow searches."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.prediction._kernels_passages import find_passages, list_sphere
from xdp.prediction.rays import rotate_vectors

pytestmark = pytest.mark.kernels

A = np.array([[0.021, 0.001, -0.004], [0.002, 0.018, 0.003], [-0.001, 0.004, 0.025]])
S0 = np.array([0.0, 0.02, -1.0])
AXIS = np.array([1.0, 0.1, 0.05]) / np.linalg.norm([1.0, 0.1, 0.05])


@pytest.mark.parametrize("most", [0.003, 0.02])
def test_a_sphere_holds_the_indices_that_it_should(most):
    reach = np.array([int(np.linalg.norm(row) * np.sqrt(most)) for row in np.linalg.inv(A)]) + 1
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    square = np.square(hkl @ A.T).sum(axis=1)
    expected = hkl[(square <= most) & (square > 0.0)]
    out = np.zeros((len(hkl), 3), np.int32)
    n = list_sphere(A.T @ A, reach, most, out)
    assert n == len(expected) > 20
    np.testing.assert_array_equal(out[:n], expected)


def find(hkl, begin, end, room=5000):
    rows, angles, rays = np.empty(room, np.int64), np.empty(room), np.empty((room, 3))
    n = find_passages(hkl, A, AXIS, S0, begin, end, rows, angles, rays)
    return n, rows[:n], angles[:n], rays[:n]


@pytest.mark.parametrize(("begin", "end"), [(0.3, 0.9), (-2.0, 2.5), (1.0, 9.0)])
def test_passages_are_the_changes_of_sign_along_the_rotation(begin, end):
    hkl = np.random.default_rng(2).integers(-25, 26, (60, 3)).astype(np.int32)
    hkl = hkl[np.any(hkl != 0, axis=1)]
    n, rows, angles, rays = find(hkl, begin, end)
    # on the sphere, at an angle within the range, and where the rotated point says
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), np.linalg.norm(S0), rtol=1e-9)
    assert np.all((angles >= begin) & (angles <= end))
    expected = S0 + np.array([rotate_vectors(A @ hkl[r], AXIS, a) for r, a in zip(rows, angles, strict=True)])
    np.testing.assert_allclose(rays, expected, atol=1e-9)
    # as many as the distance from the sphere changes its sign on a fine grid of angles
    grid = np.linspace(begin, end, 20001)
    changes = 0
    for index in hkl:
        outside = np.linalg.norm(S0 + rotate_vectors(A @ index, AXIS, grid), axis=1) > np.linalg.norm(S0)
        changes += np.count_nonzero(outside[1:] != outside[:-1])
    assert n == changes > 5


def test_passages_beyond_the_room_are_counted():
    hkl = np.array([[3, 4, -5], [-6, 2, 7], [1, -9, 4]], np.int32)
    n, *_ = find(hkl, 0.0, 2.0 * np.pi - 1e-6)
    rows, angles, rays = np.empty(1, np.int64), np.empty(1), np.empty((1, 3))
    assert find_passages(hkl, A, AXIS, S0, 0.0, 2.0 * np.pi - 1e-6, rows, angles, rays) == n > 1
