"""Numba kernels that fit reference profiles to counts on the reflection's own grid."""

from __future__ import annotations

import numpy as np

from xdp.integration.profiles._kernels_fit import (
    background_noise,
    correlation,
    fit_scale,
    set_up,
    shape_planes,
    spread,
    steady,
    work_arrays,
)
from xdp.integration.profiles._kernels_transform import (
    AREA,
    FOREGROUND,
    OVERLAPPED,
    POINTS,
    VALID,
    between,
    list_corners,
    to_grid,
    to_planes,
)
from xdp.kernels import kernel

FAINT = np.float32(0.01)
"""Points where fewer counts are expected do not matter."""
RECORDED = 0.99
"""A plane of the grid takes part if this much of it was recorded."""


@kernel
def choose_points(counts, beneath, profile, cut, shares, n_frames, edge_erf, active, active_c, active_b, active_p):
    """List the grid points that are fitted, as :func:`fit_on_grid` says, with counts, background and profile.

    Returns
    -------
    How many, and the sum of counts less background of all points.
    """
    n_side, n_cells = counts.shape
    n, start = 0, 0.0
    for m in range(n_side):
        for c in range(n_cells):
            start += counts[m, c] - beneath[m, c]
    for m in range(n_side):
        recorded = 0.0
        for k in range(n_frames):
            recorded += shares[k, m]
        if recorded < RECORDED * 0.5 * (edge_erf[m + 1] - edge_erf[m]):
            continue
        for c in range(n_cells):
            if profile[m, c] > cut or start * profile[m, c] > max(beneath[m, c], FAINT):
                active[n] = m * n_cells + c
                active_c[n], active_b[n], active_p[n] = counts[m, c], max(beneath[m, c], 0.0), profile[m, c]
                n += 1
    return n, start


@kernel
def weigh_planes(active, active_b, active_p, n, scale, shares, totals, n_frames, fractions, weighted):
    """The weights ``w = p / (b + scale p)`` of grid points, shared among frames, into `weighted`."""
    n_side, n_cells = shares.shape[1], weighted.shape[1] - 1
    for k in range(n_frames):
        for c in range(n_cells + 1):
            weighted[k, c] = 0.0
        for m in range(n_side):
            fractions[k, m] = shares[k, m] / totals[k] if shares[k, m] > 0.0 else 0.0
    for i in range(n):
        m, c = active[i] // n_cells, active[i] % n_cells
        w = active_p[i] / max(active_b[i] + scale * active_p[i], 1e-20)
        for k in range(n_frames):
            weighted[k, c] += np.float32(fractions[k, m] * w)


@kernel
def sum_weighted(at, area, n_frames, data, background, mask, columns, n_columns, cells, n_points2, corners, parts,
                 n_corners2, size, weighted, shaped, width):
    """Sums over a reflection's pixels, with weight u and profile q of each (`size` is a pixel's area).

    Returns
    -------
    Of good pixels sum u (d - b), sum u q, sum u, sum q, sum u^2 b, sum u^2 q.
    """
    bits = VALID | FOREGROUND | OVERLAPPED
    top, bottom, total, from_b, from_q, good_q = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n_frames):
        first = at + k * area
        for c in range(n_columns):
            i = first + columns[c]
            if (mask[i] & bits) == VALID | FOREGROUND:
                u = 0.0
                for p in range(n_points2):
                    u += weighted[k, cells[c, p]]
                u /= n_points2
                q = size * between(shaped, k, corners, parts, c, n_corners2, width)
                top += u * (np.float64(data[i]) - background[i])
                bottom += u * q
                total += u
                good_q += q
                from_b += u * u * max(background[i], 0.0)
                from_q += u * u * q
    return top, bottom, total, good_q, from_b, from_q


@kernel
def fit_on_grid(use, s1, s0, centre, panel, bbox, offsets, data, background, mask, axis, turn, scan, d_matrix,
                d_inverse, pixel_size, steps, sigma, half, edge_erf, nearest, profiles, sharp, cuts, n_used,
                value, variance, cc):
    """Fit reference profiles to counts and background that are both transformed to the grid.

    With c, b and p the counts, background and profile in a grid point, the weights are ``w = p / (b + S p)``, S being
    the :func:`spread` of the intensity I that :func:`fit_scale` finds; on recorded planes, for points with p above the
    profile's entry of `cuts` or with more signal than background (a strong reflection's faint points matter, since its
    own shape may differ). Grid points share pixels: the transform's transpose makes of w the pixels' weights u, with
    which ``I = sum u (d - b) / sum u q`` over good pixels, q being the profile in a pixel, made of the `sharp` profile.
    Pixels are independent but for the scatter of shapes, so
    ``var I = (sum u^2 (b + S q) - (S - I) (sum u q)^2 + (sum u)^2 var(b)) / (sum u q)^2`` holds.

    Results go to `value`, `variance` (-1 where there is no fit) and `cc`, the correlation on the grid.
    """
    n_side = 2 * half + 1
    n_cells = n_side * n_side
    frame, columns, cells, points, middles, corners, parts, shares, totals, shaped, _ = work_arrays(bbox, use, n_side)
    most_frames = len(totals)
    planes = np.empty((most_frames, n_cells + 1), np.float32)
    weighted, fractions = np.empty((most_frames, n_cells + 1), np.float32), np.empty((most_frames, n_side))
    counts, beneath = np.empty((n_side, n_cells), np.float32), np.empty((n_side, n_cells), np.float32)
    active_c, active_b, active_p = np.empty(n_side * n_cells), np.empty(n_side * n_cells), np.empty(n_side * n_cells)
    active = np.empty(n_side * n_cells, np.int64)
    for r in range(bbox.shape[0]):
        value[r], variance[r], cc[r] = 0.0, -1.0, 0.0
        if not use[r]:
            continue
        pan, at = np.int64(panel[r]), offsets[r]
        area = np.int64(bbox[r, 1] - bbox[r, 0]) * np.int64(bbox[r, 3] - bbox[r, 2])
        n_frames = np.int64(bbox[r, 5] - bbox[r, 4])
        n_columns = set_up(s1[r], s0[r], centre[r], bbox[r], at, mask, axis, turn, scan, d_matrix[pan], d_inverse[pan],
                           pixel_size[pan], steps, sigma, half, edge_erf, frame, columns, cells, points, middles,
                           shares, totals)
        if n_columns < 0:
            continue
        n_points2 = np.int64(frame[POINTS] * frame[POINTS])
        to_planes(data, background, 0.0, mask, VALID | FOREGROUND, at, area, n_frames, columns, n_columns, cells,
                  n_points2, planes)
        to_grid(planes, shares, totals, n_frames, n_side, counts)
        to_planes(background, background, 0.0, mask, VALID | FOREGROUND, at, area, n_frames, columns, n_columns, cells,
                  n_points2, planes)
        to_grid(planes, shares, totals, n_frames, n_side, beneath)
        profile = profiles[nearest[r]]
        n, start = choose_points(counts, beneath, profile, cuts[nearest[r]], shares, n_frames, edge_erf, active,
                                 active_c, active_b, active_p)
        if n == 0:
            continue
        intensity, information, least = fit_scale(active_c, active_b, active_p, n, start)
        if not information > 0.0:
            continue
        weigh_planes(active, active_b, active_p, n, spread(max(intensity, least)), shares, totals, n_frames, fractions,
                     weighted)
        shape_planes(shares, edge_erf, sharp[nearest[r]], n_frames, shaped)
        n_corners2 = list_corners(frame, middles, n_columns, n_side, points, corners, parts)
        top, bottom, total, good_q, from_b, from_q = sum_weighted(
            at, area, n_frames, data, background, mask, columns, n_columns, cells, n_points2, corners, parts,
            n_corners2, frame[AREA], weighted, shaped, n_side + 2)
        if not bottom > 0.0:
            continue
        value[r] = top / bottom
        signal = max(value[r], least)
        noise = from_b + spread(signal) * from_q - steady(signal, good_q) * bottom * bottom
        variance[r] = ((noise + total * total * background_noise(background, mask, at, offsets[r + 1], n_used[r]))
                       / (bottom * bottom))
        cc[r] = correlation(value[r], profile.ravel(), beneath.ravel(), counts.ravel(), n_side * n_cells)
