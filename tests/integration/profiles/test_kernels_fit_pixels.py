"""Fits on pixels: which take part, and the variance beside that of the counts' whole covariance matrix."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.profiles._kernels_fit_pixels import PixelList, compute_variance, list_pixels
from xdp.integration.profiles._kernels_transform import (
    find_largest,
    list_corners,
    make_workspace,
    place_reflection,
    slice_profile,
)

pytestmark = pytest.mark.kernels
SCATTER = 0.005
"""k^2."""


@pytest.mark.parametrize("intensity", [0.0, 50.0, 1e5])
def test_variance_is_that_of_the_weighted_sum(intensity):
    rng = np.random.default_rng(1)
    b, q = rng.random(30) + 0.5, rng.random(30)
    q /= q.sum()
    pixels = PixelList(np.arange(30), b, b, q)
    var_b = 0.02
    v = b + (intensity + SCATTER * intensity**2) * q
    weights = (q / v) / (q * q / v).sum()
    covariance = np.diag(v) - SCATTER * intensity**2 * np.outer(q, q) + var_b
    found = compute_variance(pixels, 30, intensity, SCATTER, var_b)
    assert found == pytest.approx(weights @ covariance @ weights, rel=1e-9)


def test_faint_pixels_are_left_out_unless_they_hold_more_signal_than_background(drawn, strong):
    given = drawn.grid(fit_method="detector_space").describe(drawn.table, strong)
    area, n_frames, n_pixels = find_largest(given.boxes, np.arange(4))
    work = make_workspace(area, n_frames, 11)
    _, placed = place_reflection(3, given, work)
    shape = drawn.grid().make_gaussian(1.0).reshape(11, 11, 11)
    sharp = np.pad(shape, ((0, 0), (1, 1), (1, 1))).reshape(11, -1).astype(np.float32)
    slice_profile(sharp, placed.box, given.grid, work)
    list_corners(placed.frame, placed.n_columns, 11, work)
    pixels = PixelList(np.empty(n_pixels, np.int64), *np.empty((3, n_pixels)))
    part = slice(placed.box.first, placed.box.end)
    is_good = (strong.mask[part] & 37) == 5
    everything, start = list_pixels(placed, given.boxes, 11, 0.0, work, pixels)
    assert start == pytest.approx((strong.data[part] - strong.background[part])[is_good].sum(), rel=1e-6)
    assert everything == is_good.sum()
    assert 0.9 < pixels.q[:everything].sum() < 1.01
    largest = pixels.q[:everything].max()
    n, _ = list_pixels(placed, given.boxes, 11, 0.5, work, pixels)
    assert 0 < n < everything
    assert np.all((pixels.q[:n] > 0.5 * largest) | (start * pixels.q[:n] > pixels.b[:n]))
