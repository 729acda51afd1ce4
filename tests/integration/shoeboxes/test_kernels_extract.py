"""Frames cut to boxes, and boxes put together from their parts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.shoeboxes._kernels_extract import OVERLOAD, cut_boxes, put_parts
from xdp.integration.shoeboxes.extract import compute_box_offsets

pytestmark = pytest.mark.kernels


def test_pixels_without_mask_are_all_good():
    data, mask = np.zeros(4, np.float32), np.zeros(4, np.uint8)
    bbox = np.array([[0, 2, 0, 2, 0, 1]], np.int32)
    cut_boxes(np.array([[1.5, 2.0], [3.0, -1.0]]), np.zeros((0, 0), bool), 0.0, 2.5, 0, np.array([0]), bbox,
              compute_box_offsets(bbox), data, mask)
    assert mask.tolist() == [1, 1, int(OVERLOAD), 0]
    assert data.tolist() == [1.5, 2.0, 3.0, -1.0]


def test_counts_beside_the_panel_stay_zero():
    data, mask = np.zeros(9, np.float32), np.zeros(9, np.uint8)
    bbox = np.array([[-1, 2, 1, 4, 4, 5]], np.int32)
    image, valid = np.arange(1, 7).reshape(2, 3), np.array([[True] * 3, [True, False, True]])
    cut_boxes(image, valid, 0.0, 10.0, 4, np.array([0]), bbox, compute_box_offsets(bbox), data, mask)
    assert data.tolist() == [0, 4, 5, 0, 0, 0, 0, 0, 0]
    assert mask.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_parts_go_to_their_places():
    data, mask = np.arange(1, 8, dtype=np.float32), np.arange(11, 18, dtype=np.uint8)
    whole, whole_mask = np.zeros(10, np.float32), np.zeros(10, np.uint8)
    put_parts(np.array([5, 1]), np.array([0, 6]), np.array([2, 3]), data, mask, whole, whole_mask)
    assert whole.tolist() == [6, 7, 0, 0, 0, 0, 2, 3, 4, 0]
    assert whole_mask.tolist() == [16, 17, 0, 0, 0, 0, 12, 13, 14, 0]
