"""Numba kernels for the mean of sparse counts along the azimuth, where a median would be 0 or a whole number.

The median of Poisson counts of mean L is some L - 1/3, and 0 below L = ln 2. Pixels of n images and a background of r
counts an image have L = n r. Where that is small the rate is the mean of the counts that a background of this rate
makes likely: spots and hot pixels are left out by the exact Poisson probability.
"""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel

UNLIKELY = 1e-4
"""Counts that a background exceeds with a lower probability are no background. A choice: one window of 101 pixels in a
hundred loses a good pixel. That the rare high counts are missing would make the mean too low by up to 1.4 % (at 0.014
counts); it is allowed for."""
SPARSE, DENSE = 10.0, 30.0
"""Counts of a pixel in all images below which the mean of likely counts is used alone, and above which the median. In
between the two are mixed. At 30 the median is too low by 1 %, less than half of its scatter in a window of 101."""
MOST_ROUNDS = 20
"""Rounds of leaving out and averaging. It ends when nothing changes, mostly after three."""


@kernel
def find_highest_likely(mean):
    """The lowest count k, at least 1, that is exceeded with a probability below `UNLIKELY`; and E(Y | Y <= k) / mean.

    The expectation of a Poisson count that is not above k is ``mean P(Y <= k - 1) / P(Y <= k)``.
    """
    p = math.exp(-mean)
    below = p
    k = 0
    while 1.0 - below >= UNLIKELY and k < 1000:
        k += 1
        p *= mean / k
        below += p
    if k == 0:
        k, p = 1, p * mean
        below += p
    return k, (below - p) / below


@kernel
def estimate_rate(totals, numbers, n):
    """Counts an image, from the `totals` of `n` pixels over `numbers` images each; -1 where totals are below 0.

    It starts with the rate that explains how many pixels have no count, or with the median where most have some. In
    rounds, pixels are left out whose total a Poisson distribution of the present rate makes unlikely, and the rate is
    that of the others: the sum of their counts over the sum of their images, these times the part of the mean that
    counts up to the limit have.
    """
    n_zero, images = 0, 0.0
    for i in range(n):
        if totals[i] < 0.0:
            return -1.0
        n_zero += totals[i] == 0.0
        images += numbers[i]
    if 2 * n_zero > n:
        rate = -math.log(n_zero / n) * n / images
    else:
        rate = (np.median(totals[:n]) + 1.0 / 3.0) * n / images
    n_used = -1
    for _ in range(MOST_ROUNDS):
        count, exposure, used = 0.0, 0.0, 0
        last, highest, part = -1.0, 0, 1.0
        for i in range(n):
            if numbers[i] != last:  # nearly all pixels are on the same number of images
                last = numbers[i]
                highest, part = find_highest_likely(rate * last)
            if totals[i] <= highest:
                count += totals[i]
                exposure += numbers[i] * part
                used += 1
        if used == 0:
            return -1.0
        rate = count / exposure
        if used == n_used:
            break
        n_used = used
    return rate


@kernel
def mix_sparse(totals, numbers, half, medians):
    """Replace medians along the azimuth by the rates of sparse windows; where counts are many they stay as they are.

    Parameters
    ----------
    totals, numbers : (n_azimuth, n_radius) float64
        Counts of each grid point in all images, and how many these are; NaN: a hole.
    half : int
        Points of a window on either side, as for the medians.
    medians : (n_azimuth, n_radius) float64
        Counts an image. Changed.
    """
    n = totals.shape[0]
    half = min(half, (n - 1) // 2)
    counts, images = np.empty(2 * half + 1), np.empty(2 * half + 1)
    for column in range(totals.shape[1]):
        for row in range(n):
            size, total_images = 0, 0.0
            for k in range(row - half, row + half + 1):
                value = totals[k % n, column]
                if not np.isnan(value):
                    counts[size], images[size] = value, numbers[k % n, column]
                    total_images += images[size]
                    size += 1
            # Far above the limit nothing has to be estimated to know on which side it is.
            if size == 0 or medians[row, column] * total_images / size > 2.0 * DENSE:
                continue
            rate = estimate_rate(counts, images, size)
            if rate < 0.0:
                continue
            level = rate * total_images / size
            if level < DENSE:
                share = min(max((level - SPARSE) / (DENSE - SPARSE), 0.0), 1.0)
                medians[row, column] = (1.0 - share) * rate + share * medians[row, column]
