"""Fits on the grid: weights that go back to pixels, and the variance beside that of their covariance matrix."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.profiles._kernels_fit import compute_signal_variance, fit_scale
from xdp.integration.profiles._kernels_fit_grid import (
    PixelSums,
    choose_points,
    compute_variance,
    make_points,
    sum_pixels,
    weigh_frames,
)
from xdp.integration.profiles._kernels_transform import (
    find_largest,
    interpolate,
    list_corners,
    make_workspace,
    place_reflection,
    slice_profile,
    spread_planes,
    sum_planes,
)

pytestmark = pytest.mark.kernels
R = 3
"""The reflection that is looked at."""
SCATTER = 0.005
"""k^2."""


@pytest.fixture(scope="module")
def placed_fit(drawn, strong):
    """A reflection on the grid, with the points that are fitted."""
    given = drawn.grid().describe(drawn.table, strong)
    area, n_frames, _ = find_largest(given.boxes, np.arange(R + 1))
    work, points = make_workspace(area, n_frames, 11), make_points(n_frames, 11)
    _, placed = place_reflection(R, given, work)
    for values, out in ((given.boxes.data, points.counts), (given.boxes.background, points.beneath)):
        sum_planes(values, 0.0, given.boxes, placed, work, points.planes)
        spread_planes(points.planes, placed.box, work, out)
    return given, placed, work, points


def test_points_are_fitted_above_the_cut_on_recorded_planes(drawn, placed_fit):
    given, placed, work, points = placed_fit
    profile = drawn.grid().make_gaussian(1.0).astype(np.float32)
    weak = 1e-9 * profile  # no point has more signal than background
    n, start = choose_points(weak, 0.1 * weak.max(), placed.box.n_frames, given.grid.edge_erf, work, points)
    assert start == pytest.approx((points.counts - points.beneath).sum(), rel=1e-5)
    recorded = work.shares[:placed.box.n_frames].sum(axis=0) >= 0.99 * 0.5 * np.diff(given.grid.edge_erf)
    expected = np.flatnonzero((weak > np.float32(0.1 * weak.max())) & recorded[:, None])
    assert points.point[:n].tolist() == expected.tolist()
    np.testing.assert_array_equal(points.d[:n], points.counts.ravel()[expected])
    more, _ = choose_points(profile, profile.max(), placed.box.n_frames, given.grid.edge_erf, work, points)
    assert more > 0, "a strong reflection has points with more signal than background"


def test_weights_of_pixels_are_the_transposed_transform_of_those_of_points(drawn, placed_fit):
    given, placed, work, points = placed_fit
    profile = drawn.grid().make_gaussian(1.0).astype(np.float32)
    n, start = choose_points(profile, 0.02 * profile.max(), placed.box.n_frames, given.grid.edge_erf, work, points)
    intensity, _, _ = fit_scale(points.d, points.b, points.p, n, SCATTER, start)
    s = compute_signal_variance(intensity, SCATTER)
    weigh_frames(n, s, placed.box.n_frames, work, points)
    sharp = np.pad(profile.reshape(11, 11, 11), ((0, 0), (1, 1), (1, 1))).reshape(11, -1)
    slice_profile(sharp, placed.box, given.grid, work)
    list_corners(placed.frame, placed.n_columns, 11, work)
    found = sum_pixels(placed, given.boxes, points.weights, 11, work)
    w = np.zeros(11 * 121)
    w[points.point[:n]] = points.p[:n] / (points.b[:n] + s * points.p[:n])
    w = np.column_stack([w.reshape(11, 121), np.zeros(11)])  # nothing comes from outside the grid
    sums, box = np.zeros(6), placed.box
    for k in range(box.n_frames):
        fractions = np.where(work.shares[k] > 0, work.shares[k] / work.totals[k], 0.0)
        for c in range(placed.n_columns):
            i = box.first + k * box.area + work.columns[c]
            if (given.boxes.mask[i] & 37) != 5:
                continue
            u = fractions @ w[:, work.cells[c, :placed.n_points2]].mean(axis=1)
            q = placed.frame.area * interpolate(work, k, c, placed.n_points2, 13)
            d, b = float(given.boxes.data[i]), float(given.boxes.background[i])
            sums += [u * (d - b), u * q, u, q, u * u * b, u * u * q]
    # weights are kept in 32 bits
    np.testing.assert_allclose(found, sums, rtol=1e-5)
    # 3000 counts, of which the foreground holds 99 %
    assert found.u_net / found.u_q == pytest.approx(3000.0, rel=0.1)


@pytest.mark.parametrize("intensity", [0.0, 50.0, 1e5])
def test_variance_is_that_of_the_weighted_sum(intensity):
    rng = np.random.default_rng(2)
    b, q, u = rng.random((3, 30)) + 0.1
    q /= q.sum()
    var_b = 0.02
    v = b + (intensity + SCATTER * intensity**2) * q
    covariance = np.diag(v) - SCATTER * intensity**2 * np.outer(q, q) + var_b
    weights = u / (u @ q)
    sums = PixelSums(0.0, u @ q, u.sum(), q.sum(), u * u @ b, u * u @ q)
    assert compute_variance(sums, intensity, SCATTER, var_b) == pytest.approx(weights @ covariance @ weights, rel=1e-9)
