"""Numba functions that choose which background pixels are used, within the kernel of least-squares backgrounds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.integration.background._kernels_pixels import NOT_USED, USED, Slab, is_usable
from xdp.integration.background._kernels_plane import fit_plane
from xdp.kernels import kernel

ALL, NSIGMA, TRUNCATED, NORMAL, PLANE, TUKEY = 0, 1, 2, 3, 4, 5
"""The algorithms by number, as `Rejection` has them; `ALL` rejects nothing."""


class Rejection(NamedTuple):
    """An algorithm that leaves pixels out, and its limits.

    Attributes
    ----------
    algorithm : int
        `ALL`, `NSIGMA` ...
    lower, upper : float
        Limits on either side, in the algorithm's own unit; for PLANE the fraction and the number of sigma.
    least : int
        Fewest pixels for NORMAL.
    expected : (n + 1,) float64
        For NORMAL: how many sigma the highest of 0 to n values is expected above their mean.
    """

    algorithm: int
    lower: float
    upper: float
    least: int
    expected: np.ndarray


class RejectionSpace(NamedTuple):
    """Room for the counts of the largest box, and for parameters (4,) and equations (4, 4) of a plane."""

    values: np.ndarray
    params: np.ndarray
    normal: np.ndarray


@kernel
def reject(data, mask, box, rejection, space):
    """Mark the pixels to be used among the usable ones of a box; False if the algorithm has too few of them.

    Parameters
    ----------
    data, mask : (n_pixels,) float32, uint8
        Of all boxes; used pixels get the bit USED.
    box : Slab
        The whole box.
    rejection : Rejection
    space : RejectionSpace
    """
    algorithm, lower, upper, least, expected = rejection
    first, area, values = box.first, box.width * box.height, space.values
    end = first + area * box.depth
    if algorithm == PLANE:
        for start in range(first, end, max(area, 1)):
            if not reject_from_plane(data, mask, Slab(start, box.width, box.height, 1), lower, upper, space):
                return False
        return True
    if algorithm == ALL:
        mark_between(data, mask, first, end, -math.inf, math.inf)
        return True
    n = gather(data, mask, first, end, values)
    if algorithm == NSIGMA:
        if n < 2:  # a standard deviation needs two
            return False
        mean, sigma = compute_spread(values, n)
        mark_between(data, mask, first, end, mean - lower * sigma, mean + upper * sigma)
        return True
    values[:n].sort()
    if algorithm == TRUNCATED:
        mark_ranks(data, mask, first, end, values, n, int(lower * n / 2.0), n - int(upper * n / 2.0))
        return True
    if algorithm == NORMAL:
        if n < least:
            return False
        mark_ranks(data, mask, first, end, values, n, 0, count_normal(values, n, least, expected))
        return True
    if n < 3:  # quartiles need three
        return False
    # Quartiles are the upper medians of the lower and of the upper half, as in DIALS.
    low, high = values[n // 2 // 2], values[n // 2 + (n - n // 2) // 2]
    mark_between(data, mask, first, end, low - lower * (high - low), high + upper * (high - low))
    return True


@kernel
def gather(data, mask, first, end, values):
    """Copy the counts of usable pixels; returns their number."""
    n = 0
    for k in range(first, end):
        values[n] = data[k]  # without a branch: what is not usable is overwritten by the next
        n += is_usable(mask[k])
    return n


@kernel
def compute_spread(values, n):
    """Mean and standard deviation (n - 1) of the first `n` values."""
    total, square = 0.0, 0.0
    for i in range(n):
        total += values[i]
    mean = total / n
    for i in range(n):
        square += (values[i] - mean) ** 2
    return mean, math.sqrt(square / (n - 1))


@kernel
def count_normal(ordered, n, least, expected):
    """How many of the lowest of `n` ordered values look normal: the highest within the sigma expected of so many."""
    while n > least:
        mean, sigma = compute_spread(ordered, n)
        # Equal counts stay: there is no outlier among them.
        if sigma == 0.0 or (ordered[n - 1] - mean) / sigma < expected[n]:
            break
        n -= 1
    return n


@kernel
def mark_between(data, mask, first, end, low, high):
    """Mark usable pixels whose counts lie between limits, both included."""
    for k in range(first, end):
        if is_usable(mask[k]) and low <= data[k] <= high:
            mask[k] |= USED


@kernel
def mark_ranks(data, mask, first, end, ordered, n, begin, stop):
    """Mark usable pixels of rank `begin` to `stop` by counts; among equal counts the first in the box rank first."""
    if stop <= begin:
        return
    low, high = ordered[begin], ordered[stop - 1]
    # Ranks of the first pixel with the lowest, and with the highest count that may be kept; each pixel counts them up.
    low_rank = np.searchsorted(ordered[:n], low)
    high_rank = np.searchsorted(ordered[:n], high)
    for k in range(first, end):
        if is_usable(mask[k]):
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
def reject_from_plane(data, mask, frame, fraction, n_sigma, space):
    """Mark the pixels of a frame near the plane through its lowest ones (MOSFLM); False without a plane.

    The plane's level at the middle, c, is raised by a part of sqrt(c) where only a fraction was used; pixels further
    than `n_sigma` sqrt(c) from it are left out.
    """
    values, params = space.values, space.params
    first, width, height = frame.first, frame.width, frame.height
    end = first + width * height
    for k in range(first, end):
        mask[k] &= NOT_USED
    n = gather(data, mask, first, end, values)
    n_lowest = math.floor(fraction * n + 0.5)
    if n_lowest == 0:
        return False
    values[:n].sort()
    mark_ranks(data, mask, first, end, values, n, 0, n_lowest)
    # Coordinates are counted from the middle pixel, so that the constant is the level there.
    half_x, half_y = width // 2, height // 2
    if fit_plane(data, mask, frame, 3, (-1.0 * half_x, -1.0 * half_y), params, space.normal) < 0:
        return False
    level = params[0] + find_rise(fraction) * math.sqrt(abs(params[0]))
    furthest = n_sigma * math.sqrt(abs(level))
    k = first
    for y in range(height):
        for x in range(width):
            if is_usable(mask[k]):
                plane = params[1] * (x - half_x) + params[2] * (y - half_y) + level
                if abs(data[k] - plane) > furthest:
                    mask[k] &= NOT_USED
                else:
                    mask[k] |= USED
            k += 1
    return True


@kernel
def find_rise(fraction):
    """How many sqrt(c) the lowest `fraction` of pixels lie below all of them, in steps.

    The numbers are MOSFLM's, as DIALS has them.
    """
    if fraction >= 0.999:
        return 0.0
    if fraction >= 0.9:
        return 0.05
    if fraction >= 0.7:
        return 0.2
    if fraction >= 0.5:
        return 0.4
    return 0.6 if fraction >= 0.3 else 0.8
