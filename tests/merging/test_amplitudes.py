"""Amplitudes against integrals on a fine grid."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.merging.amplitudes import compute_amplitudes, expect_shell_means


def integrate_slowly(intensity, sigma, expected, centric):
    """Mean and standard deviation of F on a million points."""
    F = np.linspace(1e-9, np.sqrt(max(intensity, 0.0) + 12.0 * sigma), 1_000_001)
    J = F * F
    log_p = -0.5 * ((J - intensity) / sigma) ** 2
    if expected is not None:
        log_p = log_p - (0.5 if centric else 1.0) * J / expected + (0.0 if centric else np.log(F))
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = float(np.sum(p * F))
    return mean, float(np.sqrt(np.sum(p * J) - mean * mean))


@pytest.mark.parametrize("centric", [False, True])
@pytest.mark.parametrize("expected", [None, 3.0, 100.0])
@pytest.mark.parametrize("intensity", [-40.0, -8.0, -1.0, 0.0, 0.5, 3.0, 30.0, 3000.0])
def test_amplitudes_are_the_means_of_what_is_possible(intensity, expected, centric):
    sigma = 2.0
    prior = None if expected is None else np.array([expected])
    F, s = compute_amplitudes(np.array([intensity]), np.array([sigma]), prior, np.array([centric]))
    mean, deviation = integrate_slowly(intensity, sigma, expected, centric)
    assert F[0] == pytest.approx(mean, rel=1e-4)
    assert s[0] == pytest.approx(deviation, rel=1e-3)


def test_what_was_not_measured_has_no_amplitude():
    F, s = compute_amplitudes(np.array([np.nan, 4.0]), np.array([1.0, 0.0]), np.ones(2), np.zeros(2, bool))
    assert np.all(np.isnan(F))
    assert np.all(np.isnan(s))


def test_shell_means_follow_the_fall_off():
    rng = np.random.default_rng(1)
    d = (rng.uniform(1 / 20.0**3, 1 / 2.0**3, 20_000)) ** (-1.0 / 3.0)
    epsilon = np.where(rng.random(20_000) < 0.1, 2, 1)
    true = 50.0 * np.exp(-20.0 / (2.0 * d**2)) * epsilon
    found = expect_shell_means(rng.exponential(true), np.full(20_000, 1.0), d, epsilon)
    # a shell of 333 has 5 % of error
    assert np.median(np.abs(found / true - 1.0)) < 0.06


def test_shells_without_signal_have_a_small_mean_above_zero():
    d = np.linspace(2.0, 4.0, 600)
    found = expect_shell_means(np.full(600, -1.0), np.full(600, 3.0), d, np.ones(600, int))
    assert np.all(found > 0.0)
    assert np.all(found < 1.0)
