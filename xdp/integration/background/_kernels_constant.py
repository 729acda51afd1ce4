"""Numba kernel for backgrounds of one number a frame or a shoebox: robust Poisson means, and medians."""

from __future__ import annotations

import numpy as np

from xdp.integration.background._kernels_pixels import USED, find_largest, is_usable
from xdp.integration.background._kernels_poisson import robust_mean
from xdp.kernels import kernel

LARGEST_COUNT = 4096
"""Whole counts below this are tallied, others sorted. A choice: the tally is 32 KiB, as a core's first cache."""


@kernel
def fit_constant(boxes, per_frame, tuning, min_pixels, failed, mean):
    """Fill the background of boxes with a robust mean of their background pixels, or where `tuning` is 0 the median.

    Used are pixels with bits VALID and BACKGROUND, without OVERLAPPED; they get BACKGROUND_USED. A box has failed
    where a frame (`per_frame`) or the box has fewer than `min_pixels` of them, a negative count, or a mean that does
    not converge; frames before the one that failed keep their values.

    Parameters
    ----------
    boxes : BackgroundPixels
        `background` and `mask` are changed.
    per_frame : bool
        One number for each frame; else one for each box.
    tuning : float
        Huber's constant, in standard deviations; infinite: the plain mean; 0: the median.
    min_pixels : int
        Fewest usable pixels of a frame or box.
    failed, mean : (n,) bool, float64
        Filled: where there is no background, and its average under the used pixels.
    """
    bbox, offsets, data, mask, background = boxes
    largest = find_largest(offsets)
    values, weights = np.empty(largest), np.empty(largest)
    tally = np.zeros(LARGEST_COUNT, np.int64)
    for i in range(len(failed)):
        first, end = offsets[i], offsets[i + 1]
        size = np.int64(bbox[i, 1] - bbox[i, 0]) * np.int64(bbox[i, 3] - bbox[i, 2]) if per_frame else end - first
        is_good = end > first
        total, n_used = 0.0, 0
        while is_good and first < end:
            level, n = estimate(data, mask, first, first + size, values, weights, tally, tuning, min_pixels)
            is_good = level >= 0.0
            if is_good:
                stored = np.float32(level)  # the mean is that of the numbers in the file, not of wider ones
                for k in range(first, first + size):
                    background[k] = stored
                    if is_usable(mask[k]):
                        mask[k] |= USED
                total += n * np.float64(stored)
                n_used += n
            first += size
        failed[i] = not is_good
        mean[i] = total / n_used if n_used > 0 else 0.0


@kernel
def estimate(data, mask, first, end, values, weights, tally, tuning, min_pixels):
    """The robust mean, or median, of the usable pixels from `first` to `end`, or -1; and their number."""
    n = 0
    for k in range(first, end):
        values[n] = data[k]  # without a branch: what is not usable is overwritten by the next
        n += is_usable(mask[k])
    if n < min_pixels or n == 0:
        return -1.0, n
    n_distinct = condense(values, weights, n, tally)
    if not values[0] >= 0.0:
        return -1.0, n
    # The upper one of two middle values, as in DIALS: whole counts have a whole median.
    place, rank = 0, weights[0]
    while rank <= n // 2:
        place += 1
        rank += weights[place]
    median = values[place]
    if tuning == 0.0:
        return median, n
    # The steps go on the logarithm of the mean, which 0 does not have.
    return robust_mean(values, weights, n_distinct, n, median if median != 0.0 else 1.0, tuning), n


@kernel
def condense(values, weights, n, tally):
    """Turn `n` values into distinct ones, ascending, and how often they occur; returns how many there are.

    Small whole numbers, as counts mostly are, are tallied; others are sorted, equal ones left apart.
    """
    top = np.int64(-1)
    for i in range(n):
        count = np.int64(values[i])
        if not 0 <= count < LARGEST_COUNT or count != values[i]:
            tally[:top + 1] = 0  # the next box finds it empty
            values[:n].sort()
            weights[:n] = 1.0
            return n
        tally[count] += 1
        top = max(top, count)
    n_distinct = 0
    for k in range(top + 1):
        if tally[k] > 0:
            values[n_distinct] = k
            weights[n_distinct] = tally[k]
            tally[k] = 0
            n_distinct += 1
    return n_distinct
