"""Statistics of groups of frames against NumPy and SciPy, pixel by pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laue_twins import assert_statistics, stacks
from scipy import stats

from xdp.laue._kernels_background import compute_chi_square_tail, encode
from xdp.laue.background import Grouping, compute_grouped_background

pytestmark = pytest.mark.kernels


def slow_kruskal(values: np.ndarray, groups: np.ndarray, alpha: float) -> tuple[np.ndarray, float, float, int]:
    """Values left, first and last p-value, and the number of groups dropped, with scipy.stats.kruskal."""
    left = list(np.unique(groups))
    first = last = 1.0
    n_dropped = 0
    while len(left) > 1:
        samples = [values[groups == g].astype(float) for g in left]
        pooled = np.concatenate(samples)
        last = 1.0 if (pooled == pooled[0]).all() else stats.kruskal(*samples).pvalue
        first = last if n_dropped == 0 else first
        if not last < alpha:
            break
        ranks = stats.rankdata(pooled)
        limits = np.cumsum([0, *map(len, samples)])
        means = [ranks[a:b].mean() for a, b in itertools.pairwise(limits)]
        del left[int(np.argmax(means))]
        n_dropped += 1
        last = 1.0
    return values[np.isin(groups, left)], first, last, n_dropped


@settings(deadline=None, max_examples=150)
@given(st.data(), st.sampled_from([0.01, 0.05, 0.3]))
def test_kruskal_is_scipys(data, alpha):
    values = data.draw(stacks(min_frames=4))
    groups = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values))))
    groups = np.unique(groups, return_inverse=True)[1]
    result = compute_grouped_background(values, Grouping(tuple(groups.tolist()), alpha))
    for pixel in range(values.shape[1]):
        kept, first, last, n_dropped = slow_kruskal(values[:, pixel], groups, alpha)
        # H is a difference of large sums: 1e-9 of a p-value is its rounding
        assert result["p_value"][pixel] == pytest.approx(first, rel=1e-9)
        assert result["p_value_left"][pixel] == pytest.approx(last, rel=1e-9)
        assert result["n_rejected"][pixel] == n_dropped
        assert result["n_used"][pixel] == len(kept)
        assert_statistics(result, pixel, kept)
    assert np.array_equal(result["arg"], values.argmax(axis=0))
    assert np.array_equal(result["max"], values.max(axis=0))


def slow_maxgroup(values: np.ndarray, groups: np.ndarray, alpha: float) -> tuple[np.ndarray, float, int]:
    """Rosner's sequence with scipy's t distribution: values left, first p-value, number dropped."""
    left = list(np.unique(groups))
    order, last_significant, first = [], 0, 1.0
    for step in range(len(left) // 2):
        means = [values[groups == g].mean() for g in left]
        highest = left[int(np.argmax(means))]
        rest = values[np.isin(groups, [g for g in left if g != highest])].astype(float)
        own = values[groups == highest].astype(float)
        df = len(rest) - 1
        scale = rest.std(ddof=1) * np.sqrt(1 / len(own) + 1 / len(rest)) if df > 0 else np.inf
        difference = own.mean() - rest.mean()
        p = stats.t.sf(difference / scale, df) if scale > 0 else float(difference <= 0)
        first = min(1, p * len(left)) if step == 0 else first
        if p * len(left) < alpha:
            last_significant = step + 1
        order.append(highest)
        left.remove(highest)
    return values[~np.isin(groups, order[:last_significant])], first, last_significant


def test_maxgroup_is_the_slow_one():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(8), [2, 3, 4, 2, 2, 5, 2, 4])
    values = rng.poisson(50, (len(groups), 300)).astype(np.uint16)
    values[:, 250:] = 7
    for pixel in range(100):  # one, two or three bright groups
        for group in rng.choice(8, 1 + pixel % 3, replace=False):
            values[groups == group, pixel] += rng.integers(10, 3000, dtype=np.uint16)
    result = compute_grouped_background(values, Grouping(tuple(groups.tolist()), 0.05, "maxgroup"))
    for pixel in range(values.shape[1]):
        kept, first, n_dropped = slow_maxgroup(values[:, pixel], groups, 0.05)
        assert result["n_rejected"][pixel] == n_dropped
        if values[:, pixel].min() < values[:, pixel].max():
            assert result["p_value"][pixel] == pytest.approx(first, rel=1e-6, abs=1e-12)
        assert_statistics(result, pixel, kept)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 35, 36, 89, 360])
def test_chi_square_tail(df):
    for x in (0.0, 1e-6, 0.1, df / 2, df, 2 * df, 5.0 * df + 40):
        assert compute_chi_square_tail(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-10)


@pytest.mark.parametrize("direct", [True, False])
def test_codes_are_in_the_order_of_the_values(direct):
    row = np.array([7, 3, 3, 9, 100, 7], np.int32)
    codes, levels = np.empty(6, np.int32), np.empty(6)
    n_codes = encode(row, row.min(), direct, codes, levels)
    assert codes.tolist() == ([4, 0, 0, 6, 97, 4] if direct else [1, 0, 0, 2, 3, 1])
    assert n_codes == (98 if direct else 4)
    if not direct:
        assert levels[:4].tolist() == [3, 7, 9, 100]
