"""The second half of the extended threshold: bits, runs and sums of background columns against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from threshold_twins import picture, slow_dispersed, slow_strong, window

from xdp.spotfinding.options import DispersionOptions
from xdp.spotfinding.threshold import _kernels_extended as extended
from xdp.spotfinding.threshold._kernels_formula import Rules
from xdp.spotfinding.threshold._kernels_window import RawLimits

pytestmark = pytest.mark.kernels

LIMITS = RawLimits(*np.array([0, 0, 500, 500], np.int32))


@pytest.mark.parametrize("width", [1, 63, 64, 65, 128, 150])
@pytest.mark.parametrize("radius", [0, 1, 2, 5])
def test_bits_are_eroded_as_pixels_are(width, radius):
    rng = np.random.default_rng(width + radius)
    mask = rng.random((40, width)) < 0.97 ** (1 / (1 + radius))
    expected = np.array([[mask[window(j, i, (radius, radius), mask.shape)].all() for i in range(width)]
                         for j in range(40)])
    bits = extended.erode_bits(np.flatnonzero(mask), mask.shape, radius)
    found = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, :width].astype(bool)
    assert expected.any() or radius == 5
    np.testing.assert_array_equal(found, expected)


def make_frame(image, use):
    """A frame without marks; masks are as wide as the kernels want them."""
    valid = np.zeros((image.shape[0], 128), np.uint8)
    valid[:, :image.shape[1]] = use
    return extended.MarkedFrame(image, valid, np.zeros(image.shape, np.uint8), LIMITS)


def test_runs_are_stretches_of_set_pixels_in_a_row():
    mask = np.zeros((3, 70), bool)
    mask[0, 3:6] = mask[0, 68:] = mask[1, 0] = mask[2, 63:66] = True
    index = np.flatnonzero(mask)
    keep = mask.copy()
    keep[0, 4] = False  # in the list, but not set: it parts a run
    bits = extended.erode_bits(np.flatnonzero(keep), mask.shape, 0)
    marks, first, size = np.zeros(mask.shape, np.uint8), np.empty(len(index), np.int64), np.empty(len(index), np.int64)
    n = extended.list_peak_runs(index, bits, marks, first, size)
    assert first[:n].tolist() == [3, 5, 68, 70, 203]
    assert size[:n].tolist() == [1, 1, 2, 1, 3]
    np.testing.assert_array_equal(marks.astype(bool), keep)


@pytest.mark.parametrize("width", [9, 16, 40, 75])
def test_columns_are_summed_anew_or_brought_up_to_date(width):
    """Runs in the next row, in the same one, and far away; blocks at the right edge are shorter than others."""
    image, use = picture(shape=(40, width))
    frame = make_frame(image, use)
    frame.marks[10:14, 2:7] = 1
    sums = extended.ColumnSums(np.zeros(width, np.int32), np.zeros(width, np.int32), np.full(width, -2, np.int64))
    for row, first, last in ((2, 0, 5), (3, 0, 8), (3, 4, 9), (4, 1, 9), (20, 0, width), (39, 3, width)):
        extended.sum_background_columns(frame, row, 4, first, last, sums)
        rows = slice(max(0, row - 4), row + 5)
        background = (use & (image <= 500) & (frame.marks == 0))[rows]
        np.testing.assert_array_equal(sums.number[first:last], background.sum(axis=0)[first:last])
        np.testing.assert_array_equal(sums.total[first:last], (image[rows] * background).sum(axis=0)[first:last])


def test_strong_peaks_are_those_of_the_whole_threshold():
    image, use = picture()
    image = np.minimum(image, 500)
    options = DispersionOptions()
    index = np.flatnonzero(slow_dispersed(image, use, options, False))
    frame, rules = make_frame(image, use), Rules(6.0, 3.0, 0.0, 2, 1.0, False)
    n = extended.select_strong_peaks(frame, np.array([3, 3]), rules, index)
    expected = slow_strong(image, use, options, "dispersion_extended")
    assert expected.sum() > 20
    np.testing.assert_array_equal(index[:n], np.flatnonzero(expected))
    assert not frame.marks.any()
