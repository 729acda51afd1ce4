"""The equation of the fit: solved, most likely, and honest about what scatter of shapes does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from xdp.integration.profiles._kernels_fit import (
    compute_background_variance,
    compute_shape_covariance,
    compute_signal_variance,
    correlate,
    fit_scale,
)
from xdp.integration.profiles._kernels_frame import Box
from xdp.integration.profiles.arguments import BoxPixels

pytestmark = pytest.mark.kernels
SCATTER = 0.005
"""k^2: shapes are as if each was drawn with 200 counts."""


def test_fit_scale_maximises_the_likelihood_of_weak_reflections():
    rng = np.random.default_rng(2)
    background, profile = rng.random(40) + 0.2, rng.random(40)
    profile /= profile.sum()
    counts = rng.poisson(background + 60 * profile).astype(float)
    found, _, least = fit_scale(counts, background, profile, 40, SCATTER, counts.sum())
    trial = np.linspace(found - 30, found + 30, 6001)
    mean = background[:, None] + trial * profile[:, None]
    likelihood = (counts[:, None] * np.log(mean) - mean).sum(axis=0)
    # that of Poisson's distribution: scatter of the shape hardly changes weights here
    assert found == pytest.approx(trial[likelihood.argmax()], abs=0.05)
    assert least == 0.0


@pytest.mark.parametrize("intensity", [20.0, 300.0, 20000.0])
def test_fit_scale_solves_its_equation(intensity):
    rng = np.random.default_rng(3)
    background, profile = rng.random(40) + 0.2, rng.random(40) ** 3
    profile /= profile.sum()
    counts = rng.poisson(background + intensity * profile).astype(float)
    found, information, _ = fit_scale(counts, background, profile, 40, SCATTER, counts.sum())

    def weights(i: float) -> np.ndarray:
        return profile / (background + (i + SCATTER * i ** 2) * profile)

    wanted = brentq(lambda i: weights(i) @ (counts - background - i * profile), 0.1 * intensity, 3.0 * intensity)
    # rounds end when the change is a thousandth of the standard deviation
    assert found == pytest.approx(wanted, abs=2e-3 / np.sqrt(information))
    assert information == pytest.approx(weights(found) @ profile, rel=1e-3)


def poisson_fit(counts: np.ndarray, background: np.ndarray, profile: np.ndarray) -> float:
    """The most likely intensity if shapes were exact."""
    found = (counts - background).sum()
    for _ in range(50):
        w = profile / (background + found * profile)
        found = w @ (counts - background) / (w @ profile)
    return found


def test_strong_reflections_with_shapes_of_their_own():
    """Shapes drawn about the profile from Dirichlet's distribution: counts wander between points, none are lost."""
    rng = np.random.default_rng(4)
    profile = np.exp(-0.5 * np.linspace(-3, 3, 60) ** 2)
    profile /= profile.sum()
    background = np.full(60, 200.0)
    fits, plain, sigmas = [], [], []
    for _ in range(2000):
        shape = rng.dirichlet(profile * (1.0 / SCATTER - 1.0))
        counts = rng.poisson(background + 20000.0 * shape).astype(float)
        found, information, _ = fit_scale(counts, background, profile, 60, SCATTER, 20000.0)
        fits.append(found)
        plain.append(poisson_fit(counts, background, profile))
        sigmas.append(np.sqrt(1.0 / information - SCATTER * found ** 2))
    # 2000 of them: each width is known to 1.6 %
    assert np.std(fits) < 0.7 * np.std(plain)
    assert np.mean(fits) == pytest.approx(20000.0, rel=0.002)
    assert np.std((np.array(fits) - 20000.0) / sigmas) == pytest.approx(1.0, abs=0.07)


def test_no_counts_at_all_leave_a_variance():
    profile = np.full(10, 0.1)
    found, information, least = fit_scale(np.zeros(10), np.zeros(10), profile, 10, SCATTER, 0.0)
    # nothing seen, nothing expected beneath: zero, give or take a count
    assert (found, least) == (0.0, pytest.approx(1.0))
    assert 1.0 / information - SCATTER == pytest.approx(1.0)


def test_variances_are_those_of_dirichlet_multinomial_counts():
    """Counts of shapes that are drawn about a profile: their covariance is diag(S p) - k^2 I^2 p p^T."""
    rng = np.random.default_rng(5)
    profile = np.array([0.5, 0.3, 0.2])
    shapes = rng.dirichlet(profile * (1.0 / SCATTER - 1.0), 200_000)
    found = np.cov(rng.poisson(3000.0 * shapes).T)
    expected = (np.diag(compute_signal_variance(3000.0, SCATTER) * profile)
                - compute_shape_covariance(3000.0, SCATTER, 1.0) * np.outer(profile, profile))
    # 200000 draws: variances are known to 0.3 %
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())
    # where rounding makes a profile sum to more than 1, parts are of that sum
    assert compute_shape_covariance(3000.0, 0.01, 1.5) == pytest.approx(0.01 * 3000.0 ** 2 / 1.5)
    assert compute_shape_covariance(3000.0, 0.01, 0.5) == pytest.approx(0.01 * 3000.0 ** 2)


def test_correlation_is_that_of_numpy():
    rng = np.random.default_rng(6)
    profile, background, counts = rng.random(30), rng.random(30), rng.random(30)
    found = correlate(4.0, profile, background, counts, 25)
    assert found == pytest.approx(np.corrcoef(4.0 * profile[:25] + background[:25], counts[:25])[0, 1], rel=1e-12)
    assert correlate(0.0, profile, np.ones(30), counts, 30) == 0.0


def test_background_variance_is_its_mean_over_the_pixels_that_made_it():
    mask = np.array([5, 4, 3, 5, 5], np.uint8)
    background = np.array([2.0, 4.0, 100.0, 6.0, 100.0], np.float32)
    boxes = BoxPixels(np.zeros(1, np.int64), np.zeros((1, 6), np.int32), np.array([0, 4]), background, background, mask)
    box = Box(0, 0, 0, 0, 2, 2, 2, 0, 4)
    assert compute_background_variance(boxes, box, 10) == pytest.approx(4.0 / 10)
    assert compute_background_variance(boxes, box, 0) == 0.0
