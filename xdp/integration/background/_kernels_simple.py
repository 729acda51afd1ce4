"""Numba kernel for backgrounds by least squares."""

from __future__ import annotations

import numpy as np

from xdp.integration.background._kernels_outliers import RejectionSpace, reject
from xdp.integration.background._kernels_pixels import USED, Slab, find_largest
from xdp.integration.background._kernels_plane import fit_plane
from xdp.kernels import kernel

MIDDLE = (0.5, 0.5)
"""Where the first pixel of a box lies in its own coordinates: pixels are counted at their middles."""


@kernel
def fit_simple(boxes, rejection, n_par, per_frame, min_pixels, failed, statistics):
    """Fill the background of boxes with a constant or a plane through the pixels that are not rejected.

    Parameters
    ----------
    boxes : BackgroundPixels
        `background` and `mask` are changed.
    rejection : Rejection
        Which pixels are left out.
    n_par : 1, 3 or 4
        Of the constant or plane (see `fit_plane`); 4 become 3 in a box whose used pixels lie on one frame.
    per_frame : bool
        One constant or plane for each frame; else one for each box.
    min_pixels : int
        Fewest used pixels of a box.
    failed : (n,) bool
        Filled: rejection or fit without enough pixels, fewer than `min_pixels` used, or a negative mean.
    statistics : (n, 3) float64
        Filled: the mean count of used pixels, the mean squared residual, and the index of dispersion (variance over
        mean), the last two 0 where the box has failed.
    """
    params, normal = np.empty(4), np.empty((4, 4))
    space = RejectionSpace(np.empty(find_largest(boxes.offsets)), params, normal)
    for i in range(len(failed)):
        box = boxes.bbox[i]
        width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
        first, end = boxes.offsets[i], boxes.offsets[i + 1]
        whole = Slab(first, width, height, np.int64(box[5] - box[4]))
        depth = 1 if per_frame else whole.depth
        is_good = end > first and reject(boxes.data, boxes.mask, whole, rejection, space)
        # Pixels of one frame say nothing of a slope from frame to frame: the equations would be singular.
        n_terms = n_par
        if is_good and n_par == 4 and not spans_frames(boxes.mask, whole):
            n_terms = 3
        # Frames are tried before any is written: where one fails, the background of the whole box stays as it was.
        if is_good and per_frame:
            for start in range(first, end, width * height):
                n = fit_plane(boxes.data, boxes.mask, Slab(start, width, height, 1), n_terms, MIDDLE, params, normal)
                is_good = is_good and n > n_terms
        if is_good:
            for start in range(first, end, width * height * depth):
                slab = Slab(start, width, height, depth)
                n = fit_plane(boxes.data, boxes.mask, slab, n_terms, MIDDLE, params, normal)
                is_good = is_good and n > n_terms
                if is_good:
                    fill(boxes.background, slab, n_terms, params)
        measure(boxes, first, end, statistics[i])
        variance = statistics[i, 2]
        if is_good:
            is_good = statistics[i, 0] >= 0.0 and variance >= 0.0 and count_used(boxes.mask, first, end) >= min_pixels
        failed[i] = not is_good
        if not is_good:
            statistics[i, 1:] = 0.0
        elif statistics[i, 0] > 0.0:
            statistics[i, 2] = variance / statistics[i, 0]


@kernel
def spans_frames(mask, box):
    """Whether used pixels of a box lie on more than one frame."""
    area, used_frame = box.width * box.height, -1
    for z in range(box.depth):
        for k in range(box.first + z * area, box.first + (z + 1) * area):
            if mask[k] & USED:
                if used_frame >= 0:
                    return True
                used_frame = z
                break
    return False


@kernel
def fill(background, slab, n_par, params):
    """Write a constant or a plane."""
    k = slab.first
    for z in range(slab.depth):
        for y in range(slab.height):
            for x in range(slab.width):
                value = params[0]
                if n_par > 1:
                    value += params[1] * (x + 0.5) + params[2] * (y + 0.5)
                if n_par > 3:
                    value += params[3] * (z + 0.5)
                background[k] = value
                k += 1


@kernel
def count_used(mask, first, end):
    """Number of used pixels."""
    n = 0
    for k in range(first, end):
        n += (mask[k] & USED) != 0
    return n


@kernel
def measure(boxes, first, end, out):
    """Mean of the used counts, mean squared residual and variance (n - 1), each 0 where there is nothing to divide."""
    data, mask, background = boxes.data, boxes.mask, boxes.background
    n, total, square, residual = 0, 0.0, 0.0, 0.0
    # Sums of differences from some pixel: squares of large counts would lose the digits of a small variance.
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
    if -1e-9 * square <= out[2] < 0.0 and n > 1:  # equal counts, by rounding; -1 stays: it says too few pixels
        out[2] = 0.0
