"""Moments of truncated samples against drawn ones and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from xdp.laue.truncation import compute_lower_moments, make_truncation_tables


@pytest.mark.parametrize(("n", "k"), [(20, 15), (20, 20), (360, 270), (8, 4)])
def test_moments_of_the_lowest(n, k):
    drawn = np.sort(np.random.default_rng(0).standard_normal((40000, n)), axis=1)[:, :k]
    for m, moment in enumerate(compute_lower_moments(n, k), 1):
        spread = np.std(np.mean(drawn**m, axis=1)) / 200
        assert abs(moment - np.mean(drawn**m)) < 5 * spread + 1e-6


def test_large_samples_tend_to_the_truncated_gaussian():
    tables = make_truncation_tables(10000, 2500)[:, 0]
    cut = stats.norm.ppf(0.75)
    ratio = stats.norm.pdf(cut) / 0.75
    assert tables[0] == pytest.approx(ratio, rel=1e-3)
    assert tables[1] == pytest.approx(1 - cut * ratio - ratio**2, rel=1e-3)


def test_nothing_removed_corrects_nothing():
    tables = make_truncation_tables(50, 0)
    assert tables[0, 0] == pytest.approx(0, abs=1e-9)
    assert tables[1, 0] == pytest.approx(49 / 50, rel=1e-6)


@pytest.mark.parametrize("n", [20, 100])
def test_variance_of_few_values(n):
    drawn = np.sort(np.random.default_rng(1).standard_normal((40000, n)), axis=1)[:, :3 * n // 4]
    assert make_truncation_tables(n, n // 4)[1, 0] == pytest.approx(np.mean(np.var(drawn, axis=1)), rel=0.02)
