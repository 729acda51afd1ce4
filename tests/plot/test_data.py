"""Plots as data: rounding, JSON, axes."""

from __future__ import annotations

import json

import numpy as np

from xdp.plot.data import N_DIGITS, Axis, Grid, Plot, Series, round_number, round_values


def test_numbers_keep_five_digits_and_nan_becomes_none():
    values = np.random.default_rng(1).normal(size=100) * 10.0 ** np.arange(-50, 50)
    rounded = np.array(round_values(values), float)
    np.testing.assert_allclose(rounded, values, rtol=0.5 * 10.0 ** (1 - N_DIGITS) * 1.001)
    assert [round_number(v) for v in (np.nan, np.inf, 0.0)] == [None, None, 0]


def test_a_plot_becomes_strict_json():
    series = Series("s", np.array([1.0, np.nan]), np.array([2.0, np.inf]), error=np.array([0.1, 0.2]))
    grid = Grid("counts", (0.0, 2.0), (0.0, 1.0), np.array([[1.0, np.nan]]))
    plot = Plot("p", "T", "c", Axis("x", "px"), Axis("y", is_log=True, ticks=((1.0, "one"),)), (series,),
                grid, ((3.0, "m"),))
    found = json.loads(json.dumps(plot.to_dict(), allow_nan=False))
    assert found["series"] == [{"name": "s", "kind": "line", "x": [1, None], "y": [2, None], "error": [0.1, 0.2]}]
    assert found["grid"]["values"] == [[1, None]]
    assert found["x"] == {"label": "x", "unit": "px", "log": False, "ticks": []}
    assert found["y"]["ticks"] == [[1, "one"]]
    assert found["marks"] == [[3, "m"]]


def test_an_axis_says_its_unit():
    assert Axis("d", "Å").text == "d (Å)"
    assert Axis("spots").text == "spots"
