"""The kernels against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.simulation._kernels import add_spots, draw_spots

pytestmark = pytest.mark.kernels

JACOBIAN = np.array([[[1e-3, 2e-4], [-1e-4, 1.2e-3]]])


def drawn(centre, n_sub, sigma=1.5e-3):
    shifts, weights = np.array([[[0.3, 0.0], [-0.5, 0.2]]]), np.array([[0.7, 0.3]])
    bbox, out = np.array([[0, 24, 0, 20]]), np.zeros(480, np.float32)
    draw_spots(np.array([centre]), JACOBIAN, sigma, shifts, weights, bbox, np.array([0, 480]), n_sub, out)
    return out.reshape(20, 24)


def test_draw_equals_its_twin():
    points = (np.stack(np.meshgrid(np.arange(24), np.arange(20)), axis=-1)[:, :, None, None]
              + np.stack(np.meshgrid([1 / 6, 0.5, 5 / 6], [1 / 6, 0.5, 5 / 6]), axis=-1))
    expected = np.zeros((20, 24))
    for shift, weight in [((0.3, 0.0), 0.7), ((-0.5, 0.2), 0.3)]:
        angles = (points - np.array([11.2, 9.7]) - shift) @ JACOBIAN[0].T
        density = np.exp(-0.5 * np.square(angles / 1.5e-3).sum(axis=-1)).mean(axis=(2, 3))
        expected += weight * density * np.linalg.det(JACOBIAN[0]) / (2 * np.pi * 1.5e-3**2)
    np.testing.assert_allclose(drawn((11.2, 9.7), 3), expected, rtol=1e-5, atol=1e-8)  # Stored as float32.


def test_a_whole_spot_holds_one_photon():
    assert abs(drawn((11.2, 9.7), 4).sum() - 1.0) < 1e-4


def test_add_equals_its_twin():
    rng = np.random.default_rng(0)
    bbox = np.array([[0, 3, 1, 3], [2, 5, 0, 2]])
    spots, image = rng.random(12).astype(np.float32), np.ones((4, 6))
    add_spots(image, np.array([1, 0]), np.array([10.0, 2.0]), bbox, np.array([0, 6, 12]), spots)
    expected = np.ones((4, 6))
    expected[1:3, 0:3] += 2.0 * spots[:6].reshape(2, 3)
    expected[0:2, 2:5] += 10.0 * spots[6:].reshape(2, 3)
    np.testing.assert_allclose(image, expected, rtol=1e-6)  # The twin multiplies in float32.
