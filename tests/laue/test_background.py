"""The background kernels against NumPy and SciPy, pixel by pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from xdp.errors import XdpError
from xdp.laue._kernels_background import compute_chi_square_tail
from xdp.laue.background import (
    Grouping,
    Trimming,
    compute_grouped_background,
    compute_trimmed_background,
    count_removed,
)

pytestmark = pytest.mark.kernels

# Few distinct values make ties, 65535 is saturation, and wide ranges leave the counting of values for sorting.
TIED = st.sampled_from([0, 1, 2, 3, 100, 101, 65535])
VALUES = st.one_of(TIED, st.integers(0, 20), st.integers(0, 65535))


def stacks(min_frames: int = 2, max_frames: int = 24, elements=VALUES, dtype=np.uint16):
    shape = st.tuples(st.integers(min_frames, max_frames), st.integers(1, 5))
    return shape.flatmap(lambda s: hnp.arrays(dtype, s, elements=elements))


def slow_statistics(kept: np.ndarray) -> tuple[float, float, float]:
    kept = np.sort(kept.astype(np.float64))
    high, low = np.percentile(kept, [75, 25])
    return kept.mean(), kept.std(), high - low


def assert_statistics(result: dict, pixel: int, kept: np.ndarray) -> None:
    avg, std, iqr = slow_statistics(kept)
    # sums of whole numbers are exact in both; the standard deviation differs by rounding of the deviations, whose
    # error is of the order of the machine's precision times the largest value
    assert result["avg"][pixel] == pytest.approx(avg, rel=1e-14)
    assert result["std"][pixel] == pytest.approx(std, rel=1e-9, abs=1e-9)
    assert result["iqr"][pixel] == pytest.approx(iqr, rel=1e-14, abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(stacks(), st.floats(0, 1))
def test_trimmed_statistics_are_numpys(values, share):
    n_removed = int(share * (len(values) - 1))
    result = compute_trimmed_background(values, Trimming(n_removed))
    assert np.array_equal(result["max"], values.max(axis=0))
    assert np.array_equal(result["arg"], values.argmax(axis=0))
    for pixel in range(values.shape[1]):
        kept = np.sort(values[:, pixel])[:len(values) - n_removed]
        assert_statistics(result, pixel, kept)
        if (kept == kept[0]).all():
            assert result["std"][pixel] == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.float32])
def test_other_types_of_counts(dtype):
    values = np.random.default_rng(3).integers(0, 120, (30, 7)).astype(dtype)
    result = compute_trimmed_background(values, Trimming(6))
    assert result["max"].dtype == dtype
    for pixel in range(7):
        assert_statistics(result, pixel, np.sort(values[:, pixel])[:24])


def test_large_numbers_and_negative_ones():
    values = np.array([[-5, 2**31 - 1], [-1, 7], [3, 9], [2**30, 9]], np.int32)
    result = compute_trimmed_background(values, Trimming(1))
    assert_statistics(result, 0, np.array([-5, -1, 3]))
    assert_statistics(result, 1, np.array([7, 9, 9]))
    assert result["arg"].tolist() == [3, 0]


def test_more_pixels_than_are_looked_at_together():
    """Short and long ranges side by side, over the limits of the blocks; the first frame of a maximum counts."""
    rng = np.random.default_rng(9)
    values = rng.poisson(30, (40, 1100)).astype(np.uint16)
    values[rng.random(values.shape) < 0.1] = 5000
    values[:, 60:70] = rng.integers(0, 60000, (40, 10))
    result = compute_trimmed_background(values, Trimming(10))
    assert np.array_equal(result["max"], values.max(axis=0))
    assert np.array_equal(result["arg"], values.argmax(axis=0))
    for pixel in (0, 59, 60, 63, 64, 69, 511, 512, 575, 1087, 1088, 1099):
        assert_statistics(result, pixel, np.sort(values[:, pixel])[:30])


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


def test_maxgroup_sees_what_kruskal_cannot():
    """Ten angles of two frames: one very bright angle of them."""
    rng = np.random.default_rng(1)
    values = rng.poisson(100, (20, 400)).astype(np.uint16)
    values[4:6] += 5000
    groups = tuple(np.repeat(np.arange(10), 2).tolist())
    kruskal = compute_grouped_background(values, Grouping(groups))["n_rejected"]
    maxgroup = compute_grouped_background(values, Grouping(groups, test="maxgroup"))
    assert np.mean(kruskal > 0) < 0.05
    assert np.all(maxgroup["n_rejected"] >= 1)
    assert np.all(maxgroup["avg"] < 120)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 35, 36, 89, 360])
def test_chi_square_tail(df):
    for x in (0.0, 1e-6, 0.1, df / 2, df, 2 * df, 5.0 * df + 40):
        assert compute_chi_square_tail(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-10)


@pytest.mark.parametrize(("n_frames", "percent", "removed"), [(360, 25, 90), (10, 25, 2), (7, 50, 3), (100, 29, 29)])
def test_percentage_is_rounded_down(n_frames, percent, removed):
    assert count_removed(n_frames, percent) == removed


def test_all_values_removed():
    with pytest.raises(XdpError, match="leaves no value"):
        count_removed(10, 100)


@pytest.mark.parametrize("mean", [4, 20, 100, 2000])
def test_correction_undoes_truncation(mean):
    """360 frames, a quarter removed; the bias left is below 0.02 sigma where the reference's is -0.43."""
    values = np.random.default_rng(7).poisson(mean, (360, 20000)).astype(np.uint16)
    result = compute_trimmed_background(values, Trimming(90))
    sigma = np.sqrt(mean)
    assert (result["avg"].mean() - mean) / sigma == pytest.approx(-0.43, abs=0.03)
    assert abs(result["avg_corrected"].mean() - mean) / sigma < 0.02
    assert np.sqrt(np.mean(result["std_corrected"] ** 2)) / sigma == pytest.approx(1, abs=0.02)


def test_correction_with_spots_among_the_removed():
    """30 of 360 frames carry a bright spot: fewer background values were cut than n_removed says."""
    values = np.random.default_rng(8).poisson(100, (360, 20000)).astype(np.uint16)
    values[:30] += 4000
    result = compute_trimmed_background(values, Trimming(90))
    assert abs(result["avg_corrected"].mean() - 100) / 10 < 0.02
    assert result["std_corrected"].mean() / 10 == pytest.approx(1, abs=0.02)
