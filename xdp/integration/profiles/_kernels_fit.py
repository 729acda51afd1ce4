"""Numba kernels that fits of reference profiles share: intensity and noise, and how a reflection is set up."""

from __future__ import annotations

import math

import numpy as np

from xdp.integration.profiles._kernels_transform import (
    FOREGROUND,
    FRAME_SIZE,
    MOST_POINTS,
    list_columns,
    set_frame,
    share_frames,
)
from xdp.kernels import kernel

MOST_ROUNDS = 100
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
def work_arrays(bbox, use, n_side):
    """Arrays that serve one reflection after the other: for its frame, its columns of pixels, what frames record."""
    area, frames, pixels = sizes_of(bbox, use)
    frame, columns = np.empty(FRAME_SIZE), np.empty(area, np.int64)
    cells = np.empty((area, MOST_POINTS * MOST_POINTS), np.int32)
    points, middles = np.empty((MOST_POINTS * MOST_POINTS, 2)), np.empty((area, 2))
    corners = np.empty((area, MOST_POINTS * MOST_POINTS), np.int32)
    parts = np.empty((area, MOST_POINTS * MOST_POINTS, 2), np.float32)
    shares, totals = np.empty((frames, n_side)), np.empty(frames)
    shaped = np.empty((frames, (n_side + 2) ** 2), np.float32)
    return frame, columns, cells, points, middles, corners, parts, shares, totals, shaped, pixels


@kernel
def set_up(s1, s0, centre, bbox, at, mask, axis, turn, scan, d, d_inverse, pixel, steps, sigma, half, edge_erf, frame,
           columns, cells, points, middles, shares, totals):
    """The frame of a reflection, its columns of pixels, and what each image records of it.

    Returns
    -------
    The number of columns, -1 where the reflection has no frame.
    """
    if not set_frame(s1, s0, axis, centre, d, d_inverse, pixel, turn, steps[0], steps[1], half, frame):
        return np.int64(-1)
    n_side, n_frames = 2 * half + 1, np.int64(bbox[5] - bbox[4])
    n_columns = list_columns(frame, d, pixel, bbox, mask, at, n_side, points, columns, middles, cells)
    share_frames(frame, centre[2], bbox[4], n_frames, sigma, edge_erf, n_side, shares, totals)
    only_recorded(shares, totals, bbox[4], n_frames, scan[0], scan[1])
    return np.int64(n_columns)
