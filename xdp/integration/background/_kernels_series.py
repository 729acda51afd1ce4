"""Numba kernels for the background of a series of images: statistics of each pixel, and filters of the polar image."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel


@kernel
def cover_outlines(rows, bbox, offsets, pixels, covered):
    """Set `covered` (slow, fast) where the outlines of reflections lie.

    Parameters
    ----------
    rows : (m,) int64
        Reflections.
    bbox : (n, 6) int32
        Boxes of all.
    offsets, pixels : (m,) int64, (n_pixels,) uint8
        The outline of ``rows[j]`` begins at ``offsets[j]`` of `pixels`: 1 where a pixel of its box is foreground.
    covered : (slow, fast) bool
        Changed.
    """
    for j in range(len(rows)):
        x0, x1, y0, y1 = bbox[rows[j], 0], bbox[rows[j], 1], bbox[rows[j], 2], bbox[rows[j], 3]
        k = offsets[j]
        for y in range(y0, y1):
            for x in range(x0, x1):
                if pixels[k] and 0 <= y < covered.shape[0] and 0 <= x < covered.shape[1]:
                    covered[y, x] = True
                k += 1


@kernel
def add_frame(image, valid, low, high, covered, sums):
    """Add a frame's valid, uncovered pixels to `sums` (5, slow, fast): number, sum, sum of squares, min, max."""
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            value = np.float64(image[y, x])
            if covered[y, x] or not low <= value <= high or (len(valid) > 0 and not valid[y, x]):
                continue
            # The first value is both the lowest and the highest.
            if sums[0, y, x] == 0.0 or value < sums[3, y, x]:
                sums[3, y, x] = value
            if sums[0, y, x] == 0.0 or value > sums[4, y, x]:
                sums[4, y, x] = value
            sums[0, y, x] += 1.0
            sums[1, y, x] += value
            sums[2, y, x] += value * value


@kernel
def filter_azimuth(values, half, is_median, out):
    """Median or mean of each value and `half` neighbours on both sides along the first axis, which is a circle.

    NaN is a hole: it is left out, and filled where it has neighbours. The median is the upper one of two. The window
    is kept in order: a value enters and one leaves at each step.
    """
    n = values.shape[0]
    half = min(half, (n - 1) // 2)
    window = np.empty(2 * half + 2)
    for column in range(values.shape[1]):
        # The window of row 0 but for its last point; before the first row lie the last ones.
        size, total = 0, 0.0
        for k in range(-half, half):
            value = values[k % n, column]
            if not np.isnan(value):
                insert(window, size, value)
                size += 1
                total += value
        for row in range(n):
            value = values[(row + half) % n, column]
            if not np.isnan(value):
                insert(window, size, value)
                size += 1
                total += value
            if size == 0:
                out[row, column] = np.nan
            else:
                out[row, column] = window[size // 2] if is_median else total / size
            value = values[(row - half) % n, column]
            if not np.isnan(value):
                at = np.searchsorted(window[:size], value)
                for k in range(at, size - 1):
                    window[k] = window[k + 1]
                size -= 1
                total -= value


@kernel
def insert(window, size, value):
    """Put `value` into the first `size` ordered values."""
    k = size
    while k > 0 and window[k - 1] > value:
        window[k] = window[k - 1]
        k -= 1
    window[k] = value


@kernel
def diffuse(values, holes, n_rounds):
    """Set each hole to the mean of its neighbours, `n_rounds` times; the first axis is a circle."""
    n, width = values.shape
    for _ in range(n_rounds):
        for row in range(n):
            for column in range(width):
                if holes[row, column]:
                    total = values[row - 1 if row > 0 else n - 1, column] + values[row + 1 if row < n - 1 else 0,
                                                                                    column]
                    count = 2
                    if column > 0:
                        total += values[row, column - 1]
                        count += 1
                    if column < width - 1:
                        total += values[row, column + 1]
                        count += 1
                    values[row, column] = total / count  # in place: the next hole sees it (Gauss-Seidel)
