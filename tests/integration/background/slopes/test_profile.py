"""The radial profile of a sweep: found beside reflections and polarisation, smooth where there is nothing but noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline

from xdp.experiment.experiment import Experiment
from xdp.integration.background.slopes.profile import (
    RadialProfile,
    describe_places,
    estimate_radial_profile,
    smooth_levels,
)
from xdp.integration.hot_pixels.counts import PixelCounts
from xdp.simulation.background import expect_background
from xdp.simulation.models import make_beam, make_crystal, make_detector, make_goniometer, make_scan
from xdp.simulation.options import SimulationOptions
from xdp.simulation.rotation import simulate_rotation

SIZE = (300, 260)
N_FRAMES = 24


@pytest.fixture(scope="module")
def models():
    return Experiment("x", make_beam(), make_detector(SIZE, distance=70.0, gaps=False), make_goniometer(),
                      make_scan(N_FRAMES, 0.5), make_crystal())


def count(models, frames):
    counts = PixelCounts((0, len(frames)), models.detector.panel_shapes)
    for z, frame in enumerate(frames):
        counts.add(z, [frame])
    return counts


def compare(models, found, level):
    """What is found less the truth, at each pixel, but for a factor."""
    slow, fast = np.indices(models.detector.panel_shapes[0]) + 0.5
    two_sine, log_factor = describe_places(models, np.zeros(1, int), fast[None], slow[None])
    truth = np.log(expect_background(models.detector, models.beam, 0, level))
    inside = (two_sine[0] > found.two_sine[0]) & (two_sine[0] < found.two_sine[-1])
    difference = (found.evaluate(two_sine) + log_factor)[0] - truth
    return (difference - np.median(difference))[inside]


def test_places_are_those_of_the_simulation(models):
    # what is left of its background is a function of the angle alone
    slow, fast = np.indices(models.detector.panel_shapes[0]) + 0.5
    two_sine, log_factor = describe_places(models, np.zeros(1, int), fast[None], slow[None])
    radial = np.log(expect_background(models.detector, models.beam, 0, 1.0)) - log_factor[0]
    order = np.argsort(two_sine, axis=None)
    steps, angles = (np.abs(np.diff(v.ravel()[order])) for v in (radial, two_sine))
    # the ring is no steeper than this by angle; without the factor neighbours in angle differ by 0.3
    assert np.all(steps < 1e-4 + 30.0 * angles)


@pytest.mark.parametrize("photons", [0.0, 2000.0])
def test_the_ring_is_found_beside_reflections(models, photons):
    options = SimulationOptions(photons=photons, background=40.0, hot_pixels=0, dead_pixels=0, d_min=2.0)
    drawn = simulate_rotation(models.crystal, models.beam, models.detector, models.goniometer, models.scan,
                              options=options, seed=2)
    found = estimate_radial_profile(models, count(models, [frame[0] for frame in drawn.iterate_frames()]), None)
    # a bin of 300 pixels with 600 photons knows its logarithm to 0.3 %; tails of spots add as much where they are many
    assert np.sqrt(np.mean(compare(models, found, 40.0) ** 2)) < (0.004 if photons else 0.002)
    assert 1e-3 < np.sqrt(found.slope_variance) < 0.03


def test_masked_pixels_are_left_out(models):
    rng = np.random.default_rng(1)
    level = expect_background(models.detector, models.beam, 0, 40.0)
    valid = np.ones(level.shape, bool)
    valid[:, :140] = False
    frames = rng.poisson(np.where(valid, level, 3.0 * level), (N_FRAMES, *level.shape))
    found = estimate_radial_profile(models, count(models, frames), [valid])
    assert np.sqrt(np.mean(compare(models, found, 40.0) ** 2)) < 0.003


def test_flat_noise_has_no_slope(models):
    rng = np.random.default_rng(1)
    slow, fast = np.indices(models.detector.panel_shapes[0]) + 0.5
    factor = np.exp(describe_places(models, np.zeros(1, int), fast[None], slow[None])[1][0])
    frames = rng.poisson(2.0 * factor / factor.mean(), (N_FRAMES, *factor.shape))
    found = estimate_radial_profile(models, count(models, frames), None)
    # the logarithm of a bin is known to 1 % and bins are 3 pixels wide: unsmoothed there were slopes of 0.005
    assert np.sqrt(found.slope_variance) < 1e-3


def test_too_little_gives_no_profile(models):
    shape = models.detector.panel_shapes[0]
    assert estimate_radial_profile(models, count(models, np.zeros((4, *shape), int)), None) is None
    assert estimate_radial_profile(models, count(models, np.ones((4, *shape), int)), [np.zeros(shape, bool)]) is None
    valid = np.zeros(shape, bool)
    valid[:6, :6] = True
    assert estimate_radial_profile(models, count(models, 9 * np.ones((4, *shape), int)), [valid]) is None


def test_smoothing_keeps_rings_and_drops_noise():
    x = np.linspace(0.1, 0.6, 120)
    rng = np.random.default_rng(0)
    sigma = np.where(x < 0.3, 0.01, 0.03)
    truth = np.exp(-0.5 * ((x - 0.3) / 0.04) ** 2)
    y = truth + rng.normal(0.0, sigma)
    found = smooth_levels(x, y, 1.0 / sigma**2)
    # SciPy's smoothing spline by the same criterion is an independent twin: both err by a third of the noise
    twin = make_smoothing_spline(x, y, 1.0 / sigma**2)(x)
    error, other, noise = (np.sqrt(np.mean(((v - truth) / sigma) ** 2)) for v in (found, twin, y))
    assert error < 0.5 * noise
    assert error < 1.15 * other


def test_a_profile_is_interpolated_with_continuous_slope():
    x = np.linspace(0.0, 1.0, 60)
    profile = RadialProfile(x, np.sin(3.0 * x), 1.0)
    at = np.linspace(0.05, 0.95, 2000)
    # Hermite's cubic with slopes of the neighbours: the error is of third order, 27 / 24 of the cube of the step
    np.testing.assert_allclose(profile.evaluate(at), np.sin(3.0 * at), atol=1e-5)
    assert profile.evaluate(np.array([-1.0, 2.0])).tolist() == [0.0, np.sin(3.0)]
