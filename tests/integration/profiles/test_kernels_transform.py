"""Pixels to the grid and back, beside slow twins."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from fitting_data import Drawn
from scipy.interpolate import RegularGridInterpolator
from scipy.special import erf

from xdp.experiment.pixels import px_to_s1
from xdp.integration.profiles._kernels_reference import ONE
from xdp.integration.profiles._kernels_transform import (
    find_largest,
    interpolate,
    list_corners,
    make_workspace,
    place_reflection,
    slice_profile,
)
from xdp.integration.profiles.reference import ReferenceGrid
from xdp.prediction.kabsch import compute_signed_zeta, to_kabsch

pytestmark = pytest.mark.kernels


def slow_transform(drawn: Drawn, boxes, r: int, n_points: int) -> np.ndarray:
    """Share a box's net counts among grid points, pixel by pixel, point by point, frame by frame."""
    grid = drawn.grid()
    experiment, table = drawn.experiment, drawn.table
    data, mask, background = boxes.box(r)
    x0, _, y0, _, z0, _ = (int(v) for v in boxes.bbox[r])
    s1, xyz = table["s1"][r], table["xyzcal.px"][r]
    at = px_to_s1(experiment.detector, experiment.beam, 0, xyz[None, :2])
    z = compute_signed_zeta(s1, experiment.beam.s0, experiment.goniometer.rotation_axis_lab)
    out = np.zeros((11, 11, 11))
    edges = (np.arange(12) - 5.5) * grid.steps[1]
    for k, j, i in np.argwhere((mask & 5) == 5):
        a, b = sorted((z0 + k + np.arange(2) - xyz[2]) * np.deg2rad(0.5) * z)
        norm = np.sqrt(2.0) * grid.sigma_m
        shares = np.array([max(erf(min(b, e1) / norm) - erf(max(a, e0) / norm), 0.0)
                           for e0, e1 in itertools.pairwise(edges)])
        shares /= erf(b / norm) - erf(a / norm)
        fine = (np.arange(n_points) + 0.5) / n_points
        points = np.stack(np.meshgrid(x0 + i + fine, y0 + j + fine), axis=-1).reshape(-1, 2)
        rays = px_to_s1(experiment.detector, experiment.beam, 0, points) + (s1 - at)
        c = to_kabsch(rays, 0.0, s1, experiment.beam.s0, experiment.goniometer.rotation_axis_lab, 0.0)[:, :2]
        value = float(data[k, j, i] - background[k, j, i]) / len(points)
        for g1, g2 in np.floor(c / grid.steps[0] + 5.5).astype(int):
            if 0 <= g1 < 11 and 0 <= g2 < 11:
                out[:, g2, g1] += value * shares
    return out / out.sum()


def n_points(drawn: Drawn, r: int) -> int:
    """Points along a pixel's side: two a cell of the grid, by the pixel's area in cells."""
    e, s1 = drawn.experiment, drawn.table["s1"][r]
    ends = drawn.table["xyzcal.px"][r, :2] + np.array([[-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]])
    c = to_kabsch(px_to_s1(e.detector, e.beam, 0, ends), 0.0, s1, e.beam.s0, e.goniometer.rotation_axis_lab, 0.0)[:, :2]
    area = abs(np.linalg.det(np.stack([c[1] - c[0], c[3] - c[2]]))) / drawn.grid().steps[0] ** 2
    return min(max(math.ceil(2.0 * math.sqrt(area)), 2), 6)


def test_the_transform_shares_counts_like_its_slow_twin(drawn, strong):
    for r in range(5):
        sums = ReferenceGrid(drawn.grid(grid_method="single", scan_step=20.0))
        one = np.zeros(len(drawn.table), bool)
        one[r] = True
        flags = np.where(one, drawn.table["flags"], np.uint64(0))
        assert np.array_equal(sums.accumulate(drawn.table.with_columns(flags=flags), strong), one)
        found = sums.sums[0, 0].reshape(11, 11, 11) / (sums.weights[0, 0] * float(ONE))
        same, fine = slow_transform(drawn, strong, r, n_points(drawn, r)), slow_transform(drawn, strong, r, 12)
        # a point on a cell's border may fall on either side, since the kernel takes pixels as parallelograms
        assert np.abs(found - same).sum() < 0.06
        # few points a pixel tell single cells less well than sums
        for axis in ((1, 2), (0, 1), (0, 2)):
            assert np.abs(found.sum(axis=axis) - fine.sum(axis=axis)).max() < 0.05
        centre = (np.arange(11) - 5) @ found.sum(axis=(0, 1)), (np.arange(11) - 5) @ fine.sum(axis=(0, 1))
        assert centre[0] == pytest.approx(centre[1], abs=0.1)


def test_profiles_are_interpolated_at_the_points_of_pixels(drawn, strong):
    grid = drawn.grid()
    given = grid.describe(drawn.table, strong)
    area, n_frames, n_pixels = find_largest(given.boxes, np.arange(len(drawn.table)))
    assert (area, n_pixels) == (169, 169 * n_frames)
    work = make_workspace(area, n_frames, 11)
    is_valid, placed = place_reflection(3, given, work)
    assert is_valid
    profile = np.random.default_rng(1).random((11, 169)).astype(np.float32)
    slice_profile(profile, placed.box, given.grid, work)
    list_corners(placed.frame, placed.n_columns, 11, work)
    gaussian = 0.5 * np.diff(given.grid.edge_erf)
    for k in range(placed.box.n_frames):
        plane = np.tensordot(work.shares[k] / gaussian, profile, axes=1).reshape(13, 13)
        np.testing.assert_allclose(work.slices[k], plane.ravel(), rtol=1e-5)
        # points of the grid stand in the middles of cells, the border is one point more
        at = RegularGridInterpolator((np.arange(13) - 0.5, np.arange(13) - 0.5), plane)
        for c in range(0, placed.n_columns, 7):
            points = work.middles[c] + work.offsets[:placed.n_points2]
            expected = at(points[:, ::-1]).mean()
            assert interpolate(work, k, c, placed.n_points2, 13) == pytest.approx(expected, rel=1e-4)


def test_columns_are_the_pixels_with_foreground(drawn, strong):
    given = drawn.grid().describe(drawn.table, strong)
    work = make_workspace(*find_largest(given.boxes, np.arange(5))[:2], 11)
    for r in range(5):
        _, placed = place_reflection(r, given, work)
        mask = strong.box(r)[1]
        assert work.columns[:placed.n_columns].tolist() == np.flatnonzero(((mask & 4) != 0).any(axis=0)).tolist()
        assert (placed.box.first, placed.box.end) == tuple(strong.offsets[r:r + 2])
