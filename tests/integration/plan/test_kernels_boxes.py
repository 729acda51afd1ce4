"""Recorded shares and the limits of boxes on panels, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from xdp.integration.plan._kernels_boxes import compute_recorded_shares, find_limits_across

pytestmark = pytest.mark.kernels


def test_shares_are_those_of_the_normal_distribution():
    z, sigma = np.array([5.0, 5.0, 9.8]), np.array([0.5, 2.0, 1.0])
    bbox = np.array([[0, 0, 0, 0, 4, 6], [0, 0, 0, 0, 5, 12], [0, 0, 0, 0, 0, 10]], np.int32)
    share = np.empty(3)
    compute_recorded_shares(z, 1.0 / (np.sqrt(2.0) * sigma), bbox, share)
    expected = norm.cdf((bbox[:, 5] - z) / sigma) - norm.cdf((bbox[:, 4] - z) / sigma)
    np.testing.assert_allclose(share, expected, rtol=1e-12)


def make_panel(distance=100.0, pixel=0.1):
    """The row and inverse d matrix of a panel across the beam, its first pixel 10 mm beside and above it."""
    d = np.array([[1.0, 0.0, -10.0], [0.0, 1.0, -10.0], [0.0, 0.0, distance]])
    return np.array([[*d.ravel(), pixel, pixel, 0.0, 0.0]]), np.linalg.inv(d)[None]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_square_on_a_panel_across_the_beam(sign):
    """At small angles a half width of 0.01 rad is 1 mm at 100 mm, 10 pixels to each side of (102, 101)."""
    panels, inverse = make_panel()
    s1 = sign * np.array([[0.002, 0.001, 1.0]])
    out = np.full((1, 4), 99.0)
    find_limits_across(s1, np.zeros(1, np.int64), np.array([[0.01, 0.01]]), np.array([0.0, 0.0, 1.0]), panels, inverse,
                       out)
    if sign < 0:
        assert out.tolist() == [[0.0, 0.0, 0.0, 0.0]]  # behind the panel
        return
    # The square is turned by the direction of e1: it reaches 10 to 14.2 pixels to each side, rounded outwards.
    for low, high, middle in ((out[0, 0], out[0, 1], 102.0), (out[0, 2], out[0, 3], 101.0)):
        assert 10.0 <= middle - low <= 15.2
        assert 10.0 <= high - middle <= 15.2
