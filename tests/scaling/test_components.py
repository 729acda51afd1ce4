"""Splines add up to one and are smooth; harmonics of two rays are averaged."""

from __future__ import annotations

import numpy as np

from xdp.scaling.components import average_harmonics, spline_values


def evaluate(x, coefficients, first=2.0, last=12.0):
    place, value = spline_values(x, first, last, len(coefficients))
    return np.sum(coefficients[place] * value, axis=1)


def test_splines_add_up_to_one_and_follow_a_straight_line():
    x = np.linspace(2.0, 12.0, 41)
    np.testing.assert_allclose(evaluate(x, np.ones(8)), 1.0)
    # knots are 2 apart, and the coefficient of a line is its value in the middle of a spline
    np.testing.assert_allclose(evaluate(x, 2.0 + 2.0 * (np.arange(8) - 1.0)), x, atol=1e-9)


def test_beyond_the_range_the_values_are_those_at_its_end():
    c = np.random.default_rng(0).normal(size=8)
    np.testing.assert_allclose(evaluate(np.array([-5.0, 99.0]), c), evaluate(np.array([2.0, 12.0]), c), atol=1e-9)


def test_harmonics_of_two_rays_are_averaged():
    v = np.random.default_rng(1).normal(size=(2, 50, 3))
    v /= np.linalg.norm(v, axis=2)[..., None]
    both = average_harmonics([v[0], v[1]], 3)
    assert both.dtype == np.float32
    np.testing.assert_allclose(both, (average_harmonics([v[0]], 3) + average_harmonics([v[1]], 3)) / 2, atol=1e-6)


def test_no_places_have_no_splines():
    place, value = spline_values(np.zeros(0), 2.0, 12.0, 8)
    assert place.shape == value.shape == (0, 4)
