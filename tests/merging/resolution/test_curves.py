"""Curves through shells' statistics: crossings are found within their errors, whatever the shells' noise."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.merging.resolution.curves import fit_correlation, fit_smooth


def draw(rng, n, d_half=2.0, width=0.05, shells=60):
    """Correlations of n pairs in each shell, with the errors that Fisher's z has."""
    x = np.linspace(1.0 / 4.0**2, 1.0 / 1.5**2, shells)
    true = np.clip(0.5 * (1.0 - np.tanh((x - 1.0 / d_half**2) / width)), 0.0, 0.999)
    return x**-0.5, np.tanh(np.arctanh(true) + rng.normal(size=shells) / np.sqrt(n - 3.0))


@pytest.mark.parametrize("kind", ["tanh", "polynomial"])
@pytest.mark.parametrize("n", [30, 300])
def test_crossing_is_found_within_a_twentieth_of_an_angstrom(kind, n):
    """As the issue wants it; a polynomial cannot follow a tanh, and may be off by twice as much."""
    rng = np.random.default_rng(1)
    true = (1.0 / 2.0**2 + 0.05 * np.arctanh(1.0 - 2.0 * 0.3)) ** -0.5
    limits = [fit_correlation(*draw(rng, n), np.full(60, n), 0.3, kind).limit for _ in range(20)]
    allowed = 0.05 if kind == "tanh" else 0.1
    assert np.max(np.abs(np.array(limits) - true)) < allowed


def test_weak_shells_count_less():
    """Correlations of five pairs are noise beside those of 500 (dials#2499: unweighted fits give too fine a limit)."""
    rng = np.random.default_rng(2)
    d, cc = draw(rng, 500)
    n = np.full(60, 500)
    n[-20:], cc[-20:] = 5, 0.9
    true = (1.0 / 2.0**2 + 0.05 * np.arctanh(0.4)) ** -0.5
    assert fit_correlation(d, cc, n, 0.3).limit == pytest.approx(true, abs=0.1)


def test_an_ice_ring_does_not_move_the_limit():
    d, cc = draw(np.random.default_rng(3), 500)
    cc[30] = -0.2
    true = (1.0 / 2.0**2 + 0.05 * np.arctanh(0.4)) ** -0.5
    assert fit_correlation(d, cc, np.full(60, 500), 0.3).limit == pytest.approx(true, abs=0.05)


def test_data_that_end_before_are_told():
    d = np.linspace(4.0, 2.0, 30)
    found = fit_correlation(d, np.full(30, 0.98), np.full(30, 100), 0.3)
    assert found.is_beyond
    assert found.limit == 2.0


def test_data_without_signal_keep_nothing():
    rng = np.random.default_rng(1)
    found = fit_correlation(np.linspace(4.0, 2.0, 30), rng.normal(size=30) * 0.1, np.full(30, 100), 0.3)
    assert found.limit == pytest.approx(4.0, abs=0.2)


def test_rising_and_falling_measures():
    d = np.linspace(4.0, 1.5, 50)
    n = np.full(50, 100)
    rising = fit_smooth(d, 0.02 * np.exp(6.0 / d**2), n, 0.1, rises=True)
    assert rising.limit == pytest.approx(np.sqrt(6.0 / np.log(5.0)), abs=0.01)
    assert np.all(rising.fitted > 0.0)
    falling = fit_smooth(d, 30.0 * np.exp(-8.0 / d**2), n, 2.0)
    assert falling.limit == pytest.approx(np.sqrt(8.0 / np.log(15.0)), abs=0.01)


@pytest.mark.parametrize("fit", [fit_correlation, fit_smooth])
def test_too_few_shells_have_no_curve(fit):
    assert np.isnan(fit(np.array([3.0, 2.0]), np.array([0.9, 0.1]), np.array([50, 50]), 0.3).limit)
