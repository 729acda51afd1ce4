"""Densities of differences: they are normalised, and are those of numbers that were drawn so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from xdp.intensities.hypotheses import (
    CORRELATION_PRIOR,
    CORRELATIONS,
    ERROR_PRIOR,
    ERRORS,
    FRACTIONS,
    density_uniform,
    draw_sums,
    score_pairs,
)
from xdp.intensities.pairs import IntensityPairs


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


def density_normal(difference, variance):
    return np.exp(-0.5 * difference**2 / variance) / np.sqrt(2.0 * np.pi * variance)


def density_correlated(difference, total, variance, correlation):
    """The slow twin of `correlated_density`."""
    k = np.sqrt(correlation) * total / (1.0 - correlation)
    k = k * k / (2.0 + k)
    width = np.square(total) / k
    together = width + variance
    centre, sigma = difference * width / together, np.sqrt(width * variance / together)
    inside = ndtr((total - centre) / sigma) - ndtr((-total - centre) / sigma)
    return density_normal(difference, together) * inside / (2.0 * ndtr(total / np.sqrt(width)) - 1.0)


@pytest.mark.kernels
@pytest.mark.parametrize(("kind", "value", "noise"), [("symmetric", 0.0, 0.1), ("twin", 0.3, 0.5), ("near", 0.5, 1.5)])
def test_scores_are_those_of_the_slow_twin(kind, value, noise):
    pairs = draw(kind, value, n=60, noise=noise)
    total, x = draw_sums(pairs), np.abs(pairs.difference[:, None])
    found = score_pairs(pairs)
    for k, b in enumerate(ERRORS):
        variance = pairs.background[:, None] + pairs.counting[:, None] * 0.5 * total + 0.5 * np.square(b * total)
        chance = density_uniform(x, total, variance).mean(axis=1)

        def mix(density, chance=chance):
            return np.log(np.maximum(0.98 * density.mean(axis=1) + 0.02 * chance, 1e-300)).sum()

        assert found[0][k] == pytest.approx(mix(density_normal(x, variance)), rel=1e-9)
        assert found[1][0, k] == pytest.approx(np.log(np.maximum(chance, 1e-300)).sum(), rel=1e-9)
        assert found[1][1:, k] == pytest.approx([mix(density_correlated(x, total, variance, r)) for r in
                                                 CORRELATIONS[1:]], rel=1e-9)
        assert found[2][:, k] == pytest.approx([mix(density_uniform(x, (1.0 - 2.0 * f) * total, variance)) for f in
                                                FRACTIONS], rel=1e-9)


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
