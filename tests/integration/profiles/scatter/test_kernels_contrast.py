"""Contrasts between fits and sums: beside plain NumPy, with the variance of Dirichlet-multinomial counts."""

from __future__ import annotations

import numpy as np
import pytest
from fitting_data import learn_profiles

from xdp.integration.profiles.scatter._kernels_contrast import Contrasts, compute_contrasts, measure_contrasts
from xdp.integration.profiles.scatter.shape_scatter import TRIALS

pytestmark = pytest.mark.kernels


def make_profile() -> np.ndarray:
    """A Gaussian in 60 pixels."""
    profile = np.exp(-0.5 * np.linspace(-3, 3, 60) ** 2)
    return profile / profile.sum()


def contrast(d, b, q, intensity, *s):
    """What the kernel finds (4, m) for m values of s."""
    found = np.full((4, len(s)), np.nan)
    compute_contrasts(d, b, q, intensity, np.array(s), np.empty((len(d), len(s))), found)
    return found


def test_the_contrast_is_that_of_its_formula():
    rng = np.random.default_rng(1)
    q, b = make_profile(), rng.random(60) + 1.0
    d = rng.poisson(b + 400.0 * q).astype(float)
    trials = (0.0, 400.0, 5000.0)
    for s, found in zip(trials, contrast(d, b, q, 400.0, *trials).T, strict=True):
        u = q / (b + s * q)
        a = u / (u @ q) - 1.0 / q.sum()
        expected = a @ (d - b), a ** 2 @ (b + 400.0 * q), 400.0 ** 2 * (a ** 2 @ q), a.sum()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_a_profile_without_counts_says_nothing():
    assert not contrast(np.ones(3), np.ones(3), np.zeros(3), 1.0, 1.0).any()


def test_its_variance_is_that_of_counts_whose_shapes_scatter():
    rng = np.random.default_rng(2)
    q, b, k2, intensity = make_profile(), np.full(60, 20.0), 0.01, 3000.0
    found = []
    for shape in rng.dirichlet(q * (1.0 / k2 - 1.0), 4000):
        d = rng.poisson(b + intensity * shape).astype(float)
        found.append(contrast(d, b, q, intensity, intensity)[:, 0])
    difference, counting, scatter, _ = np.array(found).T
    # 4000 of them: the variance is known to 2.2 %
    assert np.var(difference) == pytest.approx(np.mean(counting + k2 * scatter), rel=0.08)
    assert np.mean(k2 * scatter) > np.mean(counting)


def test_contrasts_of_boxes_are_those_of_their_good_pixels(drawn, strong):
    profiles = learn_profiles(drawn, strong)
    given = drawn.grid().describe(drawn.table, strong)
    n, m = len(drawn.table), len(TRIALS)
    out = Contrasts(np.zeros(n), np.zeros((n, m)), np.zeros((n, m)), np.zeros((n, m)))
    measure_contrasts(np.arange(n), np.full(n, 100), given, profiles.choose_shapes(given), TRIALS, out)
    # the foreground holds 99 % of 3000 counts, and the profile is normalised to what it holds
    assert np.median(out.intensity) == pytest.approx(2970.0, rel=0.02)
    # shapes of this set do not scatter: D has the variance of counting
    pulls = out.difference[:, 0] / np.sqrt(out.counting[:, 0])
    assert np.subtract(*np.quantile(pulls, [0.75, 0.25])) / 1.349 == pytest.approx(1.0, abs=0.15)
    # the weights of large trial values are those of a sum
    assert np.all(np.abs(out.difference[:, -1]).mean() < np.abs(out.difference[:, 0]).mean())
