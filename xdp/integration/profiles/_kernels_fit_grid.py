r"""Numba kernels that fit reference profiles on the reflection's own grid (``fit_method=reciprocal_space``).

Counts d and background b are both transformed to the grid. There
:func:`~xdp.integration.profiles._kernels_fit.fit_scale` finds an intensity and with it the weights

.. math::

    w = \frac{p}{b + S p}.

Grid points share pixels, so that their counts are not independent. The transform's transpose therefore makes of w the
weights u of pixels, which are independent but for the scatter of shapes. With the profile q of a pixel, made of the
sharp profile, and sums over good pixels

.. math::

    I = \frac{\sum u\,(d - b)}{\sum u\,q}, \qquad
    \mathrm{var}(I) = \frac{\sum u^2 (b + S q) - k^2 I^2 (\sum u q)^2 + (\sum u)^2\, \mathrm{var}(b)}{(\sum u q)^2}.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.integration.profiles._kernels_fit import (
    LEAST_VARIANCE,
    compute_background_variance,
    compute_shape_covariance,
    compute_signal_variance,
    correlate,
    fit_scale,
)
from xdp.integration.profiles._kernels_transform import (
    BITS,
    GOOD,
    find_largest,
    interpolate,
    list_corners,
    make_workspace,
    place_reflection,
    slice_profile,
    spread_planes,
    sum_planes,
)
from xdp.kernels import kernel

FAINT = np.float32(0.01)
"""Points where fewer counts of signal are expected do not matter, however little lies beneath. A choice."""
RECORDED = 0.99
"""A plane of the grid takes part if this much of it was recorded: one that is cut by the end of the scan holds too few
counts for its profile. A choice; 1 would lose planes to rounding."""


class GridPoints(NamedTuple):
    """A reflection on the grid, and the points of it that are fitted.

    Attributes
    ----------
    planes : (n_frames, n_side^2 + 1) float32
        Counts of each frame in cells (e2, e1); the last is for what lies outside the grid.
    counts, beneath : (n_side, n_side^2) float32
        Counts and background on the grid.
    fractions : (n_frames, n_side) float64
        The part of each frame that lies in each plane of e3.
    weights : (n_frames, n_side^2 + 1) float32
        Weights w, shared among frames.
    point : (m,) int64
        Grid points that are fitted, flat.
    d, b, p : (m,) float64
        Their counts, background and profile.
    """

    planes: np.ndarray
    counts: np.ndarray
    beneath: np.ndarray
    fractions: np.ndarray
    weights: np.ndarray
    point: np.ndarray
    d: np.ndarray
    b: np.ndarray
    p: np.ndarray


class PixelSums(NamedTuple):
    """Sums over good pixels, in the letters of the module's formula."""

    u_net: float
    u_q: float
    u: float
    q: float
    uu_b: float
    uu_q: float


@kernel
def fit_on_grid(rows, n_used, given, shapes, fits):
    """Fit the reflections `rows` on the grid.

    Parameters
    ----------
    rows : (m,) int64
    n_used : (n,) int64
        Pixels that the background of each reflection was made of.
    given : ReflectionData
    shapes : ReferenceShapes
    fits : Fits
        Filled where there is a fit; correlations are those on the grid.
    """
    grid, boxes = given.grid, given.boxes
    n_side = 2 * grid.half + 1
    area, n_frames, _ = find_largest(boxes, rows)
    work, points = make_workspace(area, n_frames, n_side), make_points(n_frames, n_side)
    for r in rows:
        is_valid, placed = place_reflection(r, given, work)
        if not is_valid:
            continue
        # counts and background go the same way to the grid: pixels to planes of each frame, those to planes of e3
        sum_planes(boxes.data, 0.0, boxes, placed, work, points.planes)
        spread_planes(points.planes, placed.box, work, points.counts)
        sum_planes(boxes.background, 0.0, boxes, placed, work, points.planes)
        spread_planes(points.planes, placed.box, work, points.beneath)
        number = shapes.nearest[r]
        n, start = choose_points(shapes.blurred[number], shapes.cuts[number], placed.box.n_frames, grid.edge_erf, work,
                                 points)
        if n == 0:
            continue
        # this intensity only makes the weights; that of pixels, below, is the result
        k2 = shapes.scatter[r]
        intensity, information, least = fit_scale(points.d, points.b, points.p, n, k2, start)
        if not information > 0.0:
            continue
        s = compute_signal_variance(max(intensity, least), k2)
        weigh_frames(n, s, placed.box.n_frames, work, points)
        slice_profile(shapes.sharp[number], placed.box, grid, work)
        list_corners(placed.frame, placed.n_columns, n_side, work)
        sums = sum_pixels(placed, boxes, points.weights, n_side, work)
        if not sums.u_q > 0.0:  # no good pixel has any of the profile
            continue
        var_b = compute_background_variance(boxes, placed.box, n_used[r])
        fits.value[r] = sums.u_net / sums.u_q
        fits.variance[r] = compute_variance(sums, max(fits.value[r], least), k2, var_b)
        fits.correlation[r] = correlate(fits.value[r], shapes.blurred[number].ravel(), points.beneath.ravel(),
                                        points.counts.ravel(), points.point.size)


@kernel
def make_points(n_frames, n_side):
    """Room for the grid points of reflections of up to `n_frames` frames."""
    n_cells = n_side * n_side
    n = n_side * n_cells
    return GridPoints(np.empty((n_frames, n_cells + 1), np.float32), np.empty((n_side, n_cells), np.float32),
                      np.empty((n_side, n_cells), np.float32), np.empty((n_frames, n_side)),
                      np.empty((n_frames, n_cells + 1), np.float32), np.empty(n, np.int64), np.empty(n), np.empty(n),
                      np.empty(n))


@kernel
def choose_points(profile, cut, n_frames, edge_erf, work, points):
    """List the grid points that are fitted, with counts d, background b and profile p.

    They lie on planes that were recorded, and have p above `cut` or more signal than background: a strong reflection's
    faint points matter, since its own shape may differ.

    Returns
    -------
    How many, and the sum of counts less background of all points.
    """
    shares, counts, beneath = work.shares, points.counts, points.beneath
    n_side, n_cells = counts.shape
    n, start = 0, 0.0
    for m in range(n_side):
        for c in range(n_cells):
            start += counts[m, c] - beneath[m, c]
    for m in range(n_side):
        # a plane beyond the scan, or of which a frame is missing, has less than the profile says
        recorded = 0.0
        for k in range(n_frames):
            recorded += shares[k, m]
        if recorded < RECORDED * 0.5 * (edge_erf[m + 1] - edge_erf[m]):
            continue
        for c in range(n_cells):
            if profile[m, c] > cut or start * profile[m, c] > max(beneath[m, c], FAINT):
                points.point[n] = m * n_cells + c
                points.d[n], points.b[n], points.p[n] = counts[m, c], max(beneath[m, c], 0.0), profile[m, c]
                n += 1
    return n, start


@kernel
def weigh_frames(n, s, n_frames, work, points):
    """The weights ``w = p / (b + S p)`` of the first `n` points, shared among frames: the transform's transpose."""
    shares, totals, fractions, weights = work.shares, work.totals, points.fractions, points.weights
    n_side, n_cells = shares.shape[1], weights.shape[1] - 1
    for k in range(n_frames):
        for c in range(n_cells + 1):
            weights[k, c] = 0.0
        for m in range(n_side):
            fractions[k, m] = shares[k, m] / totals[k] if shares[k, m] > 0.0 else 0.0
    for i in range(n):
        # counts of frame k went to plane m by these fractions; weights come back from it by the same
        m, c = points.point[i] // n_cells, points.point[i] % n_cells
        w = points.p[i] / max(points.b[i] + s * points.p[i], LEAST_VARIANCE)
        for k in range(n_frames):
            weights[k, c] += np.float32(fractions[k, m] * w)


@kernel
def sum_pixels(placed, boxes, weights, n_side, work):
    """Sums of weights u and profiles q over a reflection's good pixels."""
    box, row = placed.box, n_side + 2
    u_net, u_q, sum_u, sum_q, uu_b, uu_q = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(box.n_frames):
        first = box.first + k * box.area
        for c in range(placed.n_columns):
            i = first + work.columns[c]
            if (boxes.mask[i] & BITS) == GOOD:
                u = 0.0  # the mean of the weights of the cells that the pixel's points lie in
                for p in range(placed.n_points2):
                    u += weights[k, work.cells[c, p]]
                u /= placed.n_points2
                q = placed.frame.area * interpolate(work, k, c, placed.n_points2, row)
                u_net += u * (np.float64(boxes.data[i]) - boxes.background[i])
                u_q += u * q
                sum_u += u
                sum_q += q
                uu_b += u * u * max(boxes.background[i], 0.0)
                uu_q += u * u * q
    return PixelSums(u_net, u_q, sum_u, sum_q, uu_b, uu_q)


@kernel
def compute_variance(sums, intensity, k2, var_b):
    """The variance of I, with the variance `var_b` of the background; `intensity` is I, or 0 where it is negative."""
    # sum u^2 v - k^2 I^2 (sum u q)^2: pixels' own variances, and what scatter of shapes takes off
    counting = sums.uu_b + compute_signal_variance(intensity, k2) * sums.uu_q
    counting -= compute_shape_covariance(intensity, k2, sums.q) * sums.u_q * sums.u_q
    return (counting + sums.u * sums.u * var_b) / (sums.u_q * sums.u_q)
