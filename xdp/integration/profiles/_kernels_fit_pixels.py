"""Numba kernels that fit reference profiles to counts on the detector's pixels."""

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
from xdp.integration.profiles._kernels_transform import AREA, FOREGROUND, OVERLAPPED, VALID, between, list_corners
from xdp.kernels import kernel


@kernel
def list_pixels(at, area, n_frames, data, background, mask, columns, n_columns, corners, parts, n_corners2, size,
                planes, width, threshold, places, counts, beneath, shape):
    """List a reflection's pixels that are fitted, as :func:`fit_on_pixels` says: counts, background, profile.

    Returns
    -------
    How many, and the sum of counts less background of all good pixels.
    """
    bits = VALID | FOREGROUND | OVERLAPPED
    n_found, largest, start = 0, 0.0, 0.0
    for k in range(n_frames):
        first = at + k * area
        for c in range(n_columns):
            i = first + columns[c]
            if mask[i] & FOREGROUND:
                q = size * between(planes, k, corners, parts, c, n_corners2, width)
                largest = max(largest, q)
                if (mask[i] & bits) == VALID | FOREGROUND:
                    places[n_found], shape[n_found] = i, q
                    start += np.float64(data[i]) - background[i]
                    n_found += 1
    n = 0
    for i in range(n_found):  # n <= i: what is overwritten was read
        j, q = places[i], shape[i]
        if q > threshold * largest or start * q > background[j]:
            counts[n], beneath[n], shape[n] = data[j], max(background[j], 0.0), q
            n += 1
    return n, start


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
    frame, columns, cells, points, middles, corners, parts, shares, totals, planes, pixels = work_arrays(
        bbox, use, n_side)
    places, counts, beneath, shape = np.empty(pixels, np.int64), np.empty(pixels), np.empty(pixels), np.empty(pixels)
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
        shape_planes(shares, edge_erf, sharp[nearest[r]], n_frames, planes)
        n_corners2 = list_corners(frame, middles, n_columns, n_side, points, corners, parts)
        n, start = list_pixels(at, area, n_frames, data, background, mask, columns, n_columns, corners, parts,
                               n_corners2, frame[AREA], planes, n_side + 2, threshold, places, counts, beneath, shape)
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
