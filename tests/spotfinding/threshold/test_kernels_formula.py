"""The formulas against windows of numbers: mean and variance by NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.spotfinding.threshold._kernels_formula import Rules, is_above_background, is_above_mean, is_overdispersed

pytestmark = pytest.mark.kernels

RULES = [Rules(4.0, 2.0, 0.0, 2, 1.0, False), Rules(4.0, 2.0, 0.0, 2, 2.5, True), Rules(0.5, 0.5, 0.0, 2, 0.7, True)]


def windows(n=400):
    """Windows of few and many pixels; in every third one is bright."""
    rng = np.random.default_rng(1)
    for k in range(n):
        counts = rng.poisson(rng.uniform(0.2, 40), rng.integers(2, 50)).astype(float)
        if k % 3 == 0:
            counts[0] += rng.integers(5, 200)
        if counts.sum():
            yield counts


@pytest.mark.parametrize("rules", RULES)
def test_dispersion_is_variance_over_mean_against_its_scatter(rules):
    found = []
    for c in windows():
        m, index = len(c), c.var(ddof=1) / c.mean()
        limit = rules.gain * (1 + rules.sigma_background * np.sqrt(2 / (m - 1)))
        found.append(is_overdispersed(float(m), c.sum(), (c**2).sum(), rules))
        assert found[-1] == (index > limit)
    assert 20 < sum(found) < len(found) - 20


@pytest.mark.parametrize("rules", RULES)
def test_a_pixel_is_compared_with_mean_and_counting_noise(rules):
    for c in windows():
        limit = c.mean() + rules.sigma_strong * np.sqrt(rules.gain * c.mean())
        assert is_above_mean(c[0], float(len(c)), c.sum(), rules) == (c[0] > limit)
        for value in (c[0], limit - 1e-6, limit + 1e-6):
            assert is_above_background(value, len(c), c.sum(), rules) == (value >= limit)


def test_equal_to_the_limit_is_above_the_background_but_not_above_the_mean():
    rules = Rules(6.0, 3.0, 0.0, 2, 1.0, False)
    assert is_above_background(10.0, 9, 36.0, rules)  # 4 + 3 * 2
    assert not is_above_mean(10.0, 9.0, 36.0, rules)


def test_one_background_pixel_is_no_background():
    assert is_above_background(0.0, 1, 50.0, Rules(6.0, 3.0, 0.0, 2, 1.0, False))
