"""Plots of residuals: numbers are those of the table."""

from __future__ import annotations

import numpy as np
import pytest
from report_data import make_indexed

from xdp.plot import residuals
from xdp.plot.tables import find_used
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def data():
    return make_indexed()


def test_means_and_rmsds_by_frame(data):
    experiments, table = data
    means = residuals.mean_residuals_by_frame(table, experiments)
    rmsds = residuals.rmsds_by_frame(table, experiments)
    used = find_used(table)
    for k in (0, 31, 59):
        rows = used & (np.clip(np.floor(table["xyzobs.px.value"][:, 2]), 0, 59) == k)
        off = table["xyzcal.px"][rows] - table["xyzobs.px.value"][rows]
        assert [s.y[k] for s in means.series] == pytest.approx(off.mean(axis=0).tolist())
        assert [s.y[k] for s in rmsds.series] == pytest.approx(np.sqrt((off**2).mean(axis=0)).tolist())


def test_histograms_and_clouds_hold_the_spots(data):
    experiments, table = data
    n = int(find_used(table).sum())
    for series in residuals.residual_histogram(table, experiments).series:
        assert series.y.sum() > 0.97 * n
    for function in (residuals.residuals_xy, residuals.residuals_xz, residuals.residuals_yz):
        assert len(function(table, experiments).series[0].x) == n


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_maps_average_what_is_there(data, axis):
    experiments, table = data
    plot = (residuals.x_residuals_on_detector, residuals.y_residuals_on_detector,
            residuals.z_residuals_on_detector)[axis](table, experiments)
    off = (table["xyzcal.px"] - table["xyzobs.px.value"])[find_used(table), axis]
    assert plot.grid.is_signed
    assert off.min() <= np.nanmin(plot.grid.values) <= np.nanmax(plot.grid.values) <= off.max()


def test_tables_without_predictions_have_none():
    table = ReflectionTable({"xyzobs.px.value": np.ones((2, 3))})
    assert residuals.compute_spot_residuals(table) is None
    assert residuals.residual_histogram(table) is None
    assert residuals.residuals_xy(table) is None
    assert residuals.x_residuals_on_detector(table) is None
