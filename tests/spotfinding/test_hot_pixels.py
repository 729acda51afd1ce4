"""Hot pixels."""

from __future__ import annotations

import numpy as np

from xdp.spotfinding.hot_pixels import find_always_strong, find_full_depth_pixels, make_hot_masks


def test_pixels_strong_on_all_frames():
    frames = [np.array([1, 4, 9, 12]), np.array([4, 9]), np.array([0, 4, 9, 13])]
    assert find_always_strong(frames).tolist() == [4, 9]
    assert find_always_strong([]).tolist() == []
    assert find_always_strong([np.array([3])]).tolist() == [3]


def test_mask_is_false_at_hot_pixels():
    first, second = make_hot_masks([(3, 4), (2, 2)], [np.array([5, 11]), np.zeros(0, int)])
    assert np.argwhere(~first).tolist() == [[1, 1], [2, 3]]
    assert second.all()


def test_spots_through_all_frames_show_hot_pixels():
    bbox = np.array([[7, 8, 3, 4, 0, 10], [1, 2, 1, 2, 0, 9], [5, 6, 5, 6, 20, 30]])
    assert find_full_depth_pixels(bbox, 10).tolist() == [[7, 3], [5, 5]]
