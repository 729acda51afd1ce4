"""Numba kernel that fits the profiles of a reflection and its neighbours together."""

from __future__ import annotations

import numpy as np

from xdp.integration._kernels_fit import (
    MOST_ROUNDS,
    background_noise,
    correlation,
    only_recorded,
    shape_planes,
    sizes_of,
    spread,
    steady,
)
from xdp.integration._kernels_transform import (
    AREA,
    FRAME_SIZE,
    MOST_POINTS,
    between,
    grid_point,
    list_corners,
    set_frame,
    share_frames,
)
from xdp.kernels import kernel

VALID = 1
FOREGROUND = 4
OVERLAPPED = 32
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
def fit_neighbours(use, s1, s0, centre, panel, bbox, offsets, data, background, mask, axis, turn, scan, d_matrix,
                   d_inverse, pixel_size, steps, sigma, half, edge_erf, nearest, sharp, n_used, value, variance, cc,
                   other_s1, other_s0, other_centre, other_z, other_nearest, cell, across, down, start, index):
    """Fit each reflection together with those neighbours whose profiles reach into its pixels.

    Pixels are the valid ones of the reflection's foreground and those in its box that belong to neighbours. The
    neighbours are looked up in square cells of the panels, ``index[start[c]:start[c + 1]]``; `other_z` (n, 2) are the
    frames of their boxes. The variance is that of the joint fit: what neighbours take from certainty is in it.
    """
    n_side = 2 * half + 1
    most_area, most_frames, most_pixels = sizes_of(bbox, use)
    frame = np.empty(FRAME_SIZE)
    points, middles = np.empty((MOST_POINTS * MOST_POINTS, 2)), np.empty((most_area, 2))
    corners = np.empty((most_area, MOST_POINTS * MOST_POINTS), np.int32)
    parts = np.empty((most_area, MOST_POINTS * MOST_POINTS, 2), np.float32)
    shares, totals = np.empty((most_frames, n_side)), np.empty(most_frames)
    planes = np.empty((most_frames, (n_side + 2) ** 2), np.float32)
    places, sight = np.empty(most_pixels, np.int64), np.empty(most_pixels)
    counts, beneath = np.empty(most_pixels), np.empty(most_pixels)
    profiles = np.empty((MOST_TOGETHER, most_pixels))
    intensity, inverse = np.empty(MOST_TOGETHER), np.empty((MOST_TOGETHER, MOST_TOGETHER))
    for r in range(bbox.shape[0]):
        value[r], variance[r], cc[r] = 0.0, -1.0, 0.0
        if not use[r]:
            continue
        pan = np.int64(panel[r])
        d, pixel = d_matrix[pan], pixel_size[pan]
        width, height = np.int64(bbox[r, 1] - bbox[r, 0]), np.int64(bbox[r, 3] - bbox[r, 2])
        area, n_frames = width * height, np.int64(bbox[r, 5] - bbox[r, 4])
        n, n_own = 0, 0
        for i in range(offsets[r], offsets[r + 1]):
            if mask[i] & VALID and mask[i] & (FOREGROUND | OVERLAPPED):
                places[n] = i - offsets[r]
                counts[n], beneath[n] = data[i], max(background[i], 0.0)
                n += 1
                n_own += (mask[i] & FOREGROUND) != 0
        if n_own == 0:
            continue
        m = 0
        reach_x, reach_y = 0.5 * width, 0.5 * height
        x0, x1 = max(np.int64(bbox[r, 0] - reach_x) // cell, 0), min(np.int64(bbox[r, 1] + reach_x) // cell, across - 1)
        y0, y1 = max(np.int64(bbox[r, 2] - reach_y) // cell, 0), min(np.int64(bbox[r, 3] + reach_y) // cell, down - 1)
        # the reflection itself is the first of those fitted; then its neighbours
        for turn_of in range(2):
            for cy in range(y0, y1 + 1):
                for cx in range(x0, x1 + 1):
                    c = (pan * down + cy) * across + cx
                    for at in range(start[c], start[c + 1]):
                        b = index[at]
                        is_self = (other_centre[b, 0] == centre[r, 0] and other_centre[b, 1] == centre[r, 1]
                                   and other_centre[b, 2] == centre[r, 2])
                        if is_self != (turn_of == 0) or m == MOST_TOGETHER or (is_self and m > 0):
                            continue
                        if (other_z[b, 0] >= bbox[r, 5] or other_z[b, 1] <= bbox[r, 4]
                                or other_centre[b, 0] < bbox[r, 0] - reach_x
                                or other_centre[b, 0] > bbox[r, 1] + reach_x
                                or other_centre[b, 1] < bbox[r, 2] - reach_y
                                or other_centre[b, 1] > bbox[r, 3] + reach_y):
                            continue
                        if not set_frame(other_s1[b], other_s0[b], axis, other_centre[b], d, d_inverse[pan], pixel,
                                         turn, steps[0], steps[1], half, frame):
                            continue
                        for place in range(area):
                            middles[place, 0], middles[place, 1] = grid_point(
                                frame, d, pixel, bbox[r, 0] + place % width + 0.5, bbox[r, 2] + place // width + 0.5)
                        n_corners2 = list_corners(frame, middles, area, n_side, points, corners, parts)
                        share_frames(frame, other_centre[b, 2], bbox[r, 4], n_frames, sigma, edge_erf, n_side, shares,
                                     totals)
                        only_recorded(shares, totals, bbox[r, 4], n_frames, scan[0], scan[1])
                        shape_planes(shares, edge_erf, sharp[other_nearest[b]], n_frames, planes)
                        there = 0.0
                        for i in range(n):
                            place = places[i]
                            q = frame[AREA] * between(planes, place // area, corners, parts, place % area, n_corners2,
                                                      n_side + 2)
                            profiles[m, i] = q
                            there += q
                        if is_self or there > LEAST_PART:
                            m += 1
            if m == 0:
                break
        if m == 0:
            continue
        for j in range(m):
            intensity[j] = 0.0
        if not fit_together(counts, beneath, profiles, n, m, intensity, inverse):
            continue
        # how the background's error reaches the intensity
        shift, good_q = 0.0, 0.0
        for i in range(n):
            good_q += profiles[0, i]
            v, own = beneath[i], 0.0
            for j in range(m):
                v += spread(max(intensity[j], 0.0)) * profiles[j, i]
                own += inverse[0, j] * profiles[j, i]
            shift += own / max(v, 1e-20)
        value[r] = intensity[0]
        noise = background_noise(background, mask, offsets[r], offsets[r + 1], n_used[r])
        signal = max(intensity[0], 0.0)
        # rounding and the last round's change must not take more off than scatter had put on
        variance[r] = max(inverse[0, 0] - steady(signal, good_q), signal / max(good_q, 1.0)) + shift * shift * noise
        for i in range(n):
            sight[i] = 0.0
            for j in range(m):
                sight[i] += intensity[j] * profiles[j, i]
        cc[r] = correlation(1.0, sight, beneath, counts, n)
