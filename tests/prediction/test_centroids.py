"""Centroids between pixels and millimetres, and the way from them back to the reciprocal lattice."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment.experiment import Experiment
from xdp.prediction.centroids import (
    centroids_to_mm,
    centroids_to_px,
    compute_diffracted_rays,
    compute_lattice_points,
)
from xdp.prediction.reflections import predict_rotation
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan


@pytest.fixture(scope="module")
def experiment():
    return Experiment("a", make_beam(), make_detector((300, 260)), make_goniometer(), make_scan(20, 0.5, 10.0),
                      make_crystal())


@pytest.fixture(scope="module")
def predicted(experiment):
    return predict_rotation(experiment, 2.5)


def test_px_and_mm_are_those_of_prediction_and_each_others_inverse(experiment, predicted):
    panel = predicted["panel"].astype(np.int64)
    xyz, _ = centroids_to_mm(experiment, panel, predicted["xyzcal.px"], np.ones((len(predicted), 3)))
    # the parallax correction is taken at the pixel one way, at the point the other way: 2e-5 mm apart here
    np.testing.assert_allclose(xyz, predicted["xyzcal.mm"], atol=5e-5)
    np.testing.assert_allclose(centroids_to_px(experiment, panel, xyz), predicted["xyzcal.px"], atol=5e-4)


def test_variances_scale_with_pixels_and_frames(experiment):
    xyz = np.array([[100.0, 100.0, 5.0]])
    _, variance = centroids_to_mm(experiment, np.zeros(1, int), xyz, np.array([[4.0, 1.0, 9.0]]))
    size = experiment.detector[0].pixel_size
    np.testing.assert_allclose(variance, [[4 * size[0]**2, size[1]**2, 9 * np.deg2rad(0.5)**2]])


def test_a_still_has_no_third_coordinate(experiment):
    still = Experiment("s", experiment.beam, experiment.detector)
    xyz, variance = centroids_to_mm(still, np.zeros(1, int), np.array([[10.0, 20.0, 0.5]]), np.ones((1, 3)))
    assert xyz[0, 2] == variance[0, 2] == 0.0
    assert centroids_to_px(still, np.zeros(1, int), xyz)[0, 2] == 0.0


def test_rays_lead_back_to_the_lattice(experiment, predicted):
    panel = predicted["panel"].astype(np.int64)
    rays = compute_diffracted_rays(experiment, panel, predicted["xyzcal.mm"][:, :2])
    np.testing.assert_allclose(rays, predicted["s1"], atol=1e-9)
    points = compute_lattice_points(experiment, rays, predicted["xyzcal.mm"][:, 2])
    hkl = points @ np.linalg.inv(experiment.crystal.A).T
    np.testing.assert_allclose(hkl, predicted["miller_index"], atol=1e-6)


def test_without_a_goniometer_the_lab_is_the_crystals_frame(experiment, predicted):
    still = Experiment("s", experiment.beam, experiment.detector)
    points = compute_lattice_points(still, predicted["s1"], np.zeros(len(predicted)))
    np.testing.assert_array_equal(points, predicted["s1"] - experiment.beam.s0)
