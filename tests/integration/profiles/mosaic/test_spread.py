from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.experiment import Experiment
from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles.model import GaussianRSModel
from xdp.integration.profiles.mosaic.spread import MosaicSpread, _compute_depth_variance, describe_rays
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import predict
from xdp.reflections.table import ReflectionTable
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("x", make_beam(), make_detector((300, 260), distance=60.0), make_goniometer(),
                      make_scan(20, 0.5), make_crystal((40.0, 50.0, 60.0, 90, 90, 90)))


@pytest.fixture(scope="module")
def table(experiment) -> ReflectionTable:
    return predict(experiment, PredictionOptions(d_min=2.0, padding=0.0))


def test_terms_grow_as_the_formula_says(experiment, table):
    rays = describe_rays(experiment, table)
    spread = MosaicSpread(1e-7, 4e-6 * np.eye(3), 9e-6)
    theta = 0.5 * np.arccos(table["s1"] @ experiment.beam.s0 / np.linalg.norm(experiment.beam.s0) ** 2)
    found = spread.compute_variances(rays) - rays.depth
    np.testing.assert_allclose(found[:, 0], 1e-7 + 4e-6 * (2.0 * np.sin(theta)) ** 2, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], 1e-7 + 9e-6 * np.tan(theta) ** 2, rtol=1e-6)


def test_turns_of_blocks_move_rays_as_far_as_h_says(experiment, table):
    """The slow way: blocks are turned by w in the crystal, and e1 . dq is looked at for each reflection."""
    rng = np.random.default_rng(0)
    h = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, -0.5], [0.0, -0.5, 1.0]]) * 1e-6
    turns = rng.multivariate_normal(np.zeros(3), h, 20000)
    spread = MosaicSpread(0.0, h, 0.0)
    rows = np.arange(0, len(table), max(len(table) // 5, 1))
    part = table.select(rows)
    rays = spread.describe(experiment, part)
    from xdp.prediction.rays import make_goniometer_rotations

    angles = np.deg2rad(experiment.scan.angle(part["xyzcal.px"][:, 2]))
    for i, turn in enumerate(make_goniometer_rotations(experiment.goniometer, angles)):
        q = part["s1"][i] - experiment.beam.s0
        e1 = np.cross(part["s1"][i], experiment.beam.s0)
        e1 /= np.linalg.norm(e1)
        in_lab = turns @ (turn @ experiment.crystal.U).T
        moved = np.cross(in_lab, q) @ e1 * experiment.beam.wavelength
        about = in_lab @ e1
        assert np.var(moved) == pytest.approx(rays.two_sine[i] ** 2 * rays.normal[i] @ h @ rays.normal[i], rel=0.05)
        assert np.var(about) == pytest.approx(rays.axis[i] @ h @ rays.axis[i], rel=0.05)


def test_a_pixel_has_the_variance_of_its_area(experiment, table):
    rays = describe_rays(experiment, table)
    i = len(table) // 3
    x, y = table["xyzcal.px"][i, :2]
    # parallax correction bends the map from pixels to rays by less than a thousandth here
    points = np.array([x, y]) + np.random.default_rng(1).uniform(-0.5, 0.5, (40000, 2))
    u = px_to_s1(experiment.detector, experiment.beam, 0, points) * experiment.beam.wavelength
    e1 = np.cross(table["s1"][i], experiment.beam.s0)
    e1 /= np.linalg.norm(e1)
    assert np.var(u @ e1) == pytest.approx(rays.pixel[i, 0], rel=0.03)
    e2 = np.cross(table["s1"][i], e1)
    assert np.var(u @ e2 / np.linalg.norm(e2)) == pytest.approx(rays.pixel[i, 1], rel=0.03)


@pytest.mark.parametrize(("mu", "path"), [(3.0, 0.4), (0.01, 0.4), (30.0, 0.4)])
def test_depth_varies_as_absorption_says(mu, path):
    depth = np.linspace(0.0, path, 200001)
    weight = np.exp(-mu * depth)
    mean = np.average(depth, weights=weight)
    expected = np.average((depth - mean) ** 2, weights=weight)
    assert _compute_depth_variance(np.array([mu]), np.array([path]))[0] == pytest.approx(expected, rel=1e-3)
    assert _compute_depth_variance(np.zeros(1), np.array([path]))[0] == 0.0


def test_the_model_goes_to_a_dictionary_and_back():
    for rotation in (4e-6 * np.eye(3), np.diag([1e-6, 4e-6, 2e-6])):
        spread = MosaicSpread(1e-6, rotation, 2e-6, 3e-6, 0.04, 0.95, 0.9, (1.1, 0.5))
        model = GaussianRSModel(3.0, 0.001, 0.002, spread=spread)
        again = GaussianRSModel.from_dict(model.to_dict()).spread
        np.testing.assert_allclose(again.rotation, rotation, rtol=1e-12, atol=1e-20)
        found = (again.divergence, again.radial, again.drift, again.blur, again.scale, again.grid)
        assert found == pytest.approx((1e-6, 2e-6, 3e-6, 0.04, 0.95, 0.9))
        assert again.along == pytest.approx((1.1, 0.5))
        assert again.is_isotropic == spread.is_isotropic
    assert "mosaic" not in GaussianRSModel(3.0, 0.001, 0.002).to_dict()
    for wrong in ({}, {"divergence": -1.0}, {"rotation": [1.0]}, {"divergence": "x"}):
        broken = {**model.to_dict()["mosaic"], **wrong} if wrong else {}
        if wrong == {"divergence": -1.0}:
            broken["divergence"] = float("nan")
        with pytest.raises(FormatError, match="profile"):
            GaussianRSModel.from_dict(model.to_dict() | {"mosaic": broken})


def test_widths_are_those_of_sigma_b_where_nothing_differs(experiment, table):
    model = GaussianRSModel(3.0, 0.001, 0.002)
    np.testing.assert_array_equal(model.compute_axis_widths(experiment, table), np.full((len(table), 2), 0.001))
    np.testing.assert_array_equal(model.compute_sigma_m(experiment, table), np.full(len(table), 0.002))


def test_scan_varying_widths_follow_sigma_b(experiment, table):
    spread = MosaicSpread(1e-6, 4e-6 * np.eye(3), 0.0)
    sigma_b = np.linspace(0.001, 0.003, 20)
    varying = GaussianRSModel(3.0, sigma_b, np.full(20, 0.002), spread=spread)
    mean = float(np.sqrt(np.mean(sigma_b ** 2)))
    static = GaussianRSModel(3.0, mean, 0.002, spread=spread)
    ratio = varying.compute_axis_widths(experiment, table) / static.compute_axis_widths(experiment, table)
    frame = np.clip(np.floor(table["xyzcal.px"][:, 2]).astype(int), 0, 19)
    np.testing.assert_allclose(ratio, np.stack([sigma_b[frame] / mean] * 2, axis=1))


def test_the_reflecting_range_follows_turns_about_e1(experiment, table):
    h = np.diag([1e-6, 4e-6, 1e-6])
    spread = MosaicSpread(1e-6, h, 0.0, along=(1.0, 1.0))
    model = GaussianRSModel(3.0, 0.001, 0.002, spread=spread)
    rays = spread.describe(experiment, table)
    expected = 0.002 * np.sqrt(np.einsum("ni,ij,nj->n", rays.axis, h, rays.axis) / 2e-6)
    np.testing.assert_allclose(model.compute_sigma_m(experiment, table), expected)
