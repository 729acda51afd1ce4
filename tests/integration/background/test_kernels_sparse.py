"""Rates of sparse counts: right at any level, whatever spots and hot pixels there are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from xdp.integration.background._kernels_series import filter_azimuth
from xdp.integration.background._kernels_sparse import (
    DENSE,
    SPARSE,
    UNLIKELY,
    estimate_rate,
    find_highest_likely,
    mix_sparse,
)

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("mean", [1e-9, 0.003, 0.03, 0.3, 3.0, 29.0])
def test_the_highest_likely_count_is_that_of_the_distribution(mean):
    highest, part = find_highest_likely(mean)
    assert highest == max(int(poisson.isf(UNLIKELY, mean)), 1)
    counts = np.arange(highest + 1)
    expected = np.sum(counts * poisson.pmf(counts, mean)) / poisson.cdf(highest, mean)
    assert part * mean == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("mean", [0.014, 0.03, 0.3, 1.0, 3.0, 10.0, 30.0])
def test_rates_have_no_bias_and_outliers_do_not_move_them(mean):
    """1000 windows of 101 pixels on 10 images; every twentieth pixel belongs to a spot or is hot."""
    rng = np.random.default_rng(4)
    totals = rng.poisson(mean, (1000, 101)).astype(float)
    is_spoilt = rng.random(totals.shape) < 0.05
    spoilt = np.where(is_spoilt, totals + mean + rng.integers(8, 2000, totals.shape), totals)
    numbers = np.full(101, 10.0)
    tolerance = 3.0 * np.sqrt(mean / totals.size)  # the counts' own scatter, 3 sigma
    assert np.mean([estimate_rate(t, numbers, 101) for t in totals]) * 10.0 == pytest.approx(mean, abs=tolerance)
    # A spot's pixel a few sigma above the background cannot be told from it: 3 % where the background is 30 counts.
    found = np.mean([estimate_rate(t, numbers, 101) for t in spoilt]) * 10.0
    assert found == pytest.approx(mean, abs=1.1 * tolerance + 0.03 * mean)
    assert spoilt.mean() > mean + 40.0


def test_pixels_of_fewer_images_count_as_such():
    rng = np.random.default_rng(1)
    numbers = rng.choice([10.0, 100.0], 20_000)
    totals = rng.poisson(0.02 * numbers).astype(float)
    # 20,000 pixels of 55 images and 0.02 counts: 22,000 counts, 0.7 %; 4 sigma.
    assert estimate_rate(totals, numbers, len(totals)) == pytest.approx(0.02, rel=0.028)


def test_counts_below_zero_have_no_rate_of_this_kind():
    assert estimate_rate(np.array([0.0, 3.0, -1.0]), np.ones(3), 3) == -1.0
    assert estimate_rate(np.zeros(3), np.ones(3), 3) == 0.0


def mix(totals, n_images, half=50):
    """Medians of the mean counts, and the same with sparse windows mixed in."""
    numbers = np.full(totals.shape, float(n_images))
    medians = np.empty(totals.shape)
    filter_azimuth(totals / n_images, half, True, medians)
    mixed = medians.copy()
    mix_sparse(totals, numbers, half, mixed)
    return medians, mixed


def test_many_counts_keep_their_median_to_the_bit():
    totals = np.random.default_rng(2).poisson(3.0 * DENSE, (300, 4)).astype(float)
    medians, mixed = mix(totals, 10)
    assert np.array_equal(medians, mixed)


def test_between_few_and_many_counts_nothing_jumps():
    """The ratio to the truth, level by level in steps of 3 %, is smooth and near 1."""
    rng = np.random.default_rng(3)
    levels = SPARSE / 3.0 * 1.03 ** np.arange(120)
    ratio = np.array([mix(rng.poisson(level, (400, 6)).astype(float), 10)[1].mean() * 10.0 / level
                      for level in levels])
    # 2,400 pixels: 1.2 % at a level of 3, 0.3 % at 50; the median lies 1/3 of a count low.
    assert np.abs(ratio - 1.0).max() < 0.045
    smooth = np.convolve(ratio, np.ones(10) / 10, "valid")
    assert np.abs(np.diff(smooth)).max() < 0.006


def test_holes_are_left_out():
    totals = np.ones((120, 2))
    totals[10:90, 0] = np.nan
    totals[:, 1] = np.nan
    _, mixed = mix(totals, 10)
    assert np.allclose(mixed[:, 0], 0.1, rtol=1e-3)  # each count is 1: the limit, 5, allows for higher ones
    assert np.isnan(mixed[:, 1]).all()
