"""The threshold for whole numbers, called directly: statuses, lists that grow, and pixels against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from threshold_twins import BIG, picture, slow_dispersed

from xdp.spotfinding.options import DispersionOptions
from xdp.spotfinding.threshold import _kernels_dispersion as dispersion
from xdp.spotfinding.threshold._kernels_formula import Rules
from xdp.spotfinding.threshold._kernels_window import RawLimits, count_windows

pytestmark = pytest.mark.kernels


def find(image, use, half=(3, 3), squares=np.int32, largest=2**20, with_mean_test=True):
    """Status and flat indices of the over-dispersed pixels of an image."""
    half = np.array(half)
    valid = np.zeros((image.shape[0], 128), np.uint8)
    valid[:, :image.shape[1]] = use
    counts = np.zeros_like(valid)
    count_windows(valid, half, counts)
    m = np.arange(256.0)
    factors = m - 1 + 6.0 * np.sqrt(2 * np.maximum(m - 1, 0))
    factors[m < 2] = np.inf
    limit = int(np.sqrt((2**31 - 1) // 49)) if squares is np.int32 else largest
    work = dispersion.make_window_sums(image.shape[1], half, np.int32, squares)
    status, index = dispersion.find_dispersed_pixels(
        image, dispersion.WindowMask(valid, counts, np.ones(len(image), bool)),
        RawLimits(*np.array([-largest, -largest, largest, 2**30], np.int32)), np.array([-limit, limit], np.int32),
        dispersion.Window(half, factors.astype(np.float32)), Rules(6.0, 3.0, 0.0, 2, 1.0, False), with_mean_test, work)
    return status, index[:max(status, 0)]


@pytest.mark.parametrize("with_mean_test", [False, True])
@pytest.mark.parametrize("half", [(3, 3), (2, 5)])
def test_pixels_are_those_of_the_formulas(half, with_mean_test):
    image, use = picture()
    status, index = find(image, use, half, with_mean_test=with_mean_test)
    expected = slow_dispersed(image, use, DispersionOptions(kernel_size=half), with_mean_test)
    assert status == expected.sum() > 20
    np.testing.assert_array_equal(index, np.flatnonzero(expected))


def test_lists_grow_where_all_of_an_image_is_found():
    image = np.random.default_rng(0).integers(0, 2, (60, 75)).astype(np.int32) * 1000
    use = np.ones(image.shape, bool)
    status, index = find(image, use, with_mean_test=False)
    assert status == image.size  # more than the eight rows that the list begins with
    np.testing.assert_array_equal(index, np.arange(image.size))


def test_frames_that_fit_no_sum_have_a_status():
    image, use = picture()
    image[5, 5] = 2**21  # trusted, but too large to be summed
    assert find(image, use)[0] == dispersion.UNFIT
    image[5, 5] = BIG  # takes part in no sum
    assert find(image, use)[0] > 0
    bright = picture(background=9000.0)[0]
    bright[30:32, 40:42] *= 3
    assert find(bright, use)[0] == dispersion.BUSY
    assert find(bright, use, squares=np.int64)[0] > 0


def test_status_codes_are_no_counts():
    assert dispersion.UNFIT < 0
    assert dispersion.BUSY < 0
    assert dispersion.UNFIT != dispersion.BUSY


def test_lists_keep_what_they_hold_when_they_grow():
    assert dispersion.grow(np.array([3, 4, 5]))[:3].tolist() == [3, 4, 5]
    assert dispersion.grow(np.array([3, 4, 5])).size == 6


def test_words_with_a_hit_are_listed():
    hits, words = np.zeros(64, np.uint8), np.empty(9, np.int64)
    hits[[0, 7, 30, 63]] = 1, 2, 1, 2
    n = dispersion.list_nonzero_words(hits, words)
    assert words[:n].tolist() == [0, 3, 7]


def test_doubtful_pixels_become_hits_and_certain_ones_stay():
    hits = np.zeros(10, np.uint8)
    hits[3] = 2
    dispersion.mark_doubtful(hits, 1, 2)
    dispersion.mark_doubtful(hits, 9, 1)
    assert hits.tolist() == [1, 1, 1, 2, 0, 0, 0, 0, 1, 1]
