"""Kernels of hot and dead pixels beside slow twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import poisson

from xdp.integration.hot_pixels._kernels import CAP, add_counts, count_isolated, find_low

pytestmark = pytest.mark.kernels


def test_counts_are_added_within_limits():
    for dtype, values in ((np.int32, [-2, 0, 7, CAP + 5]), (np.uint16, [0, 1, 7, 65535]),
                          (np.float32, [-1.0, 0.0, 7.0, 1e9])):
        sums = np.full((2, 2), 10, np.uint32)
        limits = dtype(0), dtype(min(CAP, np.iinfo(dtype).max) if dtype != np.float32 else CAP)
        add_counts(np.array(values, dtype).reshape(2, 2), *limits, sums)
        np.testing.assert_array_equal(sums.ravel(), 10 + np.clip(np.array(values, np.float64), 0, CAP).astype(np.int64))


def slow_isolated(sums, valid, ratio, n_sigma):
    """Twin of the kernel."""
    found = np.zeros(sums.shape, bool)
    for y, x in np.ndindex(*sums.shape):
        near = [float(sums[v, u]) for v in range(max(y - 1, 0), min(y + 2, sums.shape[0]))
                for u in range(max(x - 1, 0), min(x + 2, sums.shape[1])) if (v, u) != (y, x) and valid[v, u]]
        c, m = float(sums[y, x]), max([1.0, *near])
        found[y, x] = valid[y, x] and len(near) >= 3 and c - ratio * m > n_sigma * math.sqrt(c + ratio**2 * m)
    return found


def slow_low(sums, valid, level, fraction, log_probability):
    """Twin of the kernel."""
    found = []
    for y, x in np.ndindex(*sums.shape):
        near = sorted(float(sums[v, u]) for v in range(max(y - 2, 0), min(y + 3, sums.shape[0]))
                      for u in range(max(x - 2, 0), min(x + 3, sums.shape[1])) if (v, u) != (y, x) and valid[v, u])
        if not valid[y, x] or len(near) < 12:
            continue
        c, e = float(sums[y, x]), min(near[3 * len(near) // 10], level)
        if e > 0 and c <= fraction * e and c - e - (c * math.log(c / e) if c else 0.0) < log_probability:
            found.append(y * sums.shape[1] + x)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_kernels_do_as_their_slow_twins(seed):
    rng = np.random.default_rng(seed)
    sums = rng.poisson(30, (25, 31)).astype(np.uint32)
    places = rng.integers(0, sums.size, 40)
    sums.flat[places[:20]] = rng.integers(100, 3000, 20)
    sums.flat[places[20:]] = rng.integers(0, 2, 20)
    valid = rng.random(sums.shape) > 0.2
    times = np.zeros(sums.shape, np.uint8)
    count_isolated(sums, valid, 3.0, 8.0, times)
    expected = slow_isolated(sums, valid, 3.0, 8.0)
    assert expected.sum() > 3
    np.testing.assert_array_equal(times, expected)
    found = np.zeros(100, np.int64)
    n = find_low(sums, valid, 25.0, 0.05, -15.0, found)
    low = slow_low(sums, valid, 25.0, 0.05, -15.0)
    assert n == len(low) > 3
    assert sorted(found[:n]) == low


def test_the_bound_of_the_probability_is_not_below_it():
    for e in (5.0, 20.0, 60.0):
        c = np.arange(0, int(e))
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.where(c > 0, c - e - c * np.log(c / e), -e)
        assert np.all(poisson.logcdf(c, e) <= bound + 1e-12)
