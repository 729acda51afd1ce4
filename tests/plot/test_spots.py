"""Plots of spots: numbers are those of the table."""

from __future__ import annotations

import numpy as np
import pytest
from report_data import make_clean, make_indexed, plant_second_lattice

from xdp.plot import spots
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


def test_spots_are_counted_on_their_frames():
    experiments, table = make_clean()
    plot = spots.spots_per_image(table, experiments)
    z = np.clip(table["xyzobs.px.value"][:, 2], 0.0, 59.99)
    assert plot.series[0].y.tolist() == [sum(k <= value < k + 1 for value in z) for k in range(60)]


def test_indexed_and_other_spots_add_up():
    experiments, table = make_indexed()
    table = plant_second_lattice(experiments, table, 200)
    for plot in (spots.spots_per_image(table, experiments), spots.spots_by_resolution(table, experiments)):
        everything, indexed, others = (series.y for series in plot.series)
        assert (everything == indexed + others).all()
    on_map = [np.nansum(function(table, experiments).grid.values) for function in (
        spots.spots_on_detector, spots.indexed_on_detector, spots.unindexed_on_detector)]
    assert on_map[0] == len(table) == on_map[1] + on_map[2]
    assert on_map[2] == 200


def test_shells_have_equal_volumes_and_hold_all_spots():
    experiments, table = make_clean()
    plot = spots.spots_by_resolution(table, experiments)
    assert plot.series[0].y.sum() == len(table)
    steps = np.diff(plot.series[0].x**1.5)
    np.testing.assert_allclose(steps, steps[0])


def test_sizes_intensities_and_panels():
    experiments, table = make_clean()
    assert spots.spot_sizes(table, experiments).series[0].y.sum() >= 0.99 * len(table)
    mean = spots.spot_intensity_by_frame(table, experiments).series[0].y
    rows = np.floor(table["xyzobs.px.value"][:, 2]) == 7
    assert mean[7] == pytest.approx(table["intensity.sum.value"][rows].mean())
    assert spots.spots_per_panel(table, experiments) is None
    two = ReflectionTable({"panel": np.array([0, 1, 1], np.uint64), "xyzobs.px.value": np.ones((3, 3))})
    assert spots.spots_per_panel(two).series[0].y.tolist() == [1, 2]


def test_a_table_without_positions_has_no_plots():
    table = ReflectionTable({"id": [0]})
    for function in (spots.spots_per_image, spots.spots_by_resolution, spots.spots_on_detector, spots.spot_sizes,
                     spots.unindexed_on_detector, spots.spot_intensity_by_frame):
        assert function(table) is None


def test_a_resolution_axis_is_labelled_by_d():
    assert spots.make_resolution_axis(0.25).ticks[-1] == (0.25, "2.00")
