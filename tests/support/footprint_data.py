"""Crowded predictions on a small detector, and empty boxes for them."""

from __future__ import annotations

import numpy as np

from xdp.experiment.pixels import mm_to_lab, px_to_mm
from xdp.integration.shoeboxes.extract import compute_box_offsets
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.simulation.models import make_beam, make_detector

DETECTOR, BEAM = make_detector((120, 100), distance=60.0, gaps=False), make_beam()


def make_crowd(n=60, seed=0, half=5):
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


def make_empty_boxes(table):
    """Shoeboxes of a table's reflections, all pixels valid and without counts."""
    offsets = compute_box_offsets(table["bbox"])
    return Shoeboxes(table["panel"], table["bbox"], offsets, np.zeros(offsets[-1], np.float32),
                     np.ones(offsets[-1], np.uint8))
