"""Bins of plots beside loops that do the same."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.plot.binning import (
    MAX_FRAMES,
    average_bins,
    average_grid,
    choose_frame_bins,
    count_histogram,
    make_scatter,
)
from xdp.plot.data import MAX_POINTS


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_a_histogram_counts_each_value_once(rng):
    values = rng.normal(size=1000)
    found = count_histogram(values, "v", (-3.0, 3.0), 12)
    twin = [sum(-3 + 0.5 * k <= v < -2.5 + 0.5 * k for v in values) for k in range(12)]
    assert found.y.tolist() == twin
    np.testing.assert_allclose(found.x, -2.75 + 0.5 * np.arange(12))


def test_a_histogram_of_nothing_or_one_value_is_there():
    assert count_histogram(np.full(3, np.nan), "v").y.sum() == 0
    assert count_histogram(np.ones(3), "v").y.sum() == 3


def test_averages_are_those_of_a_loop(rng):
    index, values = rng.integers(-1, 6, 200), rng.normal(size=200)
    values[::9] = np.nan
    found = average_bins(index, values, 7)
    for k in range(7):
        part = [v for i, v in zip(index, values, strict=True) if i == k and np.isfinite(v)]
        assert np.isnan(found[k]) if not part else found[k] == pytest.approx(np.mean(part))


def test_a_grid_is_that_of_a_loop(rng):
    x, y, values = rng.uniform(0, 4, 100), rng.uniform(0, 2, 100), rng.normal(size=100)
    counts = average_grid(x, y, None, (0, 4), (0, 2), (2, 4))
    means = average_grid(x, y, values, (0, 4), (0, 2), (2, 4))
    for j in range(2):
        for i in range(4):
            inside = (np.floor(x) == i) & (np.floor(y) == j)
            assert counts[j, i] == inside.sum()
            assert means[j, i] == pytest.approx(values[inside].mean())


def test_many_points_become_a_grid_of_the_same_number(rng):
    x, y = rng.normal(size=(2, MAX_POINTS))
    series, grid = make_scatter(x, y, "p")
    assert grid is None
    assert len(series[0].x) == MAX_POINTS
    x, y = rng.uniform(size=(2, MAX_POINTS + 1))
    series, grid = make_scatter(x, y, "p")
    assert series == ()
    assert np.nansum(grid.values) > 0.97 * MAX_POINTS  # the outer half per cent on each side is left out


def test_long_scans_are_averaged():
    assert choose_frame_bins(0, 3)[1].tolist() == [0.5, 1.5, 2.5]
    width, middles = choose_frame_bins(10, 10 + 3 * MAX_FRAMES - 1)
    assert width == 3
    assert len(middles) == MAX_FRAMES
    assert middles[:2].tolist() == [11.5, 14.5]
    assert middles[-1] == 10 + 3 * MAX_FRAMES - 2  # of the last two frames
