"""Joint fits beside the linear algebra of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.profiles._kernels_frame import Box
from xdp.integration.profiles._kernels_overlaps import (
    MOST_TOGETHER,
    OverlapPixels,
    compute_joint_variance,
    fit_intensities,
    invert,
    is_near,
    list_pixels,
)
from xdp.integration.profiles.arguments import BoxPixels

pytestmark = pytest.mark.kernels
SCATTER = 0.005
"""k^2."""


@pytest.mark.parametrize("n", [1, 2, 5, MOST_TOGETHER])
def test_inverses_are_those_of_numpy(n):
    a = np.random.default_rng(n).normal(size=(n + 3, n))
    matrix, inverse = np.zeros((MOST_TOGETHER, MOST_TOGETHER)), np.zeros((MOST_TOGETHER, MOST_TOGETHER))
    matrix[:n, :n] = a.T @ a
    assert invert(matrix.copy(), n, inverse)
    np.testing.assert_allclose(inverse[:n, :n], np.linalg.inv(a.T @ a), rtol=1e-9)


def test_singular_matrices_are_recognised():
    matrix = np.ones((MOST_TOGETHER, MOST_TOGETHER))
    assert not invert(matrix, 2, np.empty_like(matrix))


@pytest.fixture
def overlapping():
    """Three profiles that share 40 pixels, and their counts."""
    rng = np.random.default_rng(3)
    x = np.arange(40.0)
    p = np.zeros((MOST_TOGETHER, 40))
    p[:3] = [np.exp(-0.5 * ((x - c) / 4.0) ** 2) / (4.0 * np.sqrt(2.0 * np.pi)) for c in (15.0, 21.0, 30.0)]
    b = rng.random(40) + 1.0
    true = np.array([800.0, 300.0, 50.0])
    return rng.poisson(b + true @ p[:3]).astype(float), b, p, true


def test_intensities_solve_the_normal_equations(overlapping):
    d, b, p, true = overlapping
    intensity, inverse = np.zeros(MOST_TOGETHER), np.zeros((MOST_TOGETHER, MOST_TOGETHER))
    assert fit_intensities(d, b, p, 40, 3, SCATTER, intensity, inverse)
    v = b + (np.maximum(intensity[:3], 0.0) + SCATTER * np.maximum(intensity[:3], 0.0) ** 2) @ p[:3]
    matrix = (p[:3] / v) @ p[:3].T
    # rounds end when changes are a thousandth of a standard deviation
    sigma = np.sqrt(np.diag(np.linalg.inv(matrix)))
    expected = np.linalg.solve(matrix, (p[:3] / v) @ (d - b))
    assert np.abs((intensity[:3] - expected) / sigma).max() < 2e-3
    np.testing.assert_allclose(inverse[:3, :3], np.linalg.inv(matrix), rtol=1e-2)
    assert np.abs((intensity[:3] - true) / sigma).max() < 4.0


def test_the_joint_variance_is_that_of_the_weighted_sum(overlapping):
    d, b, p, _ = overlapping
    intensity, inverse = np.zeros(MOST_TOGETHER), np.zeros((MOST_TOGETHER, MOST_TOGETHER))
    fit_intensities(d, b, p, 40, 3, SCATTER, intensity, inverse)
    pixels, var_b = OverlapPixels(np.arange(40), d, b, p), 0.03
    found = compute_joint_variance(pixels, 40, 3, SCATTER, intensity, inverse, var_b)
    signal = np.maximum(intensity[:3], 0.0)
    v = b + (signal + SCATTER * signal**2) @ p[:3]
    weights = inverse[0, :3] @ (p[:3] / v)
    own = np.outer(p[0], p[0])
    covariance = np.diag(v) - SCATTER * signal[0] ** 2 * own + var_b
    # the first's own scatter alone is taken off, as weights make it: those of neighbours are blind to its profile
    assert found == pytest.approx(weights @ covariance @ weights, rel=2e-2)


def test_pixels_are_the_valid_ones_of_foreground_and_neighbours():
    mask = np.array([5, 5, 4, 3, 35, 37, 32, 1], np.uint8)
    data = np.arange(8.0, dtype=np.float32)
    boxes = BoxPixels(np.zeros(1, np.int64), np.zeros((1, 6), np.int32), np.array([0, 8]), data, data - 3.0, mask)
    pixels = OverlapPixels(np.empty(8, np.int64), np.empty(8), np.empty(8), np.empty((MOST_TOGETHER, 8)))
    n, n_own = list_pixels(boxes, Box(0, 0, 0, 0, 7, 7, 1, 1, 8), pixels)
    assert (n, n_own) == (3, 2)
    assert pixels.place[:n].tolist() == [0, 3, 4]
    assert pixels.d[:n].tolist() == [1.0, 4.0, 5.0]
    assert pixels.b[:n].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("centre", "z", "expected"), [
    ((15.0, 25.0), (4, 6), True), ((6.0, 25.0), (4, 6), True), ((4.0, 25.0), (4, 6), False),
    ((15.0, 37.0), (4, 6), False), ((15.0, 25.0), (7, 9), False), ((15.0, 25.0), (1, 3), False)])
def test_near_reflections_share_frames_and_lie_within_reach(centre, z, expected):
    assert is_near(np.array(centre), np.array(z), np.array([10, 20, 20, 30, 3, 7]), 5.0, 6.0) == expected
