from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from xdp.integration.partiality.likelihood import add_outliers, score_known, score_unknown

RATIOS = [0.03, 0.3, 1.0, 3.0, 30.0]


@pytest.mark.parametrize(("intensity", "sigma", "mean"), [(3.0, 1.0, 2.0), (-2.0, 1.0, 0.5), (80.0, 1.0, 9.0),
                                                          (0.1, 2.0, 0.01)])
def test_density_is_the_integral(intensity, sigma, mean):
    def density(x):
        return np.exp(-x / mean - 0.5 * ((intensity - x) / sigma) ** 2) / mean / np.sqrt(2 * np.pi) / sigma

    # the integrand is far from 0 only within the counting error and the first means
    top = max(intensity, 0.0) + 40 * min(sigma, mean) + 8 * sigma
    expected = quad(density, 0.0, top, limit=500, points=[max(intensity, 1e-3), mean])[0]
    score = score_unknown(np.array([intensity]), np.array([sigma]), np.array([mean]))
    assert score.value[0] == pytest.approx(np.log(expected), abs=1e-6)


@pytest.mark.parametrize("ratio", RATIOS)
def test_information_is_the_mean_square_slope(ratio):
    x = np.linspace(-9 * ratio, 45 + 9 * ratio, 200001)
    score = score_unknown(x, np.full_like(x, ratio), np.ones_like(x))
    density = np.exp(score.value) * (x[1] - x[0])
    assert density.sum() == pytest.approx(1.0, abs=1e-5)
    # a mean of 0: the expected slope at the true mean
    assert (density * score.slope).sum() == pytest.approx(0.0, abs=1e-5)
    assert (density * score.slope**2).sum() == pytest.approx(score.information[0], rel=0.03)


def test_means_far_below_the_errors_tell_nothing():
    score = score_unknown(np.array([5.0, -5.0, 0.0]), np.ones(3), np.array([1e-9, 1e-12, 1e-15]))
    np.testing.assert_allclose(score.slope, 0.0, atol=1e-7)
    np.testing.assert_allclose(score.value, -0.5 * np.array([25.0, 25.0, 0.0]) - 0.5 * np.log(2 * np.pi), atol=1e-6)


@pytest.mark.parametrize("kind", ["unknown", "known", "outlier"])
def test_slopes_are_derivatives(kind):
    value, sigma = np.array([-3.0, 0.0, 5.0, 200.0]), np.array([2.0, 1.0, 0.5, 15.0])
    mean = np.array([1.0, 0.2, 4.0, 3.0])

    def score(m):
        own = score_known(value, sigma**2, m) if kind == "known" else score_unknown(value, sigma, m)
        return add_outliers(own, value, sigma, np.full(4, 3.0)) if kind == "outlier" else own

    step = 1e-6
    numeric = (score(mean * np.exp(step)).value - score(mean * np.exp(-step)).value) / (2 * step)
    np.testing.assert_allclose(score(mean).slope, numeric, rtol=1e-5, atol=1e-7)


def test_an_outlier_cannot_pull_without_limit():
    # a hundred times the mean is what an exponential variate never is
    own = score_unknown(np.array([200.0]), np.array([1.0]), np.array([2.0]))
    safe = add_outliers(own, np.array([200.0]), np.array([1.0]), np.array([50.0]))
    assert abs(own.slope[0]) > 50
    assert abs(safe.slope[0]) < 1e-6
    assert np.isfinite(safe.value[0])
