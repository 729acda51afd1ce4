r"""Numba kernels that fit reference profiles to counts on the detector's pixels (``fit_method=detector_space``).

A pixel's profile q is what its area and frame have of the sharp profile. The intensity I is that of
:func:`~xdp.integration.profiles._kernels_fit.fit_scale` over pixels, with the variance

.. math::

    \mathrm{var}(I) = \frac{1}{\sum q^2/v} - k^2 I^2 + \Big(\frac{\sum q/v}{\sum q^2/v}\Big)^2 \mathrm{var}(b),

whose last term is what the background's own error does to I.
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
    FOREGROUND,
    GOOD,
    find_largest,
    interpolate,
    list_corners,
    make_workspace,
    place_reflection,
    slice_profile,
)
from xdp.kernels import kernel


class PixelList(NamedTuple):
    """Pixels of a reflection that are fitted; longer than any reflection needs.

    Attributes
    ----------
    place : (m,) int64
        In the arrays of all pixels.
    d, b, q : (m,) float64
        Counts, background, profile.
    """

    place: np.ndarray
    d: np.ndarray
    b: np.ndarray
    q: np.ndarray


@kernel
def fit_on_pixels(rows, n_used, given, shapes, fits):
    """Fit the reflections `rows`, each for itself, on pixels.

    Parameters
    ----------
    rows : (m,) int64
    n_used : (n,) int64
        Pixels that the background of each reflection was made of.
    given : ReflectionData
    shapes : ReferenceShapes
    fits : Fits
        Filled where there is a fit.
    """
    grid, boxes = given.grid, given.boxes
    n_side = 2 * grid.half + 1
    area, n_frames, n_pixels = find_largest(boxes, rows)
    work = make_workspace(area, n_frames, n_side)
    pixels = PixelList(np.empty(n_pixels, np.int64), np.empty(n_pixels), np.empty(n_pixels), np.empty(n_pixels))
    for r in rows:
        is_valid, placed = place_reflection(r, given, work)
        if not is_valid:
            continue
        slice_profile(shapes.sharp[shapes.nearest[r]], placed.box, grid, work)
        list_corners(placed.frame, placed.n_columns, n_side, work)
        # the net counts are a good start: with weights all alike they would be the result
        n, start = list_pixels(placed, boxes, n_side, shapes.threshold, work, pixels)
        if n == 0:
            continue
        k2 = shapes.scatter[r]
        intensity, information, least = fit_scale(pixels.d, pixels.b, pixels.q, n, k2, start)
        if not information > 0.0:
            continue
        var_b = compute_background_variance(boxes, placed.box, n_used[r])
        fits.value[r] = intensity
        fits.variance[r] = compute_variance(pixels, n, max(intensity, least), k2, var_b)
        fits.correlation[r] = correlate(intensity, pixels.q, pixels.b, pixels.d, n)


@kernel
def list_pixels(placed, boxes, n_side, threshold, work, pixels):
    """List the pixels that are fitted: with q above `threshold` times the largest, or more signal than background.

    Returns
    -------
    How many, and the sum of counts less background of all good pixels.
    """
    box, row = placed.box, n_side + 2
    n_found, largest, start = 0, 0.0, 0.0
    for k in range(box.n_frames):
        first = box.first + k * box.area
        for c in range(placed.n_columns):
            i = first + work.columns[c]
            if boxes.mask[i] & FOREGROUND:
                # the largest q counts also where its pixel is bad
                q = placed.frame.area * interpolate(work, k, c, placed.n_points2, row)
                largest = max(largest, q)
                if (boxes.mask[i] & BITS) == GOOD:
                    pixels.place[n_found], pixels.q[n_found] = i, q
                    start += np.float64(boxes.data[i]) - boxes.background[i]
                    n_found += 1
    n = 0
    for i in range(n_found):  # n <= i: what is overwritten was read
        j, q = pixels.place[i], pixels.q[i]
        if q > threshold * largest or start * q > boxes.background[j]:
            pixels.d[n], pixels.b[n], pixels.q[n] = boxes.data[j], max(boxes.background[j], 0.0), q
            n += 1
    return n, start


@kernel
def compute_variance(pixels, n, intensity, k2, var_b):
    """Variance of an intensity fitted to the first `n` pixels, with the variance `var_b` of their background."""
    total, good_q, information = 0.0, 0.0, 0.0
    # as in fit_scale, but with the v of the last I
    s = compute_signal_variance(intensity, k2)
    for i in range(n):
        w = pixels.q[i] / max(pixels.b[i] + s * pixels.q[i], LEAST_VARIANCE)
        total += w
        information += w * pixels.q[i]
        good_q += pixels.q[i]
    own = compute_shape_covariance(intensity, k2, good_q)
    return (1.0 + total * total * var_b / information) / information - own
