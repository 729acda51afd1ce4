"""Kernels of the trimmed background: the values of a pixel over all frames without the largest ones.

They go through the frames with some pixels side by side, as the values lie in memory, and count how often each value
less the pixel's smallest occurs. Where the range is too long for that, the pixel's values are sorted.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel
from xdp.laue._kernels_background import MAX_RANGE, compute_moments_and_iqr, encode

BLOCK = 64
"""Pixels side by side whose values are counted: a choice; the counts of so many fit a core's second-level cache."""
WIDE_BLOCK = 512
"""Pixels side by side whose extremes are sought: these need no counts, and long stretches of memory read faster."""
OUTLYING = 3.5
"""Standard deviations of the background beyond which a value is a spot: chance is there once in 4000 values."""


class Truncation(NamedTuple):
    """What is removed, and what that does.

    Attributes
    ----------
    n_removed : int
        Largest values of each pixel that are left out.
    tables : (4, n_removed + 1) float64
        See `_undo_truncation`.
    pedestal : float
        The detector's reading without light, counts.
    """

    n_removed: int
    tables: np.ndarray
    pedestal: float


class TrimmedMaps(NamedTuple):
    """What `compute_trimmed_statistics` writes: arrays (pixel,), in the order in which `background.py` names them.

    Attributes
    ----------
    avg, std, iqr : float64
        Mean, standard deviation (ddof 0) and interquartile range of the values left.
    top, arg : values' own type, int32
        Largest value of all frames, and the first frame that has it.
    avg_corrected, std_corrected : float64
        The background's mean and spread before the largest values were cut off.
    """

    avg: np.ndarray
    std: np.ndarray
    iqr: np.ndarray
    top: np.ndarray
    arg: np.ndarray
    avg_corrected: np.ndarray
    std_corrected: np.ndarray


@kernel
def _undo_truncation(row, histogram, counted, low, high, mean, std, truncation):
    """Mean and standard deviation of the background that was cut from above: see :mod:`xdp.laue.truncation`.

    `tables` (4, n_removed + 1) holds, for s spot frames among those removed, what truncation does to a Gaussian's
    mean and variance, and how the distribution's skewness changes both. The number s is found by counting what lies
    beyond `OUTLYING` sigma of the corrected background, which in turn depends on s: in `histogram` where that has all
    values (`counted`), else in `row`.
    """
    tables, pedestal = truncation.tables, truncation.pedestal
    mu, sigma, spots, before = mean, std, 0, 0.0
    # s settles within a few steps; it changes little after the first
    for step in range(4):
        skew = 0.0
        if mu > pedestal:
            skew = min(1.0, sigma / (mu - pedestal))
        # first order in the skewness: of counts below one the correction would pass through zero
        variance = max(tables[1, spots] - tables[3, spots] * skew, 0.05)
        sigma = std / math.sqrt(variance)
        mu = mean + sigma * (tables[0, spots] + tables[2, spots] * skew)
        bound = min(math.floor(mu + OUTLYING * sigma + 1.0), np.float64(high))
        if step > 0 and bound == before:
            continue  # the same count again
        before = bound
        count = np.int64(0)
        if counted:
            count = np.int64(row.size)
            for code in range(np.int64(bound) - np.int64(low) + 1):
                count -= histogram[code]
        else:
            for v in row:
                count += v > bound
        spots = min(count, tables.shape[1] - 1)
    return mu, sigma


@kernel
def _find_block_extremes(values, first, low, high, frame_of_high):
    """Smallest and largest value of each of some pixels from `first` on, and the first frame with the largest one."""
    count = low.size
    for j in range(count):
        low[j] = high[j] = values[0, first + j]
    for frame in range(1, values.shape[0]):
        row = values[frame, first:first + count]
        for j in range(count):
            low[j] = min(low[j], row[j])
            high[j] = max(high[j], row[j])
    # backwards, so that the first of equal frames is written last
    for frame in range(values.shape[0] - 1, -1, -1):
        row = values[frame, first:first + count]
        for j in range(count):
            frame_of_high[j] = frame if row[j] == high[j] else frame_of_high[j]


@kernel
def _count_block(values, first, low, histograms):
    """Count each value less the smallest, of some pixels from `first` on; bins beyond the last share it."""
    for frame in range(values.shape[0]):
        row = values[frame, first:first + low.size]
        for j in range(low.size):
            # unsigned, so that a difference too large for its type counts as large too
            code = min(np.uint64(np.int64(row[j]) - np.int64(low[j])), np.uint64(MAX_RANGE - 1))
            histograms[j, code] += 1


@kernel
def _count_levels(values, p, row, codes, levels, histogram):
    """Count the distinct values of a pixel, copied to `row`; give their number."""
    # one pixel of each frame, far apart in memory: only for the few whose counts spread too far
    for frame in range(row.size):
        row[frame] = values[frame, p]
    n_codes = encode(row, row[0], False, codes, levels)
    for code in codes:
        histogram[code] += 1
    return n_codes


@kernel
def compute_trimmed_statistics(values, row, integer, truncation, maps):
    """Statistics of each pixel without its largest values; maximum and its frame over all.

    Parameters
    ----------
    values : (frame, pixel) of the detector's type
    row : (frame,) scratch, int32, int64 or float64
    integer : whether values are whole numbers
    truncation : Truncation
    maps : TrimmedMaps, written
    """
    avg, std, iqr, top, arg, avg_corrected, std_corrected = maps
    n_removed = truncation.n_removed
    n_frames, n_pixels = values.shape
    keep = np.int64(n_frames - n_removed)
    # rows a cache line longer than a power of two, so that equal codes of neighbours do not share a place in the cache
    histograms = np.zeros((BLOCK, MAX_RANGE + 16), np.int32)
    histogram = np.zeros(n_frames, np.int32)
    codes = np.empty(n_frames, np.int32)
    levels = np.empty(n_frames, np.float64)
    lows = np.empty(WIDE_BLOCK, values.dtype)
    q = np.empty(4)
    for first in range(0, n_pixels, BLOCK):
        # extremes of a wide block once, then counts block by block
        if first % WIDE_BLOCK == 0:
            end = min(first + WIDE_BLOCK, n_pixels)
            _find_block_extremes(values, first, lows[:end - first], top[first:end], arg[first:end])
        block_lows = lows[first % WIDE_BLOCK:][:min(BLOCK, n_pixels - first)]
        if integer:
            _count_block(values, first, block_lows, histograms)
        for j in range(block_lows.size):
            p = first + j
            low, high = block_lows[j], top[p]
            span = np.int64(high) - np.int64(low) if integer else np.int64(-1)
            counts, is_short = histograms[j], 0 <= span < MAX_RANGE
            # values that share the last bin do no harm as long as all of them are removed
            direct = is_short or (MAX_RANGE <= span < 2**40 and counts[MAX_RANGE - 1] <= n_removed)
            n_codes = min(span + 1, MAX_RANGE) if span >= 0 else MAX_RANGE
            if direct and not is_short:
                for frame in range(n_frames):
                    row[frame] = values[frame, p]
            elif not direct:
                counts[:n_codes] = 0
                counts = histogram
                n_codes = _count_levels(values, p, row, codes, levels, counts)
            avg[p], std[p], iqr[p] = compute_moments_and_iqr(counts, keep, low, direct, levels, q)
            avg_corrected[p], std_corrected[p] = _undo_truncation(
                row, counts, is_short, low, high, avg[p], std[p], truncation)
            counts[:n_codes] = 0
