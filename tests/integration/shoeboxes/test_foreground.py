"""Foreground, background and neighbours: who shares pixels, and what is marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from footprint_data import DETECTOR, make_crowd, make_empty_boxes

from xdp.integration.shoeboxes.foreground import Footprints, add_neighbours, compute_covered_fraction

pytestmark = pytest.mark.kernels


def test_neighbours_are_those_whose_boxes_share_a_pixel():
    table = make_crowd(200, seed=5)
    bbox = table["bbox"]
    panel = (np.arange(200) % 2).astype(np.uint64)
    detector = replace(DETECTOR, panels=DETECTOR.panels * 2, hierarchy=None)
    rows, others = np.arange(40), np.arange(20, 180)
    shares = [np.all([np.maximum(bbox[a, k], bbox[b, k]) < np.minimum(bbox[a, k + 1], bbox[b, k + 1])
                      for k in (0, 2, 4)]) and panel[a] == panel[b] for a in others for b in rows]
    expected = sorted({*rows, *others[np.reshape(shares, (160, 40)).any(axis=1)]})
    assert 40 < len(expected) < 170
    assert add_neighbours(rows, others, panel, bbox, detector).tolist() == expected


def test_marks_do_not_depend_on_who_is_marked_together():
    table = make_crowd()
    outlines = Footprints.of(np.arange(60), table, DETECTOR, np.full(60, 0.009))
    boxes = make_empty_boxes(table)
    shares = outlines.mark(np.arange(60), boxes, 0, 6)
    few = np.arange(7, 60, 9)
    part = make_empty_boxes(table.select(few))
    assert np.array_equal(outlines.mark(few, part, 0, 6), shares[few])
    assert np.array_equal(part.mask, boxes.select(few).mask)


def test_frames_beyond_the_scan_are_neither():
    table = make_crowd(10)
    outlines = Footprints.of(np.arange(10), table, DETECTOR, np.full(10, 0.005))
    boxes = make_empty_boxes(table)
    outlines.mark(np.arange(10), boxes, 2, 4)
    for i in range(10):
        z = np.arange(*table["bbox"][i, 4:])
        used = np.any(boxes.box(i)[1] > 1, axis=(1, 2))
        assert np.array_equal(used, (z >= 2) & (z < 4))


def test_covered_fraction_counts_each_pixel_once():
    table = make_crowd(80, half=6)
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
