"""The background's slope around spots."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.spotfinding.spots.background_slope import enlarge_boxes, fit_ring_slopes, has_flat_background, sum_boxes


def test_plane_through_the_ring_ignores_the_inside():
    y, x = np.mgrid[:9, :11]
    box = 100 + 3.0 * x - 2.0 * y
    box[1:-1, 1:-1] = 5000.0
    # exact arithmetic up to rounding: an exact plane is fitted
    assert fit_ring_slopes(box, (0, 1e6)) == pytest.approx((3.0, -2.0), abs=1e-9)


def test_counts_beyond_the_limits_are_left_out():
    y, x = np.mgrid[:9, :11]
    box = 100 + 3.0 * x + 0.0 * y
    box[0, 0], box[8, 10] = 1e7, -1.0
    assert fit_ring_slopes(box, (0, 1e6)) == pytest.approx((3.0, 0.0), abs=1e-9)
    assert fit_ring_slopes(box, (1e8, 1e9)) == (0.0, 0.0)


def test_boxes_are_enlarged_within_the_panel():
    assert enlarge_boxes(np.array([[1, 4, 50, 60, 2, 3]]), (64, 72), 3).tolist() == [[0, 7, 47, 63, 2, 3]]


def test_boxes_are_summed_over_their_frames_and_each_frame_is_read_once():
    images = np.random.default_rng(2).integers(0, 9, (6, 1, 8, 8))
    asked = []

    def read(frame):
        asked.append(frame)
        return list(images[frame])

    bbox = np.array([[0, 3, 0, 3, 4, 6], [2, 7, 1, 8, 0, 2], [1, 4, 1, 4, 1, 2]])
    sums = sum_boxes(read, np.zeros(3, int), bbox)
    assert asked == [0, 1, 4, 5]
    for box, (x0, x1, y0, y1, z0, z1) in zip(sums, bbox, strict=True):
        np.testing.assert_array_equal(box, images[z0:z1, 0, y0:y1, x0:x1].sum(axis=0))


def test_steep_spots_are_told_from_flat_ones():
    image = np.full((40, 40), 50.0)
    image[:, 20:] += 10.0 * np.arange(20)
    bbox = np.array([[5, 8, 10, 13, 0, 1], [28, 31, 10, 13, 0, 1]])
    flat = has_flat_background(lambda frame: [image], np.zeros(2, int), bbox, shapes=[(40, 40)], limits=[(0, 1e6)])
    assert flat.tolist() == [True, False]
    assert has_flat_background(None, np.zeros(0, int), bbox[:0], shapes=[], limits=[]).tolist() == []
