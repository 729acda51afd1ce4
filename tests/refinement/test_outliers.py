"""Outlier rejection against slow twins, and answers made by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from xdp.refinement.options import Mcd, Outlier, Tukey
from xdp.refinement.outliers import (
    Sample,
    chi_square,
    chi_square_quantile,
    find_mcd_outliers,
    find_outliers,
    find_sauter_poon_outliers,
    find_tukey_outliers,
    minimum_covariance_determinant,
)


def sample(residuals: np.ndarray, *, angles: np.ndarray | None = None, panel: np.ndarray | None = None,
           is_still: bool = False) -> Sample:
    n = len(residuals)
    return Sample(residuals, np.zeros(n) if angles is None else angles,
                  np.zeros(n, int) if panel is None else panel, is_still, (0.1, 0.1))


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7])
def test_chi_square_is_that_of_scipy(freedom: int):
    for p in (0.01, 0.5, 0.975, 0.9999):
        assert chi_square_quantile(p, freedom) == pytest.approx(stats.chi2.ppf(p, freedom), rel=1e-10)
    assert chi_square(3.3, freedom) == pytest.approx(stats.chi2.cdf(3.3, freedom), rel=1e-12)


def test_tukey_by_hand():
    """Quartiles of 0..8 are 2 and 6: with 1.5 times 4 beyond them, -4 and 12 are the limits."""
    columns = np.array([[0, 1, 2, 3, 4, 5, 6, 7, 8.0]]).T
    assert not find_tukey_outliers(columns, Tukey()).any()
    columns[-1] = 12.5
    assert find_tukey_outliers(columns, Tukey()).tolist() == [False] * 8 + [True]
    assert not find_tukey_outliers(columns, Tukey(iqr_multiplier=2.0)).any()


def slow_mcd(data: np.ndarray, h: int) -> tuple[np.ndarray, np.ndarray]:
    """The definition: of all subsets of h the one whose covariance has the smallest determinant."""
    best = min(itertools.combinations(range(len(data)), h),
               key=lambda rows: np.linalg.det(np.cov(data[list(rows)].T, bias=True)))
    chosen = data[list(best)]
    return chosen.mean(axis=0), np.cov(chosen.T, bias=True)


def test_mcd_equals_the_search_over_all_subsets():
    rng = np.random.default_rng(3)
    data = rng.normal(size=(14, 2)) * [1.0, 20.0] + [5.0, -3.0]
    data[:3] += [30.0, 300.0]
    location, scatter = minimum_covariance_determinant(data, Mcd())
    want_location, want_scatter = slow_mcd(data, (14 + 2 + 1) // 2)
    np.testing.assert_allclose(location, want_location, rtol=1e-9)
    # the scatter is the subset's but for the factor that makes it consistent
    np.testing.assert_allclose(scatter / scatter[0, 0], want_scatter / want_scatter[0, 0], rtol=1e-6)


def test_mcd_is_consistent_and_not_drawn_by_a_cluster():
    rng = np.random.default_rng(5)
    covariance = np.array([[4.0, 1.0, 0.0], [1.0, 1.0, 0.3], [0.0, 0.3, 0.5]])
    data = rng.multivariate_normal([1, 2, 3], covariance, size=6000)
    data[:1500] = rng.normal(size=(1500, 3)) + 25.0
    location, scatter = minimum_covariance_determinant(data, Mcd())
    np.testing.assert_allclose(location, [1, 2, 3], atol=0.15)  # 3000 observations: 2 / sqrt(3000), three of them
    # a quarter of the data is bad: the nearest half of all reaches further into the good ones than their own half
    np.testing.assert_allclose(scatter / covariance[0, 0], covariance / covariance[0, 0] * np.trace(scatter) / 5.5,
                               atol=0.15)
    found = find_mcd_outliers(data, Mcd())
    assert found[:1500].all()
    assert found[1500:].mean() < 0.03  # 2.5 % by the quantile


def test_mcd_options_matter():
    data = np.random.default_rng(1).normal(size=(400, 3))
    many, few = (find_mcd_outliers(data, Mcd(threshold_probability=p)).sum() for p in (0.5, 0.975))
    assert many > 2 * few
    half, most = (minimum_covariance_determinant(data, Mcd(alpha=a))[1] for a in (0.5, 0.95))
    assert not np.allclose(half, most)
    few, many = (minimum_covariance_determinant(data, Mcd(n_trials=1, k1=1, k3=k))[1] for k in (1, 100))
    assert not np.allclose(few, many)
    assert not np.allclose(few, minimum_covariance_determinant(data, Mcd(n_trials=500, k1=1, k3=1))[1])
    assert not np.allclose(few, minimum_covariance_determinant(data, Mcd(n_trials=1, k1=5, k3=1))[1])


def test_sauter_poon_leaves_a_rayleigh_distribution_alone():
    rng = np.random.default_rng(9)
    columns = rng.normal(0, 0.3, size=(2000, 2))
    assert find_sauter_poon_outliers(columns).sum() <= 6  # one in 2000 is expected
    columns[:200] = 10.0
    assert find_sauter_poon_outliers(columns)[:200].all()


def test_pixel_size_weighs_the_coordinates_of_stills():
    rng = np.random.default_rng(2)
    residuals = np.column_stack([rng.normal(size=(300, 2)), np.zeros(300)])
    residuals[0, 1] = 30.0
    square, tall = (find_outliers([sample(residuals, is_still=True)], Outlier.model_validate(
        {"algorithm": "sauter_poon", "sauter_poon": {"px_sz": size}}))[0] for size in ((1.0, 1.0), (1.0, 1000.0)))
    assert square[0]
    assert not tall[0]


def test_blocks_panels_and_experiments_are_looked_at_as_asked():
    """Residuals whose middle differs between groups: apart each is quiet, together the rarer is outlying."""
    rng = np.random.default_rng(4)
    residuals = rng.normal(size=(2200, 3))
    residuals[2000:] += 40.0
    label = np.r_[np.zeros(2000, int), np.ones(200, int)]
    angles = np.where(label == 1, 50.0, np.linspace(0, 30, 2200))

    def count(one: Sample, **settings) -> int:
        return int(find_outliers([one], Outlier.model_validate({"algorithm": "tukey", **settings}))[0][2000:].sum())

    by_angle = sample(residuals, angles=angles)
    assert count(by_angle, separate_blocks=True, block_width=10.0) < 20
    assert count(by_angle, separate_blocks=True, block_width=100.0) == 200
    assert count(by_angle, separate_blocks=False) == 200
    by_panel = sample(residuals, panel=label)
    assert count(by_panel, separate_panels=True) < 20
    assert count(by_panel, separate_panels=False) == 200
    two = [sample(residuals[:2000]), sample(residuals[2000:])]
    apart, joined = (find_outliers(two, Outlier.model_validate({"algorithm": "tukey", "separate_experiments": s}))
                     for s in (True, False))
    assert apart[1].sum() < 20
    assert joined[1].all()


def test_small_groups_and_no_method_leave_everything():
    residuals = np.zeros((30, 3))
    residuals[0] = 100.0
    residuals[1:] = np.random.default_rng(0).normal(size=(29, 3))
    assert find_outliers([sample(residuals)], Outlier(algorithm="tukey"))[0][0]
    assert find_outliers([sample(residuals)], Outlier())[0][0]  # auto: mcd
    assert not find_outliers([sample(residuals)], Outlier(minimum_number_of_reflections=31))[0].any()
    assert not find_outliers([sample(residuals)], Outlier(algorithm=None))[0].any()
    assert not find_outliers([sample(residuals)], Outlier(algorithm="null"))[0].any()
