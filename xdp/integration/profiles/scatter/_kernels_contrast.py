r"""Numba kernel that measures what the scatter of shapes does to strong reflections.

A reflection is measured twice from the same pixels: by the weights of a fit, and by their sum. With counts d,
background b, profile q and sums over good pixels, the two intensities differ by

.. math::

    D = \sum_i a_i (d_i - b_i), \qquad
    a_i = \frac{u_i}{\sum u q} - \frac{1}{\sum q}, \qquad u_i = \frac{q_i}{b_i + S q_i}.

Since :math:`\sum a q = 0`, D is 0 on average where the profile is right, whatever the intensity I. Its variance is that
of counting, and what shapes add that scatter by Dirichlet's distribution:

.. math::

    \mathrm{var}(D) = \sum a^2 (b + I q) + \Big(\sum a\Big)^2 \mathrm{var}(b) + k^2 I^2 \sum a^2 q.

D sees of the scatter what an intensity sees. A spot that only lies a little beside its prediction hardly changes D,
though the residuals of its pixels are large.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.integration.profiles._kernels_fit import (
    LEAST_VARIANCE,
    compute_background_variance,
    compute_signal_variance,
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
)
from xdp.kernels import kernel


class Contrasts(NamedTuple):
    """What n reflections say about the scatter of shapes, for each of m trial values of k^2 in the weights.

    Attributes
    ----------
    intensity : (n,) float64
        By the sum of net counts over that of the profile; 0 where a reflection says nothing.
    difference : (n, m) float64
        D of the module's formula, counts.
    counting : (n, m) float64
        Its variance by counting and by the background's error.
    shape : (n, m) float64
        ``I^2 sum a^2 q``: what each unit of k^2 adds to the variance.
    """

    intensity: np.ndarray
    difference: np.ndarray
    counting: np.ndarray
    shape: np.ndarray


@kernel
def measure_contrasts(rows, n_used, given, shapes, trials, out):
    """Measure the contrasts of the reflections `rows`.

    Parameters
    ----------
    rows : (n,) int64
    n_used : (n_all,) int64
        Pixels that the background of each reflection was made of.
    given : ReflectionData
    shapes : ReferenceShapes
    trials : (m,) float64
        Values of k^2 for the weights.
    out : Contrasts
        Of zeros; filled for the reflections that have a frame and counts above background.
    """
    grid, boxes = given.grid, given.boxes
    n_side = 2 * grid.half + 1
    area, n_frames, n_pixels = find_largest(boxes, rows)
    work = make_workspace(area, n_frames, n_side)
    d, b, q = np.empty(n_pixels), np.empty(n_pixels), np.empty(n_pixels)
    s, weights, found = np.empty(trials.size), np.empty((n_pixels, trials.size)), np.empty((4, trials.size))
    for j in range(rows.size):
        r = rows[j]
        is_valid, placed = place_reflection(r, given, work)
        if not is_valid:
            continue
        slice_profile(shapes.sharp[shapes.nearest[r]], placed.box, grid, work)
        list_corners(placed.frame, placed.n_columns, n_side, work)
        n, net, total = list_good_pixels(placed, boxes, n_side, work, d, b, q)
        # without counts above background there is no shape to see
        if not (net > 0.0 and total > 0.0):
            continue
        out.intensity[j] = net / total
        # the error of the background is common to all pixels, hence the square of the sum of a
        var_b = compute_background_variance(boxes, placed.box, n_used[r])
        for t in range(trials.size):
            s[t] = compute_signal_variance(out.intensity[j], trials[t])
        compute_contrasts(d[:n], b[:n], q[:n], out.intensity[j], s, weights, found)
        for t in range(trials.size):
            out.difference[j, t], out.shape[j, t] = found[0, t], found[2, t]
            out.counting[j, t] = found[1, t] + found[3, t] * found[3, t] * var_b


@kernel
def list_good_pixels(placed, boxes, n_side, work, d, b, q):
    """List counts, background and profile of the good pixels; returns how many, their net counts and sum of q."""
    box, n, net, total = placed.box, 0, 0.0, 0.0
    for k in range(box.n_frames):
        first = box.first + k * box.area
        for c in range(placed.n_columns):
            i = first + work.columns[c]
            if (boxes.mask[i] & BITS) == GOOD:
                q[n] = placed.frame.area * interpolate(work, k, c, placed.n_points2, n_side + 2)
                d[n], b[n] = boxes.data[i], max(boxes.background[i], 0.0)
                net += d[n] - b[n]
                total += q[n]
                n += 1
    return n, net, total


@kernel
def compute_contrasts(d, b, q, intensity, s, weights, out):
    """Compute the contrasts of one reflection with weights ``q / (b + s q)`` for each of m values of s.

    Parameters
    ----------
    d, b, q : (n,) float64
        Counts, background and profile of its pixels.
    intensity : float
    s : (m,) float64
        Variance of the signal for each unit of the profile.
    weights : (n or more, m) float64
        A workspace.
    out : (4, m) float64
        Filled with ``D``, ``sum a^2 (b + I q)``, ``I^2 sum a^2 q``, ``sum a``; with 0 where the profile has no counts.
    """
    total = 0.0
    out[:] = 0.0
    # values of s innermost, several of which a processor takes at once
    u_q = out[3]
    for i in range(d.size):
        total += q[i]
        for t in range(s.size):
            # kept, since a division takes longer than reading it again
            weights[i, t] = q[i] / max(b[i] + s[t] * q[i], LEAST_VARIANCE)
            u_q[t] += q[i] * weights[i, t]
    # no pixel has a part of the profile
    if not (total > 0.0 and u_q.min() > 0.0):
        out[:] = 0.0
        return
    difference, counting, shape, scale = out[0], out[1], out[2], 1.0 / u_q
    u_q[:] = 0.0
    # its reciprocal is all that is needed of u_q from here on: the row is free for the sum of a
    a_sum = u_q
    for i in range(d.size):
        net, variance = d[i] - b[i], b[i] + intensity * q[i]
        for t in range(s.size):
            a = weights[i, t] * scale[t] - 1.0 / total
            difference[t] += a * net
            counting[t] += a * a * variance
            shape[t] += a * a * q[i]
            a_sum[t] += a
    for t in range(s.size):
        shape[t] *= intensity * intensity
