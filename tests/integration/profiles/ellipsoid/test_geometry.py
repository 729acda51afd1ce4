"""Rays, panels and boxes of stills."""

from __future__ import annotations

import numpy as np

from xdp.integration.profiles.ellipsoid.geometry import compute_rays, intersect_panels, is_on_panel, make_corner_boxes
from xdp.integration.profiles.ellipsoid.sphere import make_ray_frames


def test_rays_meet_their_panels_where_they_come_from(still):
    xy = np.random.default_rng(1).uniform(0, 250, (20, 2))
    rays = compute_rays(still.detector, still.beam, np.zeros(20, np.int64), xy)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1.0 / still.beam.wavelength)
    mm, px = intersect_panels(still.detector, np.zeros(20, np.int64), rays[:, None])
    assert mm.shape == px.shape == (20, 1, 2)
    # the parallax is taken off at the point and put on along the ray: to first order the same
    np.testing.assert_allclose(px[:, 0], xy, atol=0.01)
    assert np.isnan(intersect_panels(still.detector, np.zeros(20, np.int64), -rays)[0]).all()


def test_boxes_that_cannot_be_are_empty_and_not_on_the_panel(still):
    frames = make_ray_frames(np.array([[0.0, 0.1, -1.0], [0.0, 0.1, 1.0]]), still.beam.s0)
    boxes = make_corner_boxes(still.detector, np.zeros(2, np.int64), frames, np.zeros((2, 2)), np.full((2, 2), 0.01),
                         np.ones(2))
    assert is_on_panel(still.detector, np.zeros(2, np.int64), boxes).tolist() == [bool(boxes[0].any()), False]
    assert boxes[1].tolist() == [0, 0, 0, 0]
