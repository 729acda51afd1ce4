"""Numba kernels that fit reference profiles to shoeboxes: on the reflection's own grid, and on the pixels."""

from __future__ import annotations

import math

import numpy as np

from xdp.integration._kernels_transform import (
    AREA,
    FRAME_SIZE,
    MOST_POINTS,
    POINTS,
    between,
    list_columns,
    list_corners,
    set_frame,
    share_frames,
    to_grid,
    to_planes,
)
from xdp.kernels import kernel

VALID = 1
FOREGROUND = 4
OVERLAPPED = 32
MOST_ROUNDS = 100
FAINT = np.float32(0.01)
"""Points where fewer counts are expected do not matter."""
RECORDED = 0.99
"""A plane of the grid takes part if this much of it was recorded."""
SCATTER = 0.005
"""How much shapes scatter about their profile: a part p of one by `SCATTER` p (1 - p), as if drawn with 200 counts."""


@kernel
def spread(intensity):
    """Variance of a point's counts above background for each unit of its profile, ``I + k^2 I^2``.

    Counting gives ``I p``. A shape whose parts scatter by ``k^2 p (1 - p)``, and against each other by ``-k^2 p p'``
    (Dirichlet's distribution), adds ``k^2 I^2 p`` on the diagonal and takes ``k^2 I^2 p p'`` off all elements. The
    latter leaves the weights of a fit of p as they are, and lowers the variance of I by :func:`steady`.
    """
    return intensity + SCATTER * intensity * intensity


@kernel
def steady(intensity, total):
    """The part of a variance that scatter of the shape does not have, since parts make up a whole: ``k^2 I^2``.

    `total` is the sum of the profile; where that is more than 1 by rounding, parts are of the sum.
    """
    return SCATTER * intensity * intensity / max(total, 1.0)


@kernel
def fit_scale(counts, background, profile, n, start):
    """The intensity I with which ``background + I profile`` fits the `counts` best.

    Solves ``sum p (d - b - I p) / v = 0`` with ``v = b + spread(max(I, least)) p`` by reweighted least squares;
    `least` is 0 unless less than one count is expected beneath, when it makes v the variance of one count.

    Returns
    -------
    I, ``sum p^2 / v``, `least`
    """
    beneath, shape = 0.0, 0.0
    for i in range(n):
        beneath += background[i]
        shape += profile[i]
    least = max(1.0 - beneath, 0.0) / max(shape, 1e-30)
    intensity, information = start, 0.0
    for _ in range(MOST_ROUNDS):
        top, information = 0.0, 0.0
        signal = spread(max(intensity, least))
        for i in range(n):
            w = profile[i] / max(background[i] + signal * profile[i], 1e-20)
            top += w * (counts[i] - background[i])
            information += w * profile[i]
        if not information > 0.0:
            return 0.0, 0.0, least
        change = top / information - intensity
        intensity += change
        if change * change * information < 1e-6:
            break
    return intensity, information, least


@kernel
def background_noise(background, mask, first, last, n_used):
    """Variance of the background's estimate in a pixel: its mean over the foreground by the pixels that made it."""
    n, total = 0, 0.0
    for i in range(first, last):
        if mask[i] & FOREGROUND:
            n += 1
            total += background[i]
    return max(total, 0.0) / (n * n_used) if n_used > 0 and n > 0 else 0.0


@kernel
def correlation(scale, shape, background, counts, n):
    """Linear correlation of ``scale shape + background`` with counts."""
    sx, sy, sxx, sxy, syy = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        x = scale * shape[i] + background[i]
        y = np.float64(counts[i])
        sx += x
        sy += y
        sxx += x * x
        sxy += x * y
        syy += y * y
    xx, yy = sxx - sx * sx / n, syy - sy * sy / n
    if not (xx > 0.0 and yy > 0.0):
        return 0.0
    return (sxy - sx * sy / n) / math.sqrt(xx * yy)


@kernel
def only_recorded(shares, totals, z, n_frames, first, last):
    """Nothing of a reflection is recorded on frames outside `first`..`last` - 1."""
    for k in range(n_frames):
        if z + k < first or z + k >= last:
            totals[k] = 0.0
            for m in range(shares.shape[1]):
                shares[k, m] = 0.0


@kernel
def sizes_of(bbox, use):
    """The largest area of a box, the most frames, the most pixels."""
    area, frames, pixels = np.int64(1), np.int64(1), np.int64(1)
    for r in range(bbox.shape[0]):
        if use[r]:
            a = np.int64(bbox[r, 1] - bbox[r, 0]) * np.int64(bbox[r, 3] - bbox[r, 2])
            f = np.int64(bbox[r, 5] - bbox[r, 4])
            area, frames, pixels = max(area, a), max(frames, f), max(pixels, a * f)
    return area, frames, pixels


@kernel
def shape_planes(shares, edge_erf, profile, n_frames, planes):
    """What each frame records of a profile, by (e2, e1) points."""
    for k in range(n_frames):
        for c in range(planes.shape[1]):
            planes[k, c] = 0.0
        for m in range(shares.shape[1]):
            if shares[k, m] > 0.0:
                part = np.float32(shares[k, m] / (0.5 * (edge_erf[m + 1] - edge_erf[m])))
                for c in range(planes.shape[1]):
                    planes[k, c] += part * profile[m, c]


@kernel
def fit_on_grid(use, s1, s0, centre, panel, bbox, offsets, data, background, mask, axis, turn, scan, d_matrix,
                d_inverse, pixel_size, steps, sigma, half, edge_erf, nearest, profiles, sharp, cuts, n_used,
                value, variance, cc):
    """Fit reference profiles to counts and background that are both transformed to the grid.

    With c, b and p the counts, background and profile in a grid point, the weights are ``w = p / (b + S p)``, S being
    the :func:`spread` of the intensity I that :func:`fit_scale` finds; on recorded planes, for points with p above the
    profile's entry of `cuts` or with more signal than background (a strong reflection's faint points matter, since its
    own shape may differ). Grid points share pixels: the transform's transpose makes of w the pixels' weights u, with
    which ``I = sum u (d - b) / (f sum w p)``: sum w p is what the average of the references would have, f the part of
    sum u q in pixels that are good, q being the profile in a pixel, made of the `sharp` profile. Pixels are independent
    but for the scatter of shapes, so
    ``var I = (sum u^2 (b + S q) - (S - I) (sum u q)^2 + (sum u)^2 var(b)) / (f sum w p)^2`` holds.

    Results go to `value`, `variance` (-1 where there is no fit) and `cc`, the correlation on the grid.
    """
    n_side = 2 * half + 1
    n_cells = n_side * n_side
    most_area, most_frames, _ = sizes_of(bbox, use)
    frame = np.empty(FRAME_SIZE)
    columns = np.empty(most_area, np.int64)
    cells = np.empty((most_area, MOST_POINTS * MOST_POINTS), np.int32)
    points, middles = np.empty((MOST_POINTS * MOST_POINTS, 2)), np.empty((most_area, 2))
    shares, totals = np.empty((most_frames, n_side)), np.empty(most_frames)
    planes = np.empty((most_frames, n_cells + 1), np.float32)
    fractions = np.empty((most_frames, n_side))
    weighted = np.empty((most_frames, n_cells + 1), np.float32)
    shaped = np.empty((most_frames, (n_side + 2) ** 2), np.float32)
    corners = np.empty((most_area, MOST_POINTS * MOST_POINTS), np.int32)
    parts = np.empty((most_area, MOST_POINTS * MOST_POINTS, 2), np.float32)
    counts, beneath = np.empty((n_side, n_cells), np.float32), np.empty((n_side, n_cells), np.float32)
    active_c, active_b, active_p = np.empty(n_side * n_cells), np.empty(n_side * n_cells), np.empty(n_side * n_cells)
    active = np.empty(n_side * n_cells, np.int64)
    bits = VALID | FOREGROUND | OVERLAPPED
    for r in range(bbox.shape[0]):
        value[r], variance[r], cc[r] = 0.0, -1.0, 0.0
        if not use[r]:
            continue
        pan = np.int64(panel[r])
        area = np.int64(bbox[r, 1] - bbox[r, 0]) * np.int64(bbox[r, 3] - bbox[r, 2])
        n_frames = np.int64(bbox[r, 5] - bbox[r, 4])
        at = offsets[r]
        if not set_frame(s1[r], s0[r], axis, centre[r], d_matrix[pan], d_inverse[pan], pixel_size[pan], turn,
                         steps[0], steps[1], half, frame):
            continue
        n_columns = list_columns(frame, d_matrix[pan], pixel_size[pan], bbox[r], mask, at, n_side, points, columns,
                                 middles, cells)
        n_points2 = np.int64(frame[POINTS] * frame[POINTS])
        share_frames(frame, centre[r, 2], bbox[r, 4], n_frames, sigma, edge_erf, n_side, shares, totals)
        only_recorded(shares, totals, bbox[r, 4], n_frames, scan[0], scan[1])
        to_planes(data, background, 0.0, mask, VALID | FOREGROUND, at, area, n_frames, columns, n_columns, cells,
                  n_points2, planes)
        to_grid(planes, shares, totals, n_frames, n_side, counts)
        to_planes(background, background, 0.0, mask, VALID | FOREGROUND, at, area, n_frames, columns, n_columns, cells,
                  n_points2, planes)
        to_grid(planes, shares, totals, n_frames, n_side, beneath)
        profile = profiles[nearest[r]]
        cut = cuts[nearest[r]]
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
        if n == 0:
            continue
        intensity, information, least = fit_scale(active_c, active_b, active_p, n, start)
        if not information > 0.0:
            continue
        for k in range(n_frames):
            for c in range(n_cells + 1):
                weighted[k, c] = 0.0
            for m in range(n_side):
                fractions[k, m] = shares[k, m] / totals[k] if shares[k, m] > 0.0 else 0.0
        expected, scale = 0.0, spread(max(intensity, least))
        for i in range(n):
            m, c = active[i] // n_cells, active[i] % n_cells
            w = active_p[i] / max(active_b[i] + scale * active_p[i], 1e-20)
            expected += w * active_p[i]
            for k in range(n_frames):
                weighted[k, c] += np.float32(fractions[k, m] * w)
        shape_planes(shares, edge_erf, sharp[nearest[r]], n_frames, shaped)
        n_corners2 = list_corners(frame, middles, n_columns, n_side, points, corners, parts)
        top, bottom, total, from_b, from_q, all_q, good_q = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(n_frames):
            first = at + k * area
            for c in range(n_columns):
                i = first + columns[c]
                if mask[i] & FOREGROUND:
                    u = 0.0
                    for p in range(n_points2):
                        u += weighted[k, cells[c, p]]
                    u /= n_points2
                    q = frame[AREA] * between(shaped, k, corners, parts, c, n_corners2, n_side + 2)
                    all_q += u * q
                    if (mask[i] & bits) != VALID | FOREGROUND:
                        continue
                    top += u * (np.float64(data[i]) - background[i])
                    bottom += u * q
                    total += u
                    good_q += q
                    from_b += u * u * max(background[i], 0.0)
                    from_q += u * u * q
        if not bottom > 0.0:
            continue
        whole = bottom * expected / all_q  # the whole is what references have on the grid, q its parts
        value[r] = top / whole
        signal = max(value[r], least)
        noise = from_b + spread(signal) * from_q - steady(signal, good_q) * bottom * bottom
        variance[r] = ((noise + total * total * background_noise(background, mask, at, offsets[r + 1], n_used[r]))
                       / (whole * whole))
        cc[r] = correlation(value[r], profile.ravel(), beneath.ravel(), counts.ravel(), n_side * n_cells)


@kernel
def fit_on_pixels(use, s1, s0, centre, panel, bbox, offsets, data, background, mask, axis, turn, scan, d_matrix,
                  d_inverse, pixel_size, steps, sigma, half, edge_erf, nearest, sharp, threshold, n_used, value,
                  variance, cc):
    """Fit reference profiles, taken to the detector's pixels, to the counts there.

    A pixel's profile q is what its area and frame have of the `sharp` profile. The fit is that of :func:`fit_scale`,
    its variance ``1 / sum(q^2 / v) - k^2 I^2 + (sum(q / v) / sum(q^2 / v))^2 var(b)``. Pixels with q less than
    `threshold` times the largest, and less signal than background, take no part.
    """
    n_side = 2 * half + 1
    most_area, most_frames, most_pixels = sizes_of(bbox, use)
    frame = np.empty(FRAME_SIZE)
    columns = np.empty(most_area, np.int64)
    cells = np.empty((most_area, MOST_POINTS * MOST_POINTS), np.int32)
    points, middles = np.empty((MOST_POINTS * MOST_POINTS, 2)), np.empty((most_area, 2))
    shares, totals = np.empty((most_frames, n_side)), np.empty(most_frames)
    planes = np.empty((most_frames, (n_side + 2) ** 2), np.float32)
    corners = np.empty((most_area, MOST_POINTS * MOST_POINTS), np.int32)
    parts = np.empty((most_area, MOST_POINTS * MOST_POINTS, 2), np.float32)
    places, profile = np.empty(most_pixels, np.int64), np.empty(most_pixels)
    counts, beneath, shape = np.empty(most_pixels), np.empty(most_pixels), np.empty(most_pixels)
    bits = VALID | FOREGROUND | OVERLAPPED
    for r in range(bbox.shape[0]):
        value[r], variance[r], cc[r] = 0.0, -1.0, 0.0
        if not use[r]:
            continue
        pan = np.int64(panel[r])
        area = np.int64(bbox[r, 1] - bbox[r, 0]) * np.int64(bbox[r, 3] - bbox[r, 2])
        n_frames = np.int64(bbox[r, 5] - bbox[r, 4])
        at = offsets[r]
        if not set_frame(s1[r], s0[r], axis, centre[r], d_matrix[pan], d_inverse[pan], pixel_size[pan], turn,
                         steps[0], steps[1], half, frame):
            continue
        n_columns = list_columns(frame, d_matrix[pan], pixel_size[pan], bbox[r], mask, at, n_side, points, columns,
                                 middles, cells)
        share_frames(frame, centre[r, 2], bbox[r, 4], n_frames, sigma, edge_erf, n_side, shares, totals)
        only_recorded(shares, totals, bbox[r, 4], n_frames, scan[0], scan[1])
        shape_planes(shares, edge_erf, sharp[nearest[r]], n_frames, planes)
        n_corners2 = list_corners(frame, middles, n_columns, n_side, points, corners, parts)
        n_found, largest, start = 0, 0.0, 0.0
        for k in range(n_frames):
            first = at + k * area
            for c in range(n_columns):
                i = first + columns[c]
                if mask[i] & FOREGROUND:
                    q = frame[AREA] * between(planes, k, corners, parts, c, n_corners2, n_side + 2)
                    largest = max(largest, q)
                    if (mask[i] & bits) == VALID | FOREGROUND:
                        places[n_found], profile[n_found] = i, q
                        start += np.float64(data[i]) - background[i]
                        n_found += 1
        n = 0
        for i in range(n_found):
            j = places[i]
            if profile[i] > threshold * largest or start * profile[i] > background[j]:
                counts[n], beneath[n], shape[n] = data[j], max(background[j], 0.0), profile[i]
                n += 1
        if n == 0:
            continue
        intensity, information, least = fit_scale(counts, beneath, shape, n, start)
        if not information > 0.0:
            continue
        signal, total, good_q, information = max(intensity, least), 0.0, 0.0, 0.0
        scale = spread(signal)
        for i in range(n):
            w = shape[i] / max(beneath[i] + scale * shape[i], 1e-20)
            total += w
            information += w * shape[i]
            good_q += shape[i]
        value[r] = intensity
        variance[r] = (1.0 + total * total * background_noise(background, mask, at, offsets[r + 1], n_used[r])
                       / information) / information - steady(signal, good_q)
        cc[r] = correlation(intensity, shape, beneath, counts, n)
