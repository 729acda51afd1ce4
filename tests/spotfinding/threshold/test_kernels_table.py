"""Thresholds by summed-area tables, called directly, against slow twins: whole numbers, of which all sums are exact."""

from __future__ import annotations

import numpy as np
import pytest
from threshold_twins import picture, slow_dispersed, slow_strong, window

from xdp.spotfinding.options import DispersionOptions
from xdp.spotfinding.threshold import _kernels_table as table
from xdp.spotfinding.threshold._kernels_formula import Rules

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("with_mean_test", [False, True])
@pytest.mark.parametrize("gain", [None, 2.0])
@pytest.mark.parametrize("half", [(3, 3), (1, 4)])
def test_dispersed_pixels(half, gain, with_mean_test):
    image, use = picture()
    options = DispersionOptions(kernel_size=half, gain=gain, global_threshold=4, sigma_background=3.0)
    rules, out = Rules(3.0, 3.0, 4.0, 2, gain or 1.0, gain is not None), np.empty(image.shape, np.uint8)
    table.mark_dispersed_pixels(image.astype(float), use.astype(np.uint8), np.array(half), rules, with_mean_test, out)
    expected = slow_dispersed(image, use, options, with_mean_test)
    assert expected.sum() > 20
    np.testing.assert_array_equal(out.astype(bool), expected)


def test_strong_peaks_stand_out_of_what_is_no_peak():
    image, use = picture()
    options, rules = DispersionOptions(), Rules(6.0, 3.0, 0.0, 2, 1.0, False)
    dispersed = slow_dispersed(image, use, options, False).astype(np.uint8)
    peaks, out = np.empty_like(dispersed), np.empty_like(dispersed)
    table.erode(dispersed, 2, peaks)
    table.mark_strong_peaks(image.astype(float), use.astype(np.uint8), peaks, np.array([5, 5]), rules, out)
    expected = slow_strong(image, use, options, "dispersion_extended")
    assert expected.sum() > 20
    np.testing.assert_array_equal(out.astype(bool), expected)


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_erosion_leaves_what_has_no_unset_pixel_near(radius):
    mask = np.random.default_rng(2).random((30, 41)) < 0.97
    out = np.empty(mask.shape, np.uint8)
    table.erode(mask.astype(np.uint8), radius, out)
    expected = [[mask[window(j, i, (radius, radius), mask.shape)].all() for i in range(41)] for j in range(30)]
    np.testing.assert_array_equal(out.astype(bool), expected)
