"""Rings of scattering angle: their statistics against NumPy's, and pixels that exceed them."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.simulation import make_beam, make_detector
from xdp.spotfinding.options import RadialProfileOptions
from xdp.spotfinding.threshold.radial_profile import (
    RadialThresholder,
    blur_image,
    compute_ring_statistics,
    compute_two_theta_map,
)


def test_ring_statistics_are_numpy_quantiles():
    rng = np.random.default_rng(0)
    values, bins = rng.normal(size=400), rng.integers(0, 9, 400)
    bins[bins == 4] = 5
    median, spread = compute_ring_statistics(values, bins, 9)
    for k in range(9):
        ring = values[bins == k]
        expected = (np.median(ring), np.subtract(*np.quantile(ring, [0.75, 0.25]))) if len(ring) else (0.0, 0.0)
        np.testing.assert_allclose((median[k], spread[k]), expected, rtol=1e-12)


def test_radial_profile_finds_what_exceeds_its_ring():
    y, x = np.mgrid[:60, :60]
    angle = np.hypot(y - 30, x - 30) / 100
    image = np.rint(100 * np.exp(-angle * 5)).astype(np.int32)
    image[12, 40] += 60
    image[50, 50] += 60
    valid = np.ones(image.shape, bool)
    valid[50, 50] = False
    found = RadialThresholder(image.shape, valid, options=RadialProfileOptions(n_bins=20), two_theta=angle).find(image)
    assert found.index.tolist() == [12 * 60 + 40]
    smoothed = blur_image(image.astype(float), np.full((3, 3), 1 / 9))
    assert smoothed[12, 40] == pytest.approx(image[11:14, 39:42].mean())
    assert smoothed[0, 0] == pytest.approx((4 * image[0, 0] + 2 * image[0, 1] + 2 * image[1, 0] + image[1, 1]) / 9)


def test_angles_are_those_of_rays_to_the_pixels():
    detector, beam = make_detector((30, 20)), make_beam()
    angles = compute_two_theta_map(detector, beam, 0)
    panel = detector[0]
    assert angles.shape == panel.shape
    for slow, fast in ((0, 0), (7, 29), (19, 3)):
        ray = np.array(panel.origin) + fast * panel.pixel_size[0] * np.array(panel.fast_axis)
        ray = ray + slow * panel.pixel_size[1] * np.array(panel.slow_axis)
        cosine = ray @ beam.s0 / np.linalg.norm(ray) / np.linalg.norm(beam.s0)
        # the depth at which the sensor absorbs moves a pixel by less than its width, 1e-3 of the distance
        assert angles[slow, fast] == pytest.approx(np.arccos(cosine), abs=1e-3)
