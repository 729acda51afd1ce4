"""The frame of a reflection, beside the Kabsch frame of `xdp.prediction`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles._kernels_frame import (
    MOST_POINTS,
    clear_unrecorded,
    compute_shares,
    cross,
    dot,
    list_points,
    locate_on_grid,
    make_box,
    make_frame,
)
from xdp.prediction.kabsch import compute_signed_zeta, to_kabsch

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def given(drawn, strong):
    return drawn.grid().describe(drawn.table, strong)


def frame_of(given, r):
    box = make_box(given.boxes, r)
    s1, centre, steps = (column[r] for column in given.rays)
    return box, *make_frame(s1, centre, steps, box.panel, given.geometry, given.grid)


def test_products_of_vectors_are_those_of_numpy():
    a, b = np.random.default_rng(1).normal(size=(2, 3))
    assert dot(a, b) == pytest.approx(a @ b)
    np.testing.assert_allclose(cross(a, b), np.cross(a, b))


def test_points_of_the_panel_have_kabsch_coordinates(drawn, given):
    e, grid = drawn.experiment, given.grid
    for r in range(0, 50, 7):
        _, is_valid, frame = frame_of(given, r)
        assert is_valid
        s1, centre = drawn.table["s1"][r], drawn.table["xyzcal.px"][r]
        points = centre[:2] + np.array([[0.0, 0.0], [3.2, -1.5], [-4.0, 2.5]])
        # parallax is that of the prediction in the whole box
        rays = px_to_s1(e.detector, e.beam, 0, points) + (s1 - px_to_s1(e.detector, e.beam, 0, centre[None, :2]))
        c = to_kabsch(rays, 0.0, s1, e.beam.s0, e.goniometer.rotation_axis_lab, 0.0)[:, :2]
        found = [locate_on_grid(frame.pixel_map, given.geometry.d[0], given.geometry.pixel_size[0], *p) for p in points]
        # the shift is made on the panel here, on the ray there: the same to second order
        np.testing.assert_allclose(found, c / grid.step_b + grid.half + 0.5, atol=0.01)
        assert found[0] == pytest.approx((5.5, 5.5), abs=1e-9)


def test_a_frame_turns_zeta_times_its_width_along_e3(drawn, given):
    e = drawn.experiment
    for r in range(5):
        _, _, frame = frame_of(given, r)
        z = compute_signed_zeta(drawn.table["s1"][r], e.beam.s0, e.goniometer.rotation_axis_lab)
        assert frame.rate == pytest.approx(z * np.deg2rad(0.5) / given.grid.step_m)


def test_points_share_a_pixel_evenly(given):
    _, _, frame = frame_of(given, 3)
    offsets = np.empty((MOST_POINTS**2, 2))
    n = list_points(frame, offsets)
    assert n == frame.n_points**2
    np.testing.assert_allclose(offsets[:n].mean(axis=0), 0.0, atol=1e-12)
    # the area of the pixel, from a row and a column of points
    side = frame.n_points
    u, v = offsets[1] - offsets[0], offsets[side] - offsets[0]
    assert abs(u[0] * v[1] - u[1] * v[0]) * n == pytest.approx(frame.area)


def test_shares_are_integrals_of_the_gaussian(given):
    grid = given.grid
    for r in range(5):
        box, _, frame = frame_of(given, r)
        shares, totals = np.empty((box.n_frames, 11)), np.empty(box.n_frames)
        z = given.rays.centre[r, 2]
        compute_shares(frame, z, box, grid, shares, totals)
        edges = np.arange(12) - 5.5
        for k in range(box.n_frames):
            a, b = sorted((box.z0 + k + np.arange(2) - z) * frame.rate)
            norm = np.sqrt(2.0) * grid.sigma
            assert totals[k] == pytest.approx(0.5 * (erf(b / norm) - erf(a / norm)), abs=1e-12)
            low, high = np.maximum(edges[:-1], a), np.minimum(edges[1:], b)
            expected = np.where(high > low, 0.5 * (erf(high / norm) - erf(low / norm)), 0.0)
            np.testing.assert_allclose(shares[k], expected, atol=1e-12)


def test_nothing_is_recorded_beyond_the_scan(given):
    box, _, _ = frame_of(given, 0)
    shares, totals = np.ones((box.n_frames, 11)), np.ones(box.n_frames)
    clear_unrecorded(np.array([box.z0 + 1, box.z0 + box.n_frames - 1]), box, shares, totals)
    assert totals.tolist() == [0.0] + [1.0] * (box.n_frames - 2) + [0.0]
    assert shares.sum() == 11 * (box.n_frames - 2)


def test_rays_without_a_frame(given):
    geometry, grid = given.geometry, given.grid
    centre = given.rays.centre[0]
    along_axis = geometry.s0 + 0.3 * geometry.m2  # zeta = 0: e1 is at right angles to the rotation axis
    for s1 in (geometry.s0, -given.rays.s1[0], along_axis):
        assert not make_frame(np.ascontiguousarray(s1), centre, given.rays.steps[0], 0, geometry, grid)[0]
