"""CC1/2 without each part: the sums give what leaving out and computing anew gives."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.merging.average import sort_scaled
from xdp.merging.delta.incremental import DeltaCcHalf, leave_out_parts
from xdp.merging.statistics import compute_cc_half


def slow(group, intensity, part, d, n_bins):
    """Leave out each part and compute all anew, reflection by reflection."""
    shells = np.empty(len(d), int)
    shells[np.argsort(-d, kind="stable")] = np.arange(len(d)) * n_bins // len(d)

    def whole(rows):
        total = weight = 0.0
        for k in range(n_bins):
            means, errors = [], []
            for reflection in np.flatnonzero(shells == k):
                values = intensity[rows & (group == reflection)]
                if len(values) > 1:
                    means.append(values.mean())
                    errors.append(values.var(ddof=1) / (len(values) / 2.0))
            if len(means) > 2:
                y, e = np.var(means, ddof=1), np.mean(errors)
                total += len(means) * (y - e / 2.0) / (y + e / 2.0)
                weight += len(means)
        return total / weight

    every = np.ones(len(group), bool)
    return whole(every), np.array([whole(part != p) for p in np.unique(part)])


def test_the_sums_equal_the_slow_twin():
    rng = np.random.default_rng(3)
    n, m = 900, 60
    group, part = rng.integers(0, m, n), rng.integers(0, 7, n) * 3
    J = rng.exponential(size=m)
    intensity = 1000.0 + J[group] + 0.3 * rng.normal(size=n)
    d = rng.uniform(1.5, 4.0, m)
    found = leave_out_parts(group, intensity, part, d, 4)
    whole, without = slow(group, intensity, part, d, 4)
    assert found.cc_half == pytest.approx(whole, abs=1e-10)
    np.testing.assert_allclose(found.without, without, atol=1e-10)
    assert found.parts.tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert found.n.sum() == n


def test_one_shell_is_the_statistic_of_merging():
    rng = np.random.default_rng(4)
    hkl = np.repeat(np.stack(np.meshgrid(*[np.arange(1, 7)] * 3), -1).reshape(-1, 3), 4, axis=0)
    J = np.repeat(rng.exponential(size=len(hkl) // 4), 4)
    intensity = J + 0.2 * rng.normal(size=len(hkl))
    seen = sort_scaled(gemmi.SpaceGroup("P 1"), hkl, intensity, np.ones(len(hkl)), (np.arange(len(hkl)),))
    inside = np.ones(len(seen.unique), bool)
    found = leave_out_parts(seen.unique.group, seen.intensity, np.arange(len(hkl)) % 2, np.ones(len(inside)), 1)
    assert found.cc_half == pytest.approx(compute_cc_half(seen, inside), abs=1e-12)


def test_outliers_are_below_the_mean_by_standard_deviations():
    without = np.full(30, 0.9) + 1e-4 * np.random.default_rng(1).normal(size=30)
    without[[5, 9]] = 0.97, 0.95
    found = DeltaCcHalf(np.arange(30) * 2, np.ones(30, int), 0.9, without)
    assert found.find_outliers(2.0).tolist() == [10, 18]
    assert found.find_outliers(9.0).tolist() == []
    assert DeltaCcHalf(np.arange(1), np.ones(1, int), 0.9, np.array([0.9])).find_outliers(4.0).tolist() == []
