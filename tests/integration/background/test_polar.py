"""Backgrounds smoothed along circles about the beam."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment import Beam, Detector, Panel
from xdp.integration.background.model_options import ModellerOptions
from xdp.integration.background.polar import PolarGrid, smooth_background

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def flat_panel() -> tuple[Detector, Beam]:
    """A detector of 90 by 80 pixels across the beam, which meets it off its middle."""
    panel = Panel.from_dict({
        "name": "p", "type": "SENSOR_PAD", "fast_axis": [1, 0, 0], "slow_axis": [0, -1, 0], "origin": [-7, 9, -60],
        "raw_image_offset": [0, 0], "image_size": [90, 80], "pixel_size": [0.2, 0.2], "trusted_range": [0, 1e6],
        "thickness": 0.0, "material": "", "mu": 0.0, "identifier": "", "mask": [], "gain": 1.0, "pedestal": 0.0,
        "px_mm_strategy": {"type": "SimplePxMmStrategy"}})
    beam = Beam.from_dict({"direction": [0, 0, 1], "wavelength": 1.0, "divergence": 0, "sigma_divergence": 0,
                           "polarization_normal": [0, 1, 0], "polarization_fraction": 0.999, "flux": 0,
                           "transmission": 1})
    return Detector((panel,), None), beam


def ring_image(noise: bool) -> np.ndarray:
    """A background with a ring about pixel (35, 45), by radius alone."""
    y, x = np.mgrid[0:80, 0:90] + 0.5
    radius = np.hypot(x - 35, y - 45)
    mean = 6.0 + 10.0 * np.exp(-0.5 * ((radius - 28) / 4) ** 2)
    return np.random.default_rng(3).poisson(mean).astype(float) if noise else mean


@pytest.mark.parametrize("filter_type", ["median", "mean"])
def test_smoothing_keeps_rings_and_takes_noise_away(filter_type, flat_panel):
    grid = PolarGrid.of(*flat_panel, 0)
    good = np.ones((80, 90), bool)
    good[:, 50:53] = False  # A gap between modules.
    image = ring_image(noise=True)
    image[~good] = 1e5
    smooth, _ = smooth_background(image, good, grid, ModellerOptions(filter_type=filter_type, kernel_size=20))
    truth = ring_image(noise=False)
    far = np.hypot(*(np.mgrid[0:80, 0:90] - np.array([45, 35])[:, None, None])) > 6
    noise = np.sqrt(np.mean((ring_image(noise=True) - truth)[far] ** 2))
    assert np.sqrt(np.mean((smooth - truth)[far] ** 2)) < 0.45 * noise
    ring = np.abs(np.hypot(*(np.mgrid[0:80, 0:90] + 0.5 - np.array([45, 35])[:, None, None])) - 28) < 1
    assert smooth[ring].mean() > 12.0


def test_without_a_filter_the_image_comes_back(flat_panel):
    image = ring_image(noise=False)
    grid = PolarGrid.of(*flat_panel, 0)
    smooth, polar = smooth_background(image, np.ones(image.shape, bool), grid, ModellerOptions(kernel_size=0))
    # Grid points take the nearest pixel's value: half a pixel times the steepest slope, 1.5 a pixel, at most.
    assert np.abs(smooth - image)[5:-5, 5:-5].max() < 1.6
    assert polar.shape == grid.column.shape


def test_more_rounds_fill_holes_more_evenly(flat_panel):
    grid = PolarGrid.of(*flat_panel, 0)
    image, good = ring_image(noise=True), np.random.default_rng(0).random((80, 90)) > 0.5
    results = [smooth_background(image, good, grid, ModellerOptions(kernel_size=0, niter=n))[1] for n in (1, 50)]
    assert np.abs(np.diff(results[1], axis=0)).mean() < np.abs(np.diff(results[0], axis=0)).mean()


def test_nothing_good_is_no_background(flat_panel):
    smooth, _ = smooth_background(np.ones((80, 90)), np.zeros((80, 90), bool), PolarGrid.of(*flat_panel, 0))
    assert not smooth.any()


@pytest.mark.parametrize("level", [0.003, 0.03, 0.3, 3.0, 30.0])
def test_the_level_is_right_from_few_to_many_counts_with_spots_in_it(level, flat_panel):
    """Twenty images whose background falls outwards to a third; spots and hot pixels on 3 % of the pixels."""
    grid = PolarGrid.of(*flat_panel, 0)
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:80, 0:90] + 0.5
    truth = level * np.exp(-np.hypot(x - 35, y - 45) / 60.0)
    n_images = 20
    total = rng.poisson(n_images * truth).astype(float)
    spots = np.zeros((80, 90), bool)
    for row, column in rng.integers(0, (78, 88), (20, 2)):
        spots[row:row + 3, column:column + 3] = True
    spots |= rng.random(spots.shape) < 0.003  # hot pixels
    total[spots] += rng.integers(10, 3000, np.count_nonzero(spots)) + 10.0 * n_images * level
    number = np.full(total.shape, float(n_images))
    smooth, _ = smooth_background(total / n_images, np.ones(total.shape, bool), grid, ModellerOptions(), number)
    # 7,200 pixels hold 250 counts at the lowest level: 3 sigma of 6 %. At many counts the median is raised by the
    # spots' 3 % of pixels: by 0.04 sigma of a pixel, 0.2 %.
    tolerance = 3.0 / np.sqrt(n_images * truth.sum()) + 0.01
    assert smooth.mean() == pytest.approx(truth.mean(), rel=tolerance)
    # The shape is there as well, ring by ring, as far as the counts of a ring tell.
    radius = np.hypot(x - 35, y - 45)
    for inner, outer in ((8, 20), (20, 35), (35, 55)):
        ring = (radius >= inner) & (radius < outer)
        tolerance = 4.0 / np.sqrt(n_images * truth[ring].sum()) + 0.02
        assert smooth[ring].mean() == pytest.approx(truth[ring].mean(), rel=tolerance)
    if level <= 0.03:  # the median of such counts is 0
        plain, _ = smooth_background(total / n_images, np.ones(total.shape, bool), grid, ModellerOptions())
        assert plain.mean() < 0.4 * truth.mean()
