"""Numba kernel that fits the profiles of a reflection and its neighbours together."""

from __future__ import annotations

import numpy as np

from xdp.integration.profiles._kernels_fit import (
    MOST_ROUNDS,
    background_noise,
    correlation,
    only_recorded,
    shape_planes,
    spread,
    steady,
    work_arrays,
)
from xdp.integration.profiles._kernels_transform import (
    AREA,
    FOREGROUND,
    OVERLAPPED,
    VALID,
    between,
    grid_point,
    list_corners,
    set_frame,
    share_frames,
)
from xdp.kernels import kernel

MOST_TOGETHER = 9
LEAST_PART = 0.005
"""A neighbour counts if so much of it is recorded in the pixels at hand."""


@kernel
def invert(matrix, n, inverse):
    """Inverse of a symmetric positive matrix by elimination; False where it is singular."""
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
def fit_together(counts, background, profiles, n, m, intensity, inverse):
    """Intensities of `m` overlapping reflections from `n` pixels.

    Solves ``sum_i p_ki (d_i - b_i - sum_j I_j p_ji) / v_i = 0``, ``v = b + sum_j spread(max(I_j, 0)) p_j`` (and no
    less than a count in all), by reweighted least squares. `inverse` gets their covariance if parts of a shape
    scattered each for itself: :func:`steady` is to be taken off. Returns False where it is singular.
    """
    matrix, right = np.empty((MOST_TOGETHER, MOST_TOGETHER)), np.empty(MOST_TOGETHER)
    beneath = 0.0
    for i in range(n):
        beneath += background[i]
    least = max(1.0 - beneath, 0.0) / n
    for _ in range(MOST_ROUNDS):
        matrix[:m, :m] = 0.0
        right[:m] = 0.0
        for i in range(n):
            v = background[i] + least
            for j in range(m):
                v += spread(max(intensity[j], 0.0)) * profiles[j, i]
            w = 1.0 / max(v, 1e-20)
            for j in range(m):
                wp = w * profiles[j, i]
                right[j] += wp * (counts[i] - background[i])
                for k in range(m):
                    matrix[j, k] += wp * profiles[k, i]
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
        if largest < 1e-6:
            break
    return True


@kernel
def own_pixels(first, last, data, background, mask, places, counts, beneath):
    """List the pixels of a box that are fitted: place in the box, counts, background.

    Returns
    -------
    How many, and how many of these are the reflection's foreground.
    """
    n, n_own = 0, 0
    for i in range(first, last):
        if mask[i] & VALID and mask[i] & (FOREGROUND | OVERLAPPED):
            places[n] = i - first
            counts[n], beneath[n] = data[i], max(background[i], 0.0)
            n += 1
            n_own += (mask[i] & FOREGROUND) != 0
    return n, n_own


@kernel
def is_near(centre, z, bbox, reach_x, reach_y):
    """Whether a reflection's centre lies in a box that is wider by `reach`, and its frames meet the box's."""
    return not (z[0] >= bbox[5] or z[1] <= bbox[4] or centre[0] < bbox[0] - reach_x or centre[0] > bbox[1] + reach_x
                or centre[1] < bbox[2] - reach_y or centre[1] > bbox[3] + reach_y)


@kernel
def profile_in_pixels(s1, s0, centre, profile, bbox, places, n, axis, turn, scan, d, d_inverse, pixel, steps, sigma,
                      half, edge_erf, frame, points, middles, corners, parts, shares, totals, planes, out):
    """What `n` pixels of a box, at `places`, have of a reflection's profile, into `out`.

    Returns
    -------
    Whether it has a frame, and the sum of `out`.
    """
    if not set_frame(s1, s0, axis, centre, d, d_inverse, pixel, turn, steps[0], steps[1], half, frame):
        return False, 0.0
    width, n_side = np.int64(bbox[1] - bbox[0]), 2 * half + 1
    area, n_frames = width * np.int64(bbox[3] - bbox[2]), np.int64(bbox[5] - bbox[4])
    for place in range(area):
        middles[place, 0], middles[place, 1] = grid_point(frame, d, pixel, bbox[0] + place % width + 0.5,
                                                          bbox[2] + place // width + 0.5)
    n_corners2 = list_corners(frame, middles, area, n_side, points, corners, parts)
    share_frames(frame, centre[2], bbox[4], n_frames, sigma, edge_erf, n_side, shares, totals)
    only_recorded(shares, totals, bbox[4], n_frames, scan[0], scan[1])
    shape_planes(shares, edge_erf, profile, n_frames, planes)
    there = 0.0
    for i in range(n):
        q = frame[AREA] * between(planes, places[i] // area, corners, parts, places[i] % area, n_corners2, n_side + 2)
        out[i] = q
        there += q
    return True, there


@kernel
def joint_variance(n, m, beneath, profiles, intensity, inverse, noise):
    """Variance of the first of `m` intensities fitted together, with the `noise` of the background's estimate."""
    shift, good_q = 0.0, 0.0  # shift: how the background's error reaches the intensity
    for i in range(n):
        good_q += profiles[0, i]
        v, own = beneath[i], 0.0
        for j in range(m):
            v += spread(max(intensity[j], 0.0)) * profiles[j, i]
            own += inverse[0, j] * profiles[j, i]
        shift += own / max(v, 1e-20)
    signal = max(intensity[0], 0.0)
    # rounding and the last round's change must not take more off than scatter had put on
    return max(inverse[0, 0] - steady(signal, good_q), signal / max(good_q, 1.0)) + shift * shift * noise


@kernel
def fit_neighbours(use, s1, s0, centre, panel, bbox, offsets, data, background, mask, axis, turn, scan, d_matrix,
                   d_inverse, pixel_size, steps, sigma, half, edge_erf, nearest, sharp, n_used, value, variance, cc,
                   other_s1, other_s0, other_centre, other_z, other_nearest, cell, across, down, start, index):
    """Fit each reflection together with those neighbours whose profiles reach into its pixels.

    Pixels are the valid ones of the reflection's foreground and those in its box that belong to neighbours. The
    neighbours are looked up in square cells of the panels, ``index[start[c]:start[c + 1]]``; `other_z` (n, 2) are the
    frames of their boxes. The variance is that of the joint fit: what neighbours take from certainty is in it.
    """
    n_side = 2 * half + 1
    frame, _, _, points, middles, corners, parts, shares, totals, planes, most_pixels = work_arrays(bbox, use, n_side)
    places, sight = np.empty(most_pixels, np.int64), np.empty(most_pixels)
    counts, beneath = np.empty(most_pixels), np.empty(most_pixels)
    profiles = np.empty((MOST_TOGETHER, most_pixels))
    intensity, inverse = np.empty(MOST_TOGETHER), np.empty((MOST_TOGETHER, MOST_TOGETHER))
    for r in range(bbox.shape[0]):
        value[r], variance[r], cc[r] = 0.0, -1.0, 0.0
        if not use[r]:
            continue
        pan = np.int64(panel[r])
        n, n_own = own_pixels(offsets[r], offsets[r + 1], data, background, mask, places, counts, beneath)
        if n_own == 0:
            continue
        m = 0
        reach_x, reach_y = 0.5 * np.int64(bbox[r, 1] - bbox[r, 0]), 0.5 * np.int64(bbox[r, 3] - bbox[r, 2])
        x0, x1 = max(np.int64(bbox[r, 0] - reach_x) // cell, 0), min(np.int64(bbox[r, 1] + reach_x) // cell, across - 1)
        y0, y1 = max(np.int64(bbox[r, 2] - reach_y) // cell, 0), min(np.int64(bbox[r, 3] + reach_y) // cell, down - 1)
        # the reflection itself is the first of those fitted; then its neighbours
        for turn_of in range(2):
            if turn_of == 1 and m == 0:
                break
            for square in range(max(y1 - y0 + 1, 0) * max(x1 - x0 + 1, 0)):
                c = (pan * down + y0 + square // (x1 - x0 + 1)) * across + x0 + square % (x1 - x0 + 1)
                for at in range(start[c], start[c + 1]):
                    b = index[at]
                    is_self = (other_centre[b, 0] == centre[r, 0] and other_centre[b, 1] == centre[r, 1]
                               and other_centre[b, 2] == centre[r, 2])
                    if is_self != (turn_of == 0) or m == MOST_TOGETHER or (is_self and m > 0):
                        continue
                    if not is_near(other_centre[b], other_z[b], bbox[r], reach_x, reach_y):
                        continue
                    has_frame, there = profile_in_pixels(
                        other_s1[b], other_s0[b], other_centre[b], sharp[other_nearest[b]], bbox[r], places, n, axis,
                        turn, scan, d_matrix[pan], d_inverse[pan], pixel_size[pan], steps, sigma, half, edge_erf,
                        frame, points, middles, corners, parts, shares, totals, planes, profiles[m])
                    if has_frame and (is_self or there > LEAST_PART):
                        m += 1
        if m == 0:
            continue
        intensity[:m] = 0.0
        if not fit_together(counts, beneath, profiles, n, m, intensity, inverse):
            continue
        value[r] = intensity[0]
        noise = background_noise(background, mask, offsets[r], offsets[r + 1], n_used[r])
        variance[r] = joint_variance(n, m, beneath, profiles, intensity, inverse, noise)
        for i in range(n):
            sight[i] = 0.0
            for j in range(m):
                sight[i] += intensity[j] * profiles[j, i]
        cc[r] = correlation(1.0, sight, beneath, counts, n)
