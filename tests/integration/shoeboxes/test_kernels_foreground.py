"""Outlines and overlaps beside slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from footprint_data import BEAM, DETECTOR, make_crowd, make_empty_boxes

from xdp.integration.shoeboxes._kernels_foreground import SHARES_BACKGROUND, SHARES_FOREGROUND
from xdp.integration.shoeboxes.foreground import Footprints
from xdp.prediction.kabsch import make_axes
from xdp.reflections.flags import MaskCode

pytestmark = pytest.mark.kernels


def slow_footprint(s1, bbox, radius):
    """Whether a corner of each pixel lies within the radius in the Kabsch frame, with the parallax at the middle."""
    panel = DETECTOR[0]
    e1, e2 = (v[0] for v in make_axes(s1[None], BEAM.s0))
    unit = s1 / np.linalg.norm(s1)
    path = panel.thickness / abs(unit @ panel.normal)
    depth = 1 / panel.mu - (path + 1 / panel.mu) * np.exp(-panel.mu * path)
    x, y = np.meshgrid(np.arange(bbox[0], bbox[1] + 1), np.arange(bbox[2], bbox[3] + 1))
    mm = np.stack([x, y], axis=-1) * panel.pixel_size
    d = DETECTOR.d_matrix(0)
    lab = mm @ d[:, :2].T + d[:, 2]
    ray = lab / np.linalg.norm(lab, axis=-1, keepdims=True)
    lab = lab - depth * ((ray @ d[:, 0])[..., None] * d[:, 0] + (ray @ d[:, 1])[..., None] * d[:, 1])
    ray = lab / np.linalg.norm(lab, axis=-1, keepdims=True)
    inside = ((ray - unit) @ e1) ** 2 + ((ray - unit) @ e2) ** 2 <= radius**2
    return inside[:-1, :-1] | inside[1:, :-1] | inside[:-1, 1:] | inside[1:, 1:]


def test_footprints_are_those_of_the_kabsch_frame():
    table = make_crowd()
    radius = np.random.default_rng(2).uniform(0.004, 0.012, len(table))
    outlines = Footprints.of(np.arange(len(table)), table, DETECTOR, radius)
    for i in range(len(table)):
        box = table["bbox"][i]
        found = outlines.pixels[outlines.offsets[i]:outlines.offsets[i + 1]].reshape(box[3] - box[2], box[1] - box[0])
        expected = slow_footprint(table["s1"][i], box, radius[i])
        assert np.array_equal(found != 0, expected)
        assert 0 < np.count_nonzero(found) < found.size


def slow_marks(table, outlines, i):
    """Mask and shares of one box, pixel by pixel."""
    bbox, centre = table["bbox"], table["xyzcal.px"]
    feet = [outlines.pixels[a:b].reshape(box[3] - box[2], box[1] - box[0])
            for a, b, box in zip(outlines.offsets[:-1], outlines.offsets[1:], bbox, strict=True)]
    x0, x1, y0, y1, z0, z1 = bbox[i].tolist()
    mask, shares = np.ones((z1 - z0, y1 - y0, x1 - x0), np.uint8), 0
    for z, y, x in np.ndindex(mask.shape):
        point = np.array([x + x0, y + y0, z + z0])
        is_own = feet[i][y, x] != 0
        mask[z, y, x] |= MaskCode.FOREGROUND if is_own else MaskCode.BACKGROUND
        for j in range(len(bbox)):
            low, high = bbox[j, ::2], bbox[j, 1::2]
            if j == i or np.any(point < low) or np.any(point >= high):
                continue
            if not feet[j][point[1] - low[1], point[0] - low[0]]:
                continue
            shares |= int(SHARES_FOREGROUND if is_own else SHARES_BACKGROUND)
            own, other = (np.sum((point + 0.5 - centre[k]) ** 2) for k in (i, j))
            if not is_own or other < own or (other == own and j < i):
                mask[z, y, x] |= MaskCode.OVERLAPPED
    return mask.ravel(), shares


def test_overlapping_pixels_belong_to_the_nearest_prediction():
    table = make_crowd(30)
    outlines = Footprints.of(np.arange(30), table, DETECTOR, np.full(30, 0.009))
    boxes = make_empty_boxes(table)
    shares = outlines.mark(np.arange(30), boxes, 0, 6)
    for i in range(30):
        mask, expected = slow_marks(table, outlines, i)
        assert np.array_equal(boxes.mask[boxes.offsets[i]:boxes.offsets[i + 1]], mask)
        assert shares[i] == expected
    assert set(shares.tolist()) >= {0, int(SHARES_BACKGROUND), int(SHARES_BACKGROUND | SHARES_FOREGROUND)}
