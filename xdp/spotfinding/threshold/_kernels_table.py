"""Thresholds by a summed-area table in double precision: for images whose values are not small integers.

The table's rounding decides about pixels in flat regions, so its sums are formed in the order that DIALS forms them;
only the rows in reach of the window are kept.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

BIG = 2.0**24
"""Larger counts take part in no sum (as in DIALS); they are tested like any other pixel."""


@kernel
def _table_row(image, use, row, count, total, square):
    """Append image row `row` to the ring of table rows: count of pixels used, sum of values, sum of squares."""
    ring = count.shape[0]
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
    if left >= 0 and top >= 0:
        result += table[top % table.shape[0], left] - (
            table[bottom % table.shape[0], left] + table[top % table.shape[0], right])
    elif left >= 0:
        result -= table[bottom % table.shape[0], left]
    elif top >= 0:
        result -= table[top % table.shape[0], right]
    return result + table[bottom % table.shape[0], right]


@kernel
def is_overdispersed(m, x, y, gain, has_gain, sigma_background):
    """Whether variance over mean exceeds what Poisson counts show: (m y - x²) > g x (m - 1 + σ √(2 (m - 1)))."""
    if has_gain:
        return m * y - x * x > gain * x * (m - 1 + sigma_background * np.sqrt(2 * (m - 1)))
    return m * y - x * x - x * (m - 1) > x * sigma_background * np.sqrt(2 * (m - 1))


@kernel
def is_above_mean(value, m, x, gain, has_gain, sigma_strong):
    """Whether a value exceeds its window's mean by `sigma_strong` deviations: m v - x > σ √(g x m)."""
    if has_gain:
        return m * value - x > sigma_strong * np.sqrt(gain * x * m)
    return m * value - x > sigma_strong * np.sqrt(x * m)


@kernel
def is_above_background(value, m, x, gain, has_gain, sigma_strong):
    """Whether a value reaches the mean of the background pixels around it plus `sigma_strong` deviations."""
    mean = x / m if m >= 2 else 0.0
    if has_gain:
        return value >= mean + sigma_strong * np.sqrt(gain * mean)
    return value >= mean + sigma_strong * np.sqrt(mean)


@kernel
def mark_dispersed_pixels(image, use, gain, half, sigmas, threshold, min_count, with_mean_test, out):
    """Mark in `out` the pixels whose window is over-dispersed and, `with_mean_test`, that stand out of its mean.

    Parameters
    ----------
    image : float64 (slow, fast); use : uint8, pixels that count
    gain : float64 (slow, fast), or (0, 0) for none
    half : (2,) int64, half widths of the window (slow, fast); sigmas : (2,) float64, background and strong
    out : uint8 (slow, fast), written
    """
    height, width = image.shape
    ring, has_gain = 2 * half[0] + 2, gain.size > 0
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
            if not use[j, i] or (with_mean_test and not value > threshold):
                continue
            left, right = i - half[1] - 1, min(i + half[1], width - 1)
            m, x = _box(count, top, bottom, left, right), _box(total, top, bottom, left, right)
            if m >= min_count and x >= 0:
                g = gain[j, i] if has_gain else 1.0
                y = _box(square, top, bottom, left, right)
                out[j, i] = is_overdispersed(m, x, y, g, has_gain, sigmas[0]) and (
                    not with_mean_test or is_above_mean(value, m, x, g, has_gain, sigmas[1]))


@kernel
def mark_strong_peaks(image, use, peaks, gain, half, sigma_strong, threshold, out):
    """Mark in `out` those of `peaks` that stand out of the mean of the pixels in `use` outside `peaks` around them."""
    height, width = image.shape
    ring, has_gain = 2 * half[0] + 2, gain.size > 0
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
            if not peaks[j, i] or not value > threshold:
                continue
            left, right = i - half[1] - 1, min(i + half[1], width - 1)
            m, x = _box(count, top, bottom, left, right), _box(total, top, bottom, left, right)
            if x >= 0:
                g = gain[j, i] if has_gain else 1.0
                out[j, i] = is_above_background(value, m, x, g, has_gain, sigma_strong)


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
