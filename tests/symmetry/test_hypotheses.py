"""Densities of differences: they are normalised, and are those of numbers that were drawn so."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.intensities.pairs import IntensityPairs
from xdp.symmetry.hypotheses import (
    CORRELATION_PRIOR,
    CORRELATIONS,
    ERROR_PRIOR,
    ERRORS,
    FRACTIONS,
    density_correlated,
    density_uniform,
    score_pairs,
)


def draw(kind: str, value: float, n: int = 3000, noise: float = 0.1, seed: int = 1) -> IntensityPairs:
    """Pairs of intensities with a normal error."""
    rng = np.random.default_rng(seed)
    one, two, three = (rng.normal(size=(3, n, 2)) @ np.array([1.0, 1j])) / np.sqrt(2.0)
    if kind == "symmetric":
        x = y = np.abs(one) ** 2
    elif kind == "twin":
        a, b = np.abs(one) ** 2, np.abs(two) ** 2
        x, y = (1.0 - value) * a + value * b, value * a + (1.0 - value) * b
    else:
        share = np.sqrt(value)
        x, y = (np.abs(np.sqrt(share) * three + np.sqrt(1.0 - share) * f) ** 2 for f in (one, two))
    x, y = x + noise * rng.normal(size=n), y + noise * rng.normal(size=n)
    return IntensityPairs(x + y, x - y, np.full(n, 2.0 * noise**2), np.zeros(n))


@pytest.mark.parametrize("correlation", [0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("total", [0.3, 2.0, 6.0])
def test_densities_are_normalised(correlation, total):
    x = np.linspace(-20.0, 20.0, 40001)
    variance = np.full_like(x, 0.09)
    assert np.trapezoid(density_correlated(x, np.full_like(x, total), variance, correlation), x) == pytest.approx(1.0)
    assert np.trapezoid(density_uniform(x, np.full_like(x, total), variance), x) == pytest.approx(1.0)


def test_the_normal_stand_in_is_near_the_exact_density_of_correlated_amplitudes():
    from scipy.special import i0e

    u = np.linspace(-1.0, 1.0, 2001)
    for k in (0.3, 2.0, 10.0, 60.0):
        root = np.sqrt(1.0 - u * u)
        exact = i0e(k * root) * np.exp(k * (root - 1.0))
        exact /= np.trapezoid(exact, u)
        total = 1.0
        # the correlation with r S / (1 - r^2) = k
        r = (-1.0 + np.sqrt(1.0 + 4.0 * k * k)) / (2.0 * k)
        found = density_correlated(u, np.full_like(u, total), np.full_like(u, 1e-8), r * r)
        # 0.07 of the probability is elsewhere, at k = 2: less than between neighbours that are tried
        assert np.trapezoid(np.abs(found - exact), u) < 0.14


@pytest.mark.parametrize(("kind", "value"), [("symmetric", 0.0), ("twin", 0.2), ("twin", 0.4), ("near", 0.6),
                                             ("near", 0.92), ("near", 0.0)])
def test_the_hypothesis_that_pairs_were_drawn_by_is_the_best(kind, value):
    symmetric, correlated, twinned = score_pairs(draw(kind, value))
    best = {"symmetric": symmetric.max(), "twin": twinned.max(), "near": correlated.max()}
    # near-symmetry may look like the twin of small fraction that has its correlation, and the other way round
    assert best[kind] > max(best.values()) - 3.0
    if kind == "symmetric":
        assert best["symmetric"] > max(best["twin"], best["near"]) + 20.0
    if kind == "twin":
        assert FRACTIONS[twinned.max(axis=1).argmax()] == pytest.approx(value)
    if kind == "near":
        assert CORRELATIONS[correlated.max(axis=1).argmax()] == pytest.approx(value, abs=0.1)


def test_priors_are_probabilities():
    assert ERROR_PRIOR.sum() == pytest.approx(1.0)
    assert CORRELATION_PRIOR.sum() == pytest.approx(1.0)
    assert len(ERROR_PRIOR) == len(ERRORS)


def test_no_pairs_say_nothing():
    none = IntensityPairs(*np.zeros((4, 0)))
    assert not any(np.any(part) for part in score_pairs(none))
