"""Numba functions that choose which background pixels are used, within the kernel of least-squares backgrounds."""

from __future__ import annotations

import math

import numpy as np

from xdp.integration.background._kernels_plane import fit_plane
from xdp.kernels import kernel

SELECTED, WANTED = np.uint8(35), np.uint8(3)
USED, NOT_USED = np.uint8(16), np.uint8(239)
NSIGMA, TRUNCATED, NORMAL, PLANE, TUKEY = 1, 2, 3, 4, 5


@kernel
def reject(data, mask, first, end, width, height, rejector, lower, upper, least, expected, values, params, normal):
    """Mark the pixels to be used among the usable ones of a box; False if the algorithm has too few of them.

    `lower` and `upper` are the algorithm's numbers (the fraction and the number of sigma for PLANE), `least` and
    `expected` those of NORMAL; `values`, `params` and `normal` are space to work in.
    """
    if rejector == PLANE:
        for start in range(first, end, max(width * height, 1)):
            if not reject_from_plane(data, mask, start, width, height, lower, upper, values, params, normal):
                return False
        return True
    if rejector == 0:
        mark_between(data, mask, first, end, -math.inf, math.inf)
        return True
    n = gather(data, mask, first, end, values)
    if rejector == NSIGMA:
        if n < 2:
            return False
        mean, sigma = spread(values, n)
        mark_between(data, mask, first, end, mean - lower * sigma, mean + upper * sigma)
        return True
    values[:n].sort()
    if rejector == TRUNCATED:
        mark_ranks(data, mask, first, end, values, n, int(lower * n / 2.0), n - int(upper * n / 2.0))
        return True
    if rejector == NORMAL:
        if n < least:
            return False
        mark_ranks(data, mask, first, end, values, n, 0, longest_normal(values, n, least, expected))
        return True
    if n < 3:
        return False
    low, high = values[n // 2 // 2], values[n // 2 + (n - n // 2) // 2]
    mark_between(data, mask, first, end, low - lower * (high - low), high + upper * (high - low))
    return True


@kernel
def gather(data, mask, first, end, values):
    """Copy the counts of usable pixels; returns their number."""
    n = 0
    for k in range(first, end):
        values[n] = data[k]
        n += (mask[k] & SELECTED) == WANTED
    return n


@kernel
def spread(values, n):
    """Mean and standard deviation (n - 1) of the first `n` values."""
    total, square = 0.0, 0.0
    for i in range(n):
        total += values[i]
    mean = total / n
    for i in range(n):
        square += (values[i] - mean) ** 2
    return mean, math.sqrt(square / (n - 1))


@kernel
def longest_normal(ordered, n, least, expected):
    """How many of the lowest of `n` ordered values look normal: the highest within the sigma expected of so many."""
    while n > least:
        mean, sigma = spread(ordered, n)
        if sigma == 0.0 or (ordered[n - 1] - mean) / sigma < expected[n]:
            break
        n -= 1
    return n


@kernel
def mark_between(data, mask, first, end, low, high):
    """Mark usable pixels whose counts lie between limits, both included."""
    for k in range(first, end):
        if (mask[k] & SELECTED) == WANTED and low <= data[k] <= high:
            mask[k] |= USED


@kernel
def mark_ranks(data, mask, first, end, ordered, n, begin, stop):
    """Mark usable pixels of rank `begin` to `stop` by counts; among equal counts the first in the box rank first."""
    if stop <= begin:
        return
    low, high = ordered[begin], ordered[stop - 1]
    low_rank = np.searchsorted(ordered[:n], low)
    high_rank = np.searchsorted(ordered[:n], high)
    for k in range(first, end):
        if (mask[k] & SELECTED) == WANTED:
            value = np.float64(data[k])
            is_kept = low < value < high
            if value == low:
                is_kept = begin <= low_rank < stop
                low_rank += 1
            elif value == high:
                is_kept = high_rank < stop
                high_rank += 1
            if is_kept:
                mask[k] |= USED


@kernel
def reject_from_plane(data, mask, first, width, height, fraction, n_sigma, values, params, normal):
    """Mark the pixels of a frame near the plane through its lowest ones (MOSFLM); False without a plane.

    The plane's level at the middle, c, is raised by a part of sqrt(c) where only a fraction was used; pixels further
    than `n_sigma` sqrt(c) from it are left out.
    """
    end = first + width * height
    for k in range(first, end):
        mask[k] &= NOT_USED
    n = gather(data, mask, first, end, values)
    n_lowest = math.floor(fraction * n + 0.5)
    if n_lowest == 0:
        return False
    values[:n].sort()
    mark_ranks(data, mask, first, end, values, n, 0, n_lowest)
    half_x, half_y = width // 2, height // 2
    if fit_plane(data, mask, first, width, height, 1, 3, -1.0 * half_x, -1.0 * half_y, params, normal) < 0:
        return False
    level = params[0] + raising(fraction) * math.sqrt(abs(params[0]))
    furthest = n_sigma * math.sqrt(abs(level))
    k = first
    for y in range(height):
        for x in range(width):
            if (mask[k] & SELECTED) == WANTED:
                plane = params[1] * (x - half_x) + params[2] * (y - half_y) + level
                if abs(data[k] - plane) > furthest:
                    mask[k] &= NOT_USED
                else:
                    mask[k] |= USED
            k += 1
    return True


@kernel
def raising(fraction):
    """How many sqrt(c) the lowest `fraction` of pixels lie below all of them, in steps."""
    if fraction >= 0.999:
        return 0.0
    if fraction >= 0.9:
        return 0.05
    if fraction >= 0.7:
        return 0.2
    if fraction >= 0.5:
        return 0.4
    return 0.6 if fraction >= 0.3 else 0.8
