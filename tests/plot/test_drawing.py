"""Plots drawn by matplotlib."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.plot.data import Axis, Grid, Plot, Series
from xdp.plot.drawing import draw_plot, save_plots

LINES = Plot("lines", "Lines", "", Axis("x", "px"), Axis("y", is_log=True), (
    Series("a", np.arange(3.0), np.array([1.0, 2.0, np.nan]), error=np.ones(3)),
    Series("b", np.arange(3.0), np.ones(3), "bars"), Series("c", np.arange(3.0), np.ones(3), "points")),
    marks=((1.0, "ice"),))
MAP = Plot("map", "Map", "", Axis("fast", ticks=((1.0, "one"),)), Axis("slow"),
           grid=Grid("mean", (0, 2), (0, 1), np.array([[1.0, np.nan]]), is_square=True, is_signed=True))


def test_series_labels_scales_and_legends_are_drawn():
    axes = draw_plot(LINES).axes[0]
    assert axes.get_title() == "Lines"
    assert axes.get_xlabel() == "x (px)"
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "c", "b"] or len(
        axes.get_legend().get_texts()) == 3
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1.0, 2.0, np.nan])


def test_a_grid_keeps_its_values_and_detectors_their_way_up():
    figure = draw_plot(MAP)
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(np.asarray(image.get_array()), [[1.0, np.nan]])
    assert image.get_extent() == [0, 2, 1, 0]
    assert image.get_clim() == (-1.0, 1.0)
    assert figure.axes[1].get_ylabel() == "mean"


@pytest.mark.parametrize("formats", [("png",), ("png", "svg")])
def test_pictures_are_written(tmp_path, formats):
    written = save_plots([LINES, MAP], tmp_path, formats)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.{ending}" for name in ("lines", "map") for ending in formats)
    assert all(path.stat().st_size > 1000 for path in written)
