"""Filters, covered pixels and holes beside plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.background._kernels_series import cover_outlines, diffuse, filter_azimuth

pytestmark = pytest.mark.kernels


def test_reflections_cover_what_their_outlines_hold():
    covered = np.zeros((6, 7), bool)
    bbox = np.array([[0, 0, 0, 0, 0, 1], [1, 3, 2, 4, 0, 1], [5, 9, -1, 1, 0, 1]])
    cover_outlines(np.array([1, 2]), bbox, np.array([0, 4]), np.array([1, 0, 0, 1] + [1] * 8, np.uint8), covered)
    assert sorted(zip(*np.nonzero(covered), strict=True)) == [(0, 5), (0, 6), (2, 1), (3, 2)]


@pytest.mark.parametrize("half", [1, 3, 40])
def test_the_filter_along_the_azimuth_is_a_circle(half):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(17, 3))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[4:12, 1] = np.nan
    reach = min(half, 8)
    for is_median in (True, False):
        out = np.empty_like(values)
        filter_azimuth(values, half, is_median, out)
        for row in range(17):
            near = values[np.arange(row - reach, row + reach + 1) % 17]
            for column in range(3):
                good = np.sort(near[:, column][~np.isnan(near[:, column])])
                expected = np.nan if not len(good) else good[len(good) // 2] if is_median else good.mean()
                np.testing.assert_allclose(out[row, column], expected, rtol=1e-12)


def test_holes_are_evened_out():
    values = np.tile(np.arange(5.0), (6, 1))
    holes = np.zeros(values.shape, bool)
    holes[2:4, 2] = True
    values[holes] = 100.0
    diffuse(values, holes, 60)
    np.testing.assert_allclose(values, np.tile(np.arange(5.0), (6, 1)), atol=1e-6)
    values[holes] = 100.0
    diffuse(values, holes, 1)
    assert values[holes].min() > 2.5
