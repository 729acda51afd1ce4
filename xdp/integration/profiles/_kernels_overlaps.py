r"""Numba kernels that fit the profiles of a reflection and its neighbours together.

With counts d, background b and the profiles p_1, p_2 ... in pixels i, the intensities I_1, I_2 ... solve

.. math::

    \sum_i \frac{p_{ki}}{v_i} \Big(d_i - b_i - \sum_j I_j p_{ji}\Big) = 0 \quad \text{for each } k, \qquad
    v_i = b_i + \sum_j S(I_j)\, p_{ji},

S being that of :mod:`xdp.integration.profiles._kernels_fit`. With weights 1/v these are linear equations
``M I = r``, ``M_kj = sum p_k p_j / v``, ``r_k = sum p_k (d - b) / v``, and M^-1 is the covariance of the intensities,
what neighbours take from certainty included.

References
----------
M. G. Rossmann, J. Appl. Cryst. 12, 225 (1979), doi:10.1107/S0021889879012273.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.integration.profiles._kernels_fit import (
    LEAST_VARIANCE,
    MOST_ROUNDS,
    SMALL_CHANGE,
    compute_background_variance,
    compute_shape_covariance,
    compute_signal_variance,
    correlate,
)
from xdp.integration.profiles._kernels_frame import (
    clear_unrecorded,
    compute_shares,
    locate_on_grid,
    make_box,
    make_frame,
)
from xdp.integration.profiles._kernels_transform import (
    FOREGROUND,
    OVERLAPPED,
    VALID,
    find_largest,
    interpolate,
    list_corners,
    make_workspace,
    slice_profile,
)
from xdp.integration.profiles.arguments import Rays
from xdp.kernels import kernel

MOST_TOGETHER = 9
"""Reflections that are fitted together, at most: one and eight around it. More could hardly be separated."""
LEAST_PART = 0.005
"""A neighbour is fitted too if so much of it is recorded in the pixels at hand: less changes the intensity by no more
than the neighbour's by 0.5 %. A choice."""


class Neighbours(NamedTuple):
    """All predictions of an experiment, looked up in square cells of the panels.

    Attributes
    ----------
    rays : Rays
    z : (k, 2) int32
        First frame of each box, and the one after the last.
    nearest : (k,) int64
        Number of the profile of each.
    cell : int
        Side of a cell, px.
    across, down : int
        Cells of a panel along fast and slow.
    start, members : (n_cells + 1,), (k,) int64
        Predictions in cell c are ``members[start[c]:start[c + 1]]``; cells go along fast, then slow, then by panel.
    """

    rays: Rays
    z: np.ndarray
    nearest: np.ndarray
    cell: int
    across: int
    down: int
    start: np.ndarray
    members: np.ndarray


class OverlapPixels(NamedTuple):
    """The pixels of a box that are fitted, and the profiles that reach into them.

    Attributes
    ----------
    place : (n,) int64
        Of each pixel in the box.
    d, b : (n,) float64
        Counts and background.
    p : (MOST_TOGETHER, n) float64
        Profiles, the reflection's own first.
    """

    place: np.ndarray
    d: np.ndarray
    b: np.ndarray
    p: np.ndarray


@kernel
def fit_neighbours(rows, n_used, given, shapes, neighbours, fits):
    """Fit each of the reflections `rows` together with the neighbours whose profiles reach into its pixels.

    Pixels are the valid ones of the reflection's foreground, and those in its box that belong to neighbours.

    Parameters
    ----------
    rows : (m,) int64
    n_used : (n,) int64
        Pixels that the background of each reflection was made of.
    given : ReflectionData
    shapes : ReferenceShapes
    neighbours : Neighbours
        The reflections themselves are among them.
    fits : Fits
        Filled where there is a fit.
    """
    boxes = given.boxes
    area, n_frames, n_pixels = find_largest(boxes, rows)
    work = make_workspace(area, n_frames, 2 * given.grid.half + 1)
    pixels = OverlapPixels(np.empty(n_pixels, np.int64), np.empty(n_pixels), np.empty(n_pixels),
                           np.empty((MOST_TOGETHER, n_pixels)))
    intensity, inverse = np.empty(MOST_TOGETHER), np.empty((MOST_TOGETHER, MOST_TOGETHER))
    fitted = np.empty(n_pixels)
    for r in rows:
        box = make_box(boxes, r)
        n, n_own = list_pixels(boxes, box, pixels)
        if n_own == 0:
            continue
        # the reflection itself is the first of those fitted; then its neighbours
        m = add_profiles(True, 0, r, n, given, shapes.sharp, neighbours, work, pixels)
        if m == 0:
            continue
        m = add_profiles(False, m, r, n, given, shapes.sharp, neighbours, work, pixels)
        intensity[:m] = 0.0
        k2 = shapes.scatter[r]  # neighbours have nearly the same resolution, and so the same scatter
        if not fit_intensities(pixels.d, pixels.b, pixels.p, n, m, k2, intensity, inverse):
            continue
        var_b = compute_background_variance(boxes, box, n_used[r])
        fits.value[r] = intensity[0]
        fits.variance[r] = compute_joint_variance(pixels, n, m, k2, intensity, inverse, var_b)
        # counts are compared with all profiles together: those of neighbours explain counts as well
        for i in range(n):
            fitted[i] = 0.0
            for j in range(m):
                fitted[i] += intensity[j] * pixels.p[j, i]
        fits.correlation[r] = correlate(1.0, fitted, pixels.b, pixels.d, n)


@kernel
def list_pixels(boxes, box, pixels):
    """List the pixels of a box that are fitted; returns how many, and how many are the reflection's foreground."""
    n, n_own = 0, 0
    for i in range(box.first, box.end):
        code = boxes.mask[i]
        if code & VALID and code & (FOREGROUND | OVERLAPPED):
            pixels.place[n] = i - box.first
            pixels.d[n], pixels.b[n] = boxes.data[i], max(boxes.background[i], 0.0)
            n += 1
            n_own += (code & FOREGROUND) != 0
    return n, n_own


@kernel
def add_profiles(is_own, m, r, n, given, sharp, neighbours, work, pixels):
    """Add to `m` profiles the own one of reflection `r`, or those of its neighbours; returns how many there are then.

    Looked through are the cells that a box reaches whose sides are twice as long.
    """
    bbox, panel, centre = given.boxes.bbox[r], given.boxes.panel[r], given.rays.centre[r]
    others, cell, across, down = neighbours.rays.centre, neighbours.cell, neighbours.across, neighbours.down
    # a neighbour of about the same size reaches the box if its centre is no farther than half its size from it
    reach_x, reach_y = 0.5 * np.int64(bbox[1] - bbox[0]), 0.5 * np.int64(bbox[3] - bbox[2])
    x0, x1 = max(np.int64(bbox[0] - reach_x) // cell, 0), min(np.int64(bbox[1] + reach_x) // cell, across - 1)
    y0, y1 = max(np.int64(bbox[2] - reach_y) // cell, 0), min(np.int64(bbox[3] + reach_y) // cell, down - 1)
    for square in range(max(y1 - y0 + 1, 0) * max(x1 - x0 + 1, 0)):
        c = (panel * down + y0 + square // (x1 - x0 + 1)) * across + x0 + square % (x1 - x0 + 1)
        for at in range(neighbours.start[c], neighbours.start[c + 1]):
            i = neighbours.members[at]
            # the same prediction has the same coordinates to the last bit: both come from one table
            is_self = others[i, 0] == centre[0] and others[i, 1] == centre[1] and others[i, 2] == centre[2]
            # a prediction that is there twice is fitted once: its profile with itself would be singular
            if is_self != is_own or m == MOST_TOGETHER or (is_self and m > 0):
                continue
            if not is_near(others[i], neighbours.z[i], bbox, reach_x, reach_y):
                continue
            profile = sharp[neighbours.nearest[i]]
            is_valid, part = compute_pixel_profile(i, r, profile, pixels.place[:n], given, neighbours.rays, work,
                                                   pixels.p[m])
            if is_valid and (is_self or part > LEAST_PART):
                m += 1
    return m


@kernel
def is_near(centre, z, bbox, reach_x, reach_y):
    """Whether a reflection's centre lies in a box that is wider by `reach`, and its frames meet the box's."""
    return not (z[0] >= bbox[5] or z[1] <= bbox[4] or centre[0] < bbox[0] - reach_x or centre[0] > bbox[1] + reach_x
                or centre[1] < bbox[2] - reach_y or centre[1] > bbox[3] + reach_y)


@kernel
def compute_pixel_profile(i, r, profile, places, given, rays, work, out):
    """What the pixels at `places` of the box of reflection `r` have of the profile of prediction `i` of `rays`.

    Returns
    -------
    is_valid, part
        Whether the prediction has a frame, and the sum of `out`.
    """
    box, grid, geometry = make_box(given.boxes, r), given.grid, given.geometry
    is_valid, frame = make_frame(rays.s1[i], rays.centre[i], rays.steps[i], box.panel, geometry, grid)
    if not is_valid:
        return False, 0.0
    d, pixel, n_side = geometry.d[box.panel], geometry.pixel_size[box.panel], 2 * grid.half + 1
    # all pixels of the box, since a neighbour's profile is not where the reflection's foreground is
    for place in range(box.area):
        g1, g2 = locate_on_grid(frame.pixel_map, d, pixel, box.x0 + place % box.width + 0.5,
                                box.y0 + place // box.width + 0.5)
        work.middles[place, 0], work.middles[place, 1] = g1, g2
    n_points2 = list_corners(frame, box.area, n_side, work)
    compute_shares(frame, rays.centre[i, 2], box, grid, work.shares, work.totals)
    clear_unrecorded(geometry.scan, box, work.shares, work.totals)
    slice_profile(profile, box, grid, work)
    part = 0.0
    for k in range(places.size):
        q = frame.area * interpolate(work, places[k] // box.area, places[k] % box.area, n_points2, n_side + 2)
        out[k] = q
        part += q
    return True, part


@kernel
def fit_intensities(d, b, p, n, m, k2, intensity, inverse):
    """Intensities of `m` overlapping reflections from the first `n` pixels, by reweighted least squares.

    v is no less than one count in all. `intensity` holds the start and the result; `inverse` gets M^-1, the
    covariance if parts of a shape scattered each for itself: what :func:`compute_joint_variance` takes off is in it.
    Returns False where M is singular.
    """
    matrix, right = np.empty((MOST_TOGETHER, MOST_TOGETHER)), np.empty(MOST_TOGETHER)
    beneath = 0.0
    for i in range(n):
        beneath += b[i]
    least = max(1.0 - beneath, 0.0) / n
    for _ in range(MOST_ROUNDS):
        matrix[:m, :m] = 0.0
        right[:m] = 0.0
        for i in range(n):
            v = b[i] + least
            for j in range(m):
                v += compute_signal_variance(max(intensity[j], 0.0), k2) * p[j, i]
            w = 1.0 / max(v, LEAST_VARIANCE)
            for j in range(m):
                wp = w * p[j, i]
                right[j] += wp * (d[i] - b[i])
                for k in range(m):
                    matrix[j, k] += wp * p[k, i]
        # M I = r of the module's formula, with the v of the last I
        if not invert(matrix, m, inverse):
            return False
        largest = 0.0
        for j in range(m):
            value = 0.0
            for k in range(m):
                value += inverse[j, k] * right[k]
            change = value - intensity[j]
            largest = max(largest, change * change / max(inverse[j, j], 1e-30))
            intensity[j] = value
        if largest < SMALL_CHANGE:
            break
    return True


@kernel
def invert(matrix, n, inverse):
    """Inverse of the upper left n x n of a symmetric positive matrix, which is overwritten; False if it is singular.

    Elimination without pivoting, which symmetric positive matrices do not need. LAPACK, through ``np.linalg.inv``, was
    measured slower: 33 ns here and 316 ns there for n = 2, 0.6 us and 1.5 us for n = 9.
    """
    for i in range(n):
        for j in range(n):
            inverse[i, j] = 1.0 if i == j else 0.0
    for i in range(n):
        pivot = matrix[i, i]
        if not pivot > 0.0:
            return False
        for j in range(n):
            matrix[i, j] /= pivot
            inverse[i, j] /= pivot
        for k in range(n):
            factor = matrix[k, i]
            if k != i and factor != 0.0:
                for j in range(n):
                    matrix[k, j] -= factor * matrix[i, j]
                    inverse[k, j] -= factor * inverse[i, j]
    return True


@kernel
def compute_joint_variance(pixels, n, m, k2, intensity, inverse, var_b):
    """Variance of the first of `m` intensities fitted together, with the variance `var_b` of their background."""
    shift, good_q = 0.0, 0.0  # shift: how the background's error reaches the intensity
    for i in range(n):
        good_q += pixels.p[0, i]
        v, own = pixels.b[i], 0.0
        for j in range(m):
            v += compute_signal_variance(max(intensity[j], 0.0), k2) * pixels.p[j, i]
            own += inverse[0, j] * pixels.p[j, i]
        shift += own / max(v, LEAST_VARIANCE)
    signal = max(intensity[0], 0.0)
    # rounding and the last round's change must not take more off than scatter had put on
    return (max(inverse[0, 0] - compute_shape_covariance(signal, k2, good_q), signal / max(good_q, 1.0))
            + shift * shift * var_b)
