"""Plots of crystals: cells and turns are those that were put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report_data import make_indexed, plant_drift
from scipy.spatial.transform import Rotation

from xdp.experiment.experiment import ExperimentList
from xdp.plot import models

pytestmark = pytest.mark.kernels


def test_a_planted_drift_is_drawn():
    experiments = plant_drift(make_indexed()[0], 0.006)
    plot = models.cell_lengths_by_frame(None, experiments)
    a, b, c = (series.y for series in plot.series)
    assert a[-1] - a[0] == pytest.approx(0.6, rel=0.01)
    np.testing.assert_allclose([*b, *c], 0.0, atol=1e-9)
    volume = models.cell_volume_by_frame(None, experiments).series[0].y
    assert volume[-1] / volume[0] == pytest.approx(1.006)
    assert models.cell_angles_by_frame(None, experiments).series[0].y == pytest.approx(90.0)


def test_a_turn_is_measured_in_degrees():
    experiment = make_indexed()[0][0]
    turns = [Rotation.from_rotvec([0.0, 0.02 * k, 0.0], degrees=True).as_matrix() for k in range(61)]
    points = tuple(tuple((R @ experiment.crystal.A).ravel()) for R in turns)
    crystal = replace(experiment.crystal, A_at_scan_points=points)
    plot = models.orientation_by_frame(None, ExperimentList([replace(experiment, crystal=crystal)]))
    np.testing.assert_allclose(plot.series[1].y, 0.02 * np.arange(61), atol=1e-6)
    np.testing.assert_allclose(plot.series[0].y, 0.0, atol=1e-6)


def test_many_cells_are_counted_and_few_are_not():
    experiment = make_indexed()[0][0]
    many = ExperimentList([experiment] * 12)
    assert [s.y.sum() for s in models.cell_length_histogram(None, many).series] == [12, 12, 12]
    assert [s.y.sum() for s in models.cell_angle_histogram(None, many).series] == [12, 12, 12]
    assert models.cell_length_histogram(None, many[:9]) is None
    assert models.cell_lengths_by_frame(None, many) is None
    assert models.cell_lengths_by_frame(None, None) is None
