"""Numba kernel for backgrounds by least squares."""

from __future__ import annotations

import numpy as np

from xdp.integration.background._kernels_outliers import reject
from xdp.integration.background._kernels_plane import fit_plane
from xdp.kernels import kernel

USED = np.uint8(16)


@kernel
def fit_simple(bbox, offsets, data, mask, background, rejector, lower, upper, least, expected, per_frame, n_par,
               min_pixels, failed, statistics):
    """Fill the background of boxes with a constant or a plane through the pixels that are not rejected.

    `rejector` and its numbers are those of `reject`; `n_par` and `per_frame` choose the model (see `fit_plane`).
    `statistics` (n, 3) gets the mean count of used pixels, the mean squared residual, and the index of dispersion
    (variance / mean), the last two 0 where the box has failed: rejection or fit without enough pixels, fewer than
    `min_pixels` used, or a negative mean.
    """
    largest = 1
    for i in range(len(failed)):
        largest = max(largest, offsets[i + 1] - offsets[i])
    values = np.empty(largest)
    params, normal = np.empty(4), np.empty((4, 4))
    for i in range(len(failed)):
        width, height = np.int64(bbox[i, 1] - bbox[i, 0]), np.int64(bbox[i, 3] - bbox[i, 2])
        first, end = offsets[i], offsets[i + 1]
        depth = 1 if per_frame else np.int64(bbox[i, 5] - bbox[i, 4])
        is_good = end > first
        if is_good:
            is_good = reject(data, mask, first, end, width, height, rejector, lower, upper, least, expected, values,
                             params, normal)
        if is_good and per_frame:
            for start in range(first, end, width * height):
                n = fit_plane(data, mask, start, width, height, 1, n_par, 0.5, 0.5, params, normal)
                is_good = is_good and n > n_par
        if is_good:
            for start in range(first, end, width * height * depth):
                n = fit_plane(data, mask, start, width, height, depth, n_par, 0.5, 0.5, params, normal)
                is_good = is_good and n > n_par
                if is_good:
                    fill(background, start, width, height, depth, n_par, params)
        measure(data, mask, background, first, end, is_good, statistics[i])
        variance = statistics[i, 2]
        if is_good:
            is_good = statistics[i, 0] >= 0.0 and variance >= 0.0 and n_used(mask, first, end) >= min_pixels
        failed[i] = not is_good
        if not is_good:
            statistics[i, 1:] = 0.0
        elif statistics[i, 0] > 0.0:
            statistics[i, 2] = variance / statistics[i, 0]


@kernel
def fill(background, first, width, height, depth, n_par, params):
    """Write a constant or a plane."""
    k = first
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                value = params[0]
                if n_par > 1:
                    value += params[1] * (x + 0.5) + params[2] * (y + 0.5)
                if n_par > 3:
                    value += params[3] * (z + 0.5)
                background[k] = value
                k += 1


@kernel
def n_used(mask, first, end):
    """Number of used pixels."""
    n = 0
    for k in range(first, end):
        n += (mask[k] & USED) != 0
    return n


@kernel
def measure(data, mask, background, first, end, is_good, out):
    """Mean of the used counts, mean squared residual and variance (n - 1), each 0 where there is nothing to divide."""
    n, total, square, residual = 0, 0.0, 0.0, 0.0
    origin = np.float64(data[first]) if end > first else 0.0
    for k in range(first, end):
        if mask[k] & USED:
            n += 1
            value = np.float64(data[k]) - origin
            total += value
            square += value * value
            residual += (np.float64(background[k]) - np.float64(data[k])) ** 2
    out[0] = origin + total / n if n > 0 else 0.0
    out[1] = residual / n if n > 0 else 0.0
    out[2] = (square - total * total / n) / (n - 1) if n > 1 else -1.0
    if -1e-9 * square <= out[2] < 0.0 and n > 1:
        out[2] = 0.0
