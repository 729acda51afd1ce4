"""Thresholds by a summed-area table in double precision: for images whose values are not small integers.

The table's rounding decides about pixels in flat regions, so its sums are formed in the order that DIALS forms them;
only the rows in reach of the window are kept.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel
from xdp.spotfinding.threshold._kernels_formula import BIG, is_above_background, is_above_mean, is_overdispersed


@kernel
def _table_row(image, use, row, count, total, square):
    """Append image row `row` to the ring of table rows: count of pixels used, sum of values, sum of squares."""
    ring = count.shape[0]  # rows above the window are overwritten: a table of 16 million pixels takes 400 MB
    here, above = row % ring, (row - 1) % ring
    m, x, y = 0, 0.0, 0.0
    for i in range(image.shape[1]):
        value = image[row, i]
        if use[row, i] and value < BIG:
            m += 1
            x += value
            y += value * value
        if row == 0:
            count[here, i], total[here, i], square[here, i] = m, x, y
        else:
            count[here, i] = count[above, i] + m
            total[here, i] = total[above, i] + x
            square[here, i] = square[above, i] + y


@kernel
def _box(table, top, bottom, left, right):
    """Sum over rows top+1..bottom and columns left+1..right; negative `top`, `left` mean the image's edge."""
    result = 0.0
    # the order of these additions is DIALS': rounding decides in flat regions
    if left >= 0 and top >= 0:
        result += table[top % table.shape[0], left] - (
            table[bottom % table.shape[0], left] + table[top % table.shape[0], right])
    elif left >= 0:
        result -= table[bottom % table.shape[0], left]
    elif top >= 0:
        result -= table[top % table.shape[0], right]
    return result + table[bottom % table.shape[0], right]


@kernel
def mark_dispersed_pixels(image, use, half, rules, with_mean_test, out):
    """Mark in `out` the pixels whose window is over-dispersed and, `with_mean_test`, that stand out of its mean.

    Parameters
    ----------
    image : float64 (slow, fast), counts; use : uint8 (slow, fast), pixels that count
    half : (2,) int64, half widths of the window (slow, fast); rules : `Rules`
    out : uint8 (slow, fast), written
    """
    height, width = image.shape
    ring = 2 * half[0] + 2  # a box needs the table's row above it and its last one, and what lies between
    count, total = np.zeros((ring, width)), np.zeros((ring, width))
    square = np.zeros((ring, width))
    built = 0
    for j in range(height):
        top, bottom = j - half[0] - 1, min(j + half[0], height - 1)
        while built <= bottom:
            _table_row(image, use, built, count, total, square)
            built += 1
        for i in range(width):
            out[j, i] = 0
            value = image[j, i]
            if not use[j, i] or (with_mean_test and not value > rules.threshold):
                continue
            left, right = i - half[1] - 1, min(i + half[1], width - 1)
            m, x = _box(count, top, bottom, left, right), _box(total, top, bottom, left, right)
            if m >= rules.min_count and x >= 0:
                y = _box(square, top, bottom, left, right)
                out[j, i] = is_overdispersed(m, x, y, rules) and (
                    not with_mean_test or is_above_mean(value, m, x, rules))


@kernel
def mark_strong_peaks(image, use, peaks, half, rules, out):
    """Mark in `out` those of `peaks` that stand out of the mean of the pixels in `use` outside `peaks` around them.

    Parameters
    ----------
    image, use, rules, out : as for `mark_dispersed_pixels`
    peaks : uint8 (slow, fast), eroded over-dispersed pixels
    half : (2,) int64, half widths of the wider window
    """
    height, width = image.shape
    ring = 2 * half[0] + 2
    count, total = np.zeros((ring, width)), np.zeros((ring, width))
    square = np.zeros((ring, width))
    background = np.empty_like(use)
    for k in range(use.size):
        background.flat[k] = use.flat[k] and not peaks.flat[k]
    built = 0
    for j in range(height):
        top, bottom = j - half[0] - 1, min(j + half[0], height - 1)
        while built <= bottom:
            _table_row(image, background, built, count, total, square)
            built += 1
        for i in range(width):
            out[j, i] = 0
            value = image[j, i]
            if not peaks[j, i] or not value > rules.threshold:
                continue
            left, right = i - half[1] - 1, min(i + half[1], width - 1)
            m, x = _box(count, top, bottom, left, right), _box(total, top, bottom, left, right)
            if x >= 0:
                out[j, i] = is_above_background(value, m, x, rules)


@kernel
def erode(mask, radius, out):
    """Keep of `mask` the pixels that have no unset pixel within `radius` rows and columns, edges not counting."""
    height, width = mask.shape
    row = np.zeros_like(mask)
    for j in range(height):
        for i in range(width):
            keep = mask[j, i]
            for k in range(max(0, i - radius), min(width, i + radius + 1)):
                keep &= mask[j, k]
            row[j, i] = keep
    for j in range(height):
        for i in range(width):
            keep = row[j, i]
            for k in range(max(0, j - radius), min(height, j + radius + 1)):
                keep &= row[k, i]
            out[j, i] = keep
