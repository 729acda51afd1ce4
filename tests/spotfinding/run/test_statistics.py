"""Statistics of images."""

from __future__ import annotations

import numpy as np
from sweeps import background, sweep

from xdp.experiment.pixels import resolution
from xdp.spotfinding.run.statistics import ICE_WIDTH, SpotStatistics, compute_spot_resolution, is_near_ice_ring


def test_spots_in_ice_rings_are_within_half_the_width():
    ring = 1 / (4.498 * np.sqrt(3) / 2) ** 2  # 1 0 0 of hexagonal ice: d = a cos 30
    star = ring + ICE_WIDTH * np.array([-0.51, -0.49, 0.0, 0.49, 0.51])
    assert is_near_ice_ring(1 / np.sqrt(star)).tolist() == [False, True, True, True, False]


def test_coarse_spots_are_in_no_ring():
    assert is_near_ice_ring(np.array([20.0, 50.0])).tolist() == [False, False]
    assert is_near_ice_ring(np.zeros(0)).tolist() == []


def test_sums_are_over_the_images_of_the_spots():
    statistics = SpotStatistics.empty(["4", "5", "6"])
    statistics.add(np.array([0, 2, 2]), np.array([False, True, False]), np.array([10.0, 20.0, 30.0]))
    statistics.add(np.array([2]), np.array([False]), np.array([5.0]))
    assert statistics.n_spots.tolist() == [1, 0, 3]
    assert statistics.n_without_ice.tolist() == [1, 0, 2]
    assert statistics.intensity.tolist() == [10.0, 0.0, 35.0]
    lines = statistics.format_table().splitlines()
    assert lines[0].split() == ["image", "#spots", "#spots_no_ice", "total_intensity"]
    assert lines[4].split() == ["6", "3", "2", "35"]


def test_resolution_is_that_of_each_spots_panel(tmp_path):
    experiment, = sweep(tmp_path, background(1, n_panels=2))
    xy = np.array([[3.0, 4.0], [60.0, 50.0], [30.0, 10.0]])
    d = compute_spot_resolution(experiment, np.array([0, 1, 0]), xy)
    expected = [resolution(experiment.detector, experiment.beam, p, point[None])[0]
                for p, point in zip((0, 1, 0), xy, strict=True)]
    assert d.tolist() == expected
