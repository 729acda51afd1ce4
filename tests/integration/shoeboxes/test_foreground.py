"""Foreground, background and neighbours, beside slow twins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xdp.experiment.pixels import mm_to_lab, px_to_mm
from xdp.integration.shoeboxes._kernels_foreground import SHARES_BACKGROUND, SHARES_FOREGROUND
from xdp.integration.shoeboxes.extract import compute_box_offsets
from xdp.integration.shoeboxes.foreground import Footprints, add_neighbours, compute_covered_fraction
from xdp.prediction.kabsch import make_axes
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_detector

pytestmark = pytest.mark.kernels

DETECTOR, BEAM = make_detector((120, 100), distance=60.0, gaps=False), make_beam()


def crowd(n=60, seed=0, half=5):
    """Predictions at random places, many of which overlap."""
    generator = np.random.default_rng(seed)
    xyz = generator.random((n, 3)) * [120, 100, 6]
    corner = np.floor(xyz).astype(np.int32)
    bbox = np.column_stack([corner[:, 0] - half, corner[:, 0] + half + 1, corner[:, 1] - half, corner[:, 1] + half + 1,
                            np.maximum(corner[:, 2] - 1, 0), np.minimum(corner[:, 2] + 2, 6)])
    mm = px_to_mm(DETECTOR[0], xyz[:, :2])
    lab = mm_to_lab(DETECTOR, 0, mm)
    s1 = lab / np.linalg.norm(lab, axis=1, keepdims=True) / BEAM.wavelength
    return ReflectionTable({"s1": s1, "panel": np.zeros(n, np.uint64), "bbox": bbox, "xyzcal.px": xyz})


def empty_boxes(table):
    offsets = compute_box_offsets(table["bbox"])
    return Shoeboxes(table["panel"], table["bbox"], offsets, np.zeros(offsets[-1], np.float32),
                     np.ones(offsets[-1], np.uint8))


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
    table = crowd()
    radius = np.random.default_rng(2).uniform(0.004, 0.012, len(table))
    outlines = Footprints.of(np.arange(len(table)), table, DETECTOR, radius)
    for i in range(len(table)):
        box = table["bbox"][i]
        found = outlines.pixels[outlines.offsets[i]:outlines.offsets[i + 1]].reshape(box[3] - box[2], box[1] - box[0])
        expected = slow_footprint(table["s1"][i], box, radius[i])
        assert np.array_equal(found != 0, expected)
        assert 0 < np.count_nonzero(found) < found.size


def test_neighbours_are_those_whose_boxes_share_a_pixel():
    table = crowd(200, seed=5)
    bbox = table["bbox"]
    panel = (np.arange(200) % 2).astype(np.uint64)
    detector = replace(DETECTOR, panels=DETECTOR.panels * 2, hierarchy=None)
    rows, others = np.arange(40), np.arange(20, 180)
    shares = [np.all([np.maximum(bbox[a, k], bbox[b, k]) < np.minimum(bbox[a, k + 1], bbox[b, k + 1])
                      for k in (0, 2, 4)]) and panel[a] == panel[b] for a in others for b in rows]
    expected = sorted({*rows, *others[np.reshape(shares, (160, 40)).any(axis=1)]})
    assert 40 < len(expected) < 170
    assert add_neighbours(rows, others, panel, bbox, detector).tolist() == expected


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
    table = crowd(30)
    outlines = Footprints.of(np.arange(30), table, DETECTOR, np.full(30, 0.009))
    boxes = empty_boxes(table)
    shares = outlines.mark(np.arange(30), boxes, 0, 6)
    for i in range(30):
        mask, expected = slow_marks(table, outlines, i)
        assert np.array_equal(boxes.mask[boxes.offsets[i]:boxes.offsets[i + 1]], mask)
        assert shares[i] == expected
    assert set(shares.tolist()) >= {0, int(SHARES_BACKGROUND), int(SHARES_BACKGROUND | SHARES_FOREGROUND)}


def test_marks_do_not_depend_on_who_is_marked_together():
    table = crowd()
    outlines = Footprints.of(np.arange(60), table, DETECTOR, np.full(60, 0.009))
    boxes = empty_boxes(table)
    shares = outlines.mark(np.arange(60), boxes, 0, 6)
    few = np.arange(7, 60, 9)
    part = empty_boxes(table.select(few))
    assert np.array_equal(outlines.mark(few, part, 0, 6), shares[few])
    assert np.array_equal(part.mask, boxes.select(few).mask)


def test_frames_beyond_the_scan_are_neither():
    table = crowd(10)
    outlines = Footprints.of(np.arange(10), table, DETECTOR, np.full(10, 0.005))
    boxes = empty_boxes(table)
    outlines.mark(np.arange(10), boxes, 2, 4)
    for i in range(10):
        z = np.arange(*table["bbox"][i, 4:])
        used = np.any(boxes.box(i)[1] > 1, axis=(1, 2))
        assert np.array_equal(used, (z >= 2) & (z < 4))


def test_covered_fraction_counts_each_pixel_once():
    table = crowd(80, half=6)
    bbox = table["bbox"]
    imageset = np.repeat([0, 1], 40)
    found = compute_covered_fraction(imageset, table["panel"], bbox)
    for i in range(80):
        volume = np.zeros((6, 120, 140), bool)
        for j in np.flatnonzero((imageset == imageset[i]) & (np.arange(80) != i)):
            x0, x1, y0, y1, z0, z1 = bbox[j] + [10, 10, 10, 10, 0, 0]
            volume[z0:z1, y0:y1, x0:x1] = True
        x0, x1, y0, y1, z0, z1 = bbox[i] + [10, 10, 10, 10, 0, 0]
        assert found[i] == pytest.approx(volume[z0:z1, y0:y1, x0:x1].mean(), abs=1e-12)
    assert 0 < np.count_nonzero(found) < 80
    assert np.unique(found).size > 10
