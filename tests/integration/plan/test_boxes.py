from __future__ import annotations

import dataclasses
from math import erf, sqrt

import numpy as np
import pytest

from xdp.experiment import Experiment
from xdp.experiment.pixels import mm_to_px, ray_intersection
from xdp.integration.plan.boxes import compute_bounding_boxes, compute_recorded_fraction
from xdp.integration.profiles.model import GaussianRSModel
from xdp.prediction.options import PredictionOptions
from xdp.prediction.predict import predict
from xdp.prediction.rays import rotate_vectors
from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan

pytestmark = pytest.mark.kernels
MODEL = GaussianRSModel(3.0, np.deg2rad(0.05), np.deg2rad(0.1))


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("x", make_beam(), make_detector((300, 260), distance=70.0), make_goniometer(),
                      make_scan(20, 0.5), make_crystal())


@pytest.fixture(scope="module")
def table(experiment):
    return predict(experiment, PredictionOptions(d_min=3.0))


def slow_box(experiment, s1, z, zeta, delta_b, delta_m) -> list[int]:
    """Twin: the corners of the square turned out one by one, about e2 and e1."""
    e1 = np.cross(s1, experiment.beam.s0)
    e1 /= np.linalg.norm(e1)
    e2 = np.cross(s1, e1) / np.linalg.norm(s1)
    corners = []
    for a in (-1, 1):
        for b in (-1, 1):
            offset = delta_b * (a * e1 + b * e2)
            ray = s1 * np.sqrt(1 - offset @ offset) + np.linalg.norm(s1) * offset
            xy, _ = ray_intersection(experiment.detector, 0, ray)
            corners.append(mm_to_px(experiment.detector[0], xy))
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    reach = np.rad2deg(delta_m / abs(zeta)) / 0.5
    frames = [max(min(np.floor(z - reach), 19), 0), min(max(np.ceil(z + reach), 1), 20)]
    return [int(v) for v in (np.floor(low[0]), np.ceil(high[0]), np.floor(low[1]), np.ceil(high[1]), *frames)]


def test_boxes_reach_to_the_corners(experiment, table):
    boxes = compute_bounding_boxes(MODEL, experiment, table, sigma_b_multiplier=1.5)
    assert boxes.dtype == np.int32
    for i in range(0, len(table), 7):
        expected = slow_box(experiment, table["s1"][i], table["xyzcal.px"][i, 2], table["zeta"][i],
                            1.5 * 3.0 * float(MODEL.sigma_b), 3.0 * float(MODEL.sigma_m))
        assert boxes[i].tolist() == expected


def test_the_square_holds_the_rays_of_the_foreground(experiment, table):
    boxes = compute_bounding_boxes(MODEL, experiment, table, sigma_b_multiplier=1.0)
    generator = np.random.default_rng(3)
    for _ in range(5):
        axis = np.cross(table["s1"], generator.normal(size=3))
        turned = np.array([rotate_vectors(s, a, 3.0 * float(MODEL.sigma_b))
                           for s, a in zip(table["s1"], axis, strict=True)])
        xy = mm_to_px(experiment.detector[0], ray_intersection(experiment.detector, 0, turned)[0])
        assert np.all((xy >= boxes[:, [0, 2]]) & (xy <= boxes[:, [1, 3]]))


def test_frames_stay_within_the_scan(experiment, table):
    z = table["xyzcal.px"][:, 2]
    assert z.min() < 0.0
    assert z.max() > 20.0
    frames = compute_bounding_boxes(MODEL, experiment, table)[:, 4:]
    assert frames.min() == 0
    assert frames.max() == 20
    assert np.all(np.diff(frames) >= 1)


def test_a_reflection_that_goes_along_with_the_sphere_fills_the_scan(experiment, table):
    slow = table.select(np.arange(2)).with_columns(zeta=np.array([0.0, 1e-300]))
    np.testing.assert_array_equal(compute_bounding_boxes(MODEL, experiment, slow)[:, 4:], [[0, 20], [0, 20]])


def test_partiality_is_the_share_of_the_gaussian(experiment, table):
    table = table.with_columns(bbox=compute_bounding_boxes(MODEL, experiment, table))
    part = compute_recorded_fraction(MODEL, experiment, table)
    for i in range(0, len(table), 11):
        sigma = np.rad2deg(float(MODEL.sigma_m)) / abs(table["zeta"][i]) / 0.5
        low, high = ((end - table["xyzcal.px"][i, 2]) / sigma for end in table["bbox"][i, 4:])
        assert part[i] == pytest.approx(0.5 * (erf(high / sqrt(2)) - erf(low / sqrt(2))), abs=1e-12)
    z = table["xyzcal.px"][:, 2]
    inside = (z > 5) & (z < 15) & (np.abs(table["zeta"]) > 0.5)
    # what is beyond three sigma is lost at most
    assert part[inside].min() >= 0.9973
    assert np.all((part >= 0.0) & (part <= 1.0))
    assert part[(z < -0.5)].max() < 0.5


def test_a_model_of_each_frame_is_used_on_its_frame(experiment, table):
    widths = np.deg2rad(np.linspace(0.02, 0.08, 20))
    varying = GaussianRSModel(3.0, widths, 2.0 * widths)
    frame = np.clip(np.floor(table["xyzcal.px"][:, 2]).astype(int), 0, 19)
    boxes = compute_bounding_boxes(varying, experiment, table)
    parts = compute_recorded_fraction(varying, experiment, table.with_columns(bbox=boxes))
    for i in range(20):
        rows = np.flatnonzero(frame == i)
        one = GaussianRSModel(3.0, widths[i], 2.0 * widths[i])
        np.testing.assert_array_equal(boxes[rows], compute_bounding_boxes(one, experiment, table.select(rows)))
        chosen = table.select(rows).with_columns(bbox=boxes[rows])
        np.testing.assert_array_equal(parts[rows], compute_recorded_fraction(one, experiment, chosen))


def test_stills_have_boxes_of_one_frame_and_are_whole(experiment):
    still = dataclasses.replace(experiment, goniometer=None, scan=None)
    table = predict(still, PredictionOptions(d_min=3.0))
    boxes = compute_bounding_boxes(GaussianRSModel(3.0, np.deg2rad(0.05), 0.0), still, table)
    assert np.all(boxes[:, 5] - boxes[:, 4] == 1)
    assert np.all(compute_recorded_fraction(MODEL, still, table.with_columns(bbox=boxes)) == 1.0)


def test_corners_that_miss_the_plane_do_not_count(experiment, table):
    wide = GaussianRSModel(3.0, np.deg2rad(25.0), np.deg2rad(0.1))
    boxes = compute_bounding_boxes(wide, experiment, table)
    assert np.all(boxes[:, 1] >= boxes[:, 0])
    assert np.abs(boxes).max() <= 1e6
