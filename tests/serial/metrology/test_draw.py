"""Shots drawn on panels lie where xdp predicts them."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.prediction.centroids import centroids_to_mm, compute_diffracted_rays
from xdp.serial.metrology.draw import draw_panel_shots, make_quadrant_detector

pytestmark = pytest.mark.kernels


def test_spots_are_where_their_lattice_points_diffract():
    experiments, table = draw_panel_shots(make_quadrant_detector(), 3, sigma_px=1e-9)
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(table["id"] == number)
        panel = table["panel"][rows].astype(np.int64)
        mm, _ = centroids_to_mm(experiment, panel, table["xyzobs.px.value"][rows], table["xyzobs.px.variance"][rows])
        s1 = compute_diffracted_rays(experiment, panel, mm[:, :2])
        q = table["miller_index"][rows] @ experiment.known.crystal.A.T
        np.testing.assert_allclose(s1 - experiment.known.beam.s0, q, atol=1e-3)  # within reach of the sphere
        np.testing.assert_allclose(np.linalg.norm(s1 - experiment.known.beam.s0, axis=1), np.linalg.norm(q, axis=1),
                                   rtol=1e-5)


def test_seeds_errors_and_false_spots():
    detector = make_quadrant_detector()
    (_, one), (_, two), (_, other) = (draw_panel_shots(detector, 2, seed=s, false_share=0.2) for s in (1, 1, 2))
    assert np.array_equal(one["xyzobs.px.value"], two["xyzobs.px.value"])
    assert not np.array_equal(one["miller_index"], other["miller_index"])
    models, _ = draw_panel_shots(detector, 2)
    turned, _ = draw_panel_shots(detector, 4, models=list(models))
    assert len(turned) == 4
    assert turned[0].known.crystal.real_space_c[2] == pytest.approx(models[0].known.crystal.real_space_c[2], rel=0.02)
