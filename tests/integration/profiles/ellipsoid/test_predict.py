"""Predictions of the ellipsoid model: which reflections, their boxes and outlines."""

from __future__ import annotations

import numpy as np
import pytest
from ellipsoid_data import make_models

from xdp.integration.profiles.ellipsoid.geometry import intersect_panels
from xdp.integration.profiles.ellipsoid.predict import add_boxes, draw_outlines, predict_ellipsoid
from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel
from xdp.integration.profiles.ellipsoid.sphere import compute_cut_rays, cut_points, make_ray_frames
from xdp.prediction.indices import list_lattice_indices
from xdp.refinement.outliers import chi_square_quantile

pytestmark = pytest.mark.kernels


def test_predictions_are_all_reflections_within_the_quantile(still):
    rng = np.random.default_rng(11)
    s0, detector = still.beam.s0, still.detector
    for model in make_models(rng):
        found = predict_ellipsoid(still, model, 2.2, 20.0, probability=0.9)
        indices = list_lattice_indices(still.crystal, 2.2, 20.0)
        epsilon = np.linalg.norm(s0) - np.linalg.norm(s0 + indices @ still.crystal.A.T, axis=1)
        some = set(map(tuple, rng.permutation(indices[np.abs(epsilon) < 0.008])[:150].tolist()))
        expected = []
        for h in map(np.array, some):
            r = still.crystal.A @ h
            s2 = s0 + r
            gap = s2 / np.linalg.norm(s2) * np.linalg.norm(s0) - s2
            q = make_ray_frames(r[None], s0)[0] if model.is_angular else np.eye(3)
            inside = gap @ np.linalg.inv(q.T @ model.sigma @ q) @ gap < chi_square_quantile(0.9, 3)
            ray = compute_cut_rays(cut_points(model, r[None], s0), s0)
            mm, _ = intersect_panels(detector, np.zeros(1, np.int64), ray)
            if inside and np.all((mm[0] >= 0.0) & (mm[0] < detector[0].image_size_mm)):
                expected.append(tuple(h.tolist()))
        assert sorted(some & set(map(tuple, found["miller_index"].tolist()))) == sorted(expected)
        assert 20 < len(expected) < 150


def test_more_probability_predicts_more_and_makes_larger_boxes_and_draw_outlines(still):
    model = EllipsoidModel("angular4", (2e-3, 1e-4, 1.5e-3, 1e-3))
    few, many = (predict_ellipsoid(still, model, 2.2, probability=p) for p in (0.5, 0.9973))
    assert len(few) < len(many)
    small, large = (add_boxes(still, model, many, z=4, probability=p) for p in (0.5, 0.9973))
    assert np.all(small["bbox"][:, 1] - small["bbox"][:, 0] <= large["bbox"][:, 1] - large["bbox"][:, 0])
    assert large["bbox"][:, 4:].tolist() == [[4, 5]] * len(large)
    lit = [draw_outlines(still, model, large, probability=p).sum() for p in (0.5, 0.9973)]
    assert 0 < lit[0] < lit[1]
    # the border is background, so that the outline touches no edge of its box
    first = large["bbox"][0]
    height, width = first[3] - first[2], first[1] - first[0]
    pixels = draw_outlines(still, model, large)[:height * width].reshape(height, width)
    assert pixels.any()
    assert sum(edge.sum() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])) == 0
