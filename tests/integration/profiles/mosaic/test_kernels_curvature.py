from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment import Experiment
from xdp.integration.profiles.arguments import BoxPixels
from xdp.integration.profiles.mosaic._kernels_curvature import SpotLevels, measure_curvatures
from xdp.integration.profiles.spot_spread import make_panel_rows
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.simulation import make_beam, make_detector

pytestmark = pytest.mark.kernels
SIZE, FRAMES = 11, 3


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment("x", make_beam(), make_detector((300, 260), distance=150.0))


def draw(experiment, variances, height, background, centre=(40.2, 60.7), seed=0, fine=5):
    """A spot's shoebox, its ray, and expected counts: a Gaussian averaged over fine points of each pixel."""
    from xdp.experiment.pixels import px_to_s1

    detector, beam = experiment.detector, experiment.beam
    s1 = px_to_s1(detector, beam, 0, np.array([centre]))
    u = s1[0] / np.linalg.norm(s1)
    e1 = np.cross(u, beam.unit_s0)
    e1 /= np.linalg.norm(e1)
    e2 = np.cross(u, e1)
    x0, y0 = (int(c) - SIZE // 2 for c in centre)
    at = (np.arange(SIZE * fine) + 0.5) / fine
    x, y = np.meshgrid(x0 + at, y0 + at)
    rays = px_to_s1(detector, beam, 0, np.stack([x.ravel(), y.ravel()], axis=1)) * beam.wavelength - u
    plane = np.exp(-0.5 * ((rays @ e1) ** 2 / variances[0] + (rays @ e2) ** 2 / variances[1]))
    plane = plane.reshape(SIZE, fine, SIZE, fine).mean(axis=(1, 3))
    expected = background + height * np.array([0.5, 1.0, 0.6])[:, None, None] * plane
    counts = np.random.default_rng(seed).poisson(expected) if seed else expected
    bbox = np.array([[x0, x0 + SIZE, y0, y0 + SIZE, 4, 4 + FRAMES]], np.int32)
    return s1, bbox, counts


def measure(experiment, s1, bbox, counts, mask, background, threshold, start):
    boxes = Shoeboxes(np.zeros(1, np.int64), bbox, np.array([0, counts.size]), counts.ravel().astype(np.float32),
                      mask.ravel().astype(np.uint8))
    out = np.empty((1, 5))
    levels = SpotLevels(np.array([background]), np.array([threshold]), np.array([start]))
    panels = make_panel_rows(experiment)
    measure_curvatures(BoxPixels.from_shoeboxes(boxes), panels, s1, experiment.beam.s0, levels, out)
    return out[0]


def pixel_variance(experiment) -> float:
    return (experiment.detector[0].pixel_size[0] / 150.0) ** 2


@pytest.mark.parametrize("widths", [(0.8, 0.8), (1.5, 0.7), (0.5, 0.9)])
def test_variances_are_those_drawn_without_the_pixels_own(experiment, widths):
    variances = np.square(widths) * pixel_variance(experiment)
    s1, bbox, counts = draw(experiment, variances, 5000.0, 3.0)
    found = measure(experiment, s1, bbox, counts, np.ones_like(counts), 3.0, 0.0, [pixel_variance(experiment)] * 2)
    # two points a side are exact for cubic functions only: narrow spots come out to 2 %
    np.testing.assert_allclose(-0.5 / found[:2], variances, rtol=0.02)


def test_pixels_below_a_threshold_may_be_missing(experiment):
    """Second moments of what is left would be a fifth too small."""
    variances = np.square((1.4, 0.8)) * pixel_variance(experiment)
    ratios = []
    for seed in range(1, 25):
        s1, bbox, counts = draw(experiment, variances, 800.0, 3.0, seed=seed)
        found = measure(experiment, s1, bbox, counts, counts > 20, 3.0, 21.0, [pixel_variance(experiment)] * 2)
        ratios.append(-0.5 / found[:2] / variances)
    ratios = np.array(ratios)
    assert np.all(np.abs(ratios.mean(axis=0) - 1.0) < 3.0 * ratios.std(axis=0) / np.sqrt(len(ratios)) + 0.02)


def test_errors_are_those_of_repeated_measurements(experiment):
    variances = np.square((1.2, 0.9)) * pixel_variance(experiment)
    found = np.array([measure(experiment, *draw(experiment, variances, 600.0, 3.0, seed=seed),
                              np.ones((FRAMES, SIZE, SIZE)), 3.0, 0.0, variances) for seed in range(1, 121)])
    # the error of a standard deviation of 120 is 6.5 %
    np.testing.assert_allclose(found[:, :2].std(axis=0), found[:, 2:4].mean(axis=0), rtol=0.2)


def test_the_slow_twin_finds_the_same_maximum(experiment):
    """The likelihood of Poisson counts, maximised by SciPy with the same four points a pixel."""
    from scipy.optimize import minimize

    variances = np.square((1.2, 0.9)) * pixel_variance(experiment)
    s1, bbox, counts = draw(experiment, variances, 400.0, 2.0, seed=3)
    found = measure(experiment, s1, bbox, counts, np.ones_like(counts), 2.0, -1e9, variances)
    from xdp.experiment.pixels import px_to_s1

    u = s1[0] / np.linalg.norm(s1)
    e1 = np.cross(u, experiment.beam.unit_s0)
    e1 /= np.linalg.norm(e1)
    aside = np.array([-1.0, 1.0]) * 0.5 / np.sqrt(3.0)
    y, x = np.meshgrid(bbox[0, 2] + np.arange(SIZE) + 0.5, bbox[0, 0] + np.arange(SIZE) + 0.5, indexing="ij")
    points = np.stack([np.stack([x + a, y + b], axis=-1) for b in aside for a in aside], axis=-2).reshape(-1, 2)
    rays = px_to_s1(experiment.detector, experiment.beam, 0, points) * experiment.beam.wavelength - u
    g = np.stack([rays @ e1, rays @ np.cross(u, e1)], axis=1).reshape(SIZE, SIZE, 4, 2) / np.sqrt(variances)
    z = np.arange(FRAMES) - 1.0

    def cost(beta):
        power = (beta[0] + g @ beta[1:3] + (g * g) @ beta[3:5])[None] + (beta[5] * z + beta[6] * z * z)[:, None, None,
                                                                                                       None]
        expected = 2.0 + np.exp(power).mean(axis=-1)
        return (expected - counts * np.log(expected)).sum()

    best = minimize(cost, [6.0, 0.0, 0.0, -0.5, -0.5, 0.0, -0.5], method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(found[:2] * variances, best.x[3:5], rtol=1e-3)
    np.testing.assert_allclose(found[4], np.exp(best.x[0]), rtol=1e-3)


def test_spots_of_few_pixels_are_not_measured(experiment):
    s1, bbox, counts = draw(experiment, [pixel_variance(experiment)] * 2, 100.0, 1.0)
    mask = np.zeros_like(counts)
    mask[1, 5, 3:8] = 1
    assert np.isnan(measure(experiment, s1, bbox, counts, mask, 1.0, 5.0, [pixel_variance(experiment)] * 2)).all()
