"""Kernels for peaks that stand out of their ring about the beam: radial statistics, connected pixels, local background.

Pixels that may not be used have the ring -1. A NaN is never used: every comparison with it is false.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel, sum_kernel

TILE = 16
"""Side of the tiles that are looked at as a whole before their pixels are: of 8, 16 and 32 the fastest; a choice."""
NARROW = 3.0
"""Limit of all but the last pass, in spreads: with five, as in peakfinder8, strong spots of a small ring stay in."""


class PeakRules(NamedTuple):
    """What makes connected pixels a peak.

    Attributes
    ----------
    min_snr : float
        Least signal over the spread of the local background.
    min_pixels, max_pixels : int
        Fewest and most pixels.
    bg_radius : int
        Pixels nearer to the peak than this (along rows and columns) are no background; those up to twice as far are.
    top : float
        Higher values mark pixels that were not read.
    """

    min_snr: float
    min_pixels: int
    max_pixels: int
    bg_radius: int
    top: float


@kernel
def gather_samples(panel, source, target, top, values):
    """Copy sampled pixels of a panel, at flat indices `source`, to their places; those of `top` and more become NaN."""
    flat = panel.reshape(-1)
    for k in range(source.size):
        value = flat[source[k]]
        values[target[k]] = value if value < top else np.nan


@kernel
def clip_rings(values, first, factor, lowest, n_passes):
    """Mean and spread of the values of each ring, again and again without those far from the mean.

    Parameters
    ----------
    values : float32 (n,), ring after ring; first : int64 (rings + 1,), where each begins
    factor : float64, values further from the mean than so many spreads are left out of the last pass; of the others
        those further than NARROW, if that is less
    lowest : float64, values below it are never used; n_passes : int64

    Returns
    -------
    float64 (rings, 3) : how many values were used, their mean, their spread; 0, NaN, NaN for a ring without any
    """
    out = np.empty((first.size - 1, 3))
    for ring in range(first.size - 1):
        part = values[first[ring]:first[ring + 1]]
        n, mean, spread = clip_values(part, min(factor, NARROW), factor, lowest, n_passes)
        # the few photons of a nearly dark ring are outliers by the narrow limit: then there is no spread at all
        if spread == 0:
            n, mean, spread = clip_values(part, factor, factor, lowest, n_passes)
        out[ring, 0], out[ring, 1], out[ring, 2] = n, mean, spread
    return out


@sum_kernel
def sum_between(values, low, high, shift):
    """Number, sum and sum of squares of the values between two limits, less a shift."""
    n, total, square = 0, 0.0, 0.0
    for k in range(values.size):
        value = values[k]
        if value >= low and value <= high:
            n += 1
            total += value - shift
            square += (value - shift) * (value - shift)
    return n, total, square


@kernel
def clip_values(values, narrow, wide, lowest, n_passes):
    """Number, mean and spread of values, far ones left out pass by pass: by `narrow` spreads, in the last by `wide`."""
    low, high, n, mean, spread = lowest, np.inf, 0, np.nan, np.nan
    for number in range(n_passes):
        # about the first value: a pedestal would cost digits
        shift = 0.0
        for value in values:
            if value >= low and value <= high:
                shift = np.float64(value)
                break
        n, total, square = sum_between(values, low, high, shift)
        if n == 0:
            break
        mean = total / n
        spread, mean = np.sqrt(max(square / n - mean * mean, 0.0)), mean + shift
        reach = wide if number >= n_passes - 2 else narrow
        low, high = max(lowest, mean - reach * spread), mean + reach * spread
    return n, mean, spread


@kernel
def span_tiles(rings):
    """Lowest and highest ring of each tile of TILE by TILE pixels: int32 (rows, columns, 2); -1, -1 without any."""
    height, width = rings.shape
    out = np.full(((height + TILE - 1) // TILE, (width + TILE - 1) // TILE, 2), -1, np.int32)
    for i in range(height):
        for j in range(width):
            ring, span = rings[i, j], out[i // TILE, j // TILE]
            if ring >= 0:
                span[0] = ring if span[0] < 0 else min(ring, span[0])
                span[1] = max(ring, span[1])
    return out


@kernel
def tabulate_least(high):
    """The least threshold of 1, 2, 4, 8 ... rings that follow each ring: float64 (powers, rings)."""
    n = high.size
    n_powers = 1
    while (1 << n_powers) <= n:
        n_powers += 1
    out = np.full((n_powers, n), np.inf)
    for ring in range(n):
        # no pixel exceeds a threshold that is no number
        if not np.isnan(high[ring]):
            out[0, ring] = high[ring]
    for power in range(1, n_powers):
        half = 1 << (power - 1)
        for ring in range(n - 2 * half + 1):
            out[power, ring] = min(out[power - 1, ring], out[power - 1, ring + half])
    return out


@kernel
def find_bright_tiles(image, spans, high):
    """Which tiles have a pixel above the least threshold of their rings: all others hold no peak. uint8 (rows, columns)

    Columns of a row of tiles are compared first, many at once; that is several times faster than pixel by pixel.
    """
    height, width = image.shape
    least = tabulate_least(high)
    is_bright = np.zeros(spans.shape[:2], np.uint8)
    top = np.empty(width, image.dtype)
    for row in range(spans.shape[0]):
        top[:] = image[row * TILE]
        for i in range(row * TILE + 1, min((row + 1) * TILE, height)):
            for j in range(width):
                # a value that is no number gives way to any other
                if image[i, j] > top[j] or top[j] != top[j]:
                    top[j] = image[i, j]
        for column in range(spans.shape[1]):
            first, last = spans[row, column]
            if first < 0:
                continue
            power = 0
            while (2 << power) <= last - first + 1:
                power += 1
            level = min(least[power, first], least[power, last + 1 - (1 << power)])
            for j in range(column * TILE, min((column + 1) * TILE, width)):
                if top[j] > level:
                    is_bright[row, column] = 1
    return is_bright


@kernel
def enlarge(values):
    """A copy with room for twice as many rows."""
    larger = np.empty((2 * values.shape[0], values.shape[1]), values.dtype)
    larger[:values.shape[0]] = values
    return larger


@kernel
def grow_peak(image, rings, high, top, seen, start, body, most):
    """Flat indices of the pixels above their rings' thresholds that are connected to a first one, corners included.

    `seen` is set for them. No more than `most` are listed, but all are counted.
    """
    height, width = image.shape
    body[0] = start
    seen[start // width, start % width] = 1
    n, at = 1, 0
    while at < n:
        slow, fast = body[at] // width, body[at] % width
        at += 1
        for i in range(max(0, slow - 1), min(height, slow + 2)):
            for j in range(max(0, fast - 1), min(width, fast + 2)):
                ring = rings[i, j]
                if seen[i, j] == 0 and ring >= 0 and image[i, j] > high[ring] and image[i, j] <= top:
                    seen[i, j] = 1
                    if n < most:
                        body[n] = i * width + j
                        n += 1
    return n


@kernel
def measure_background(image, rings, high, slow, fast, radius):
    """Mean, spread and highest value of the pixels in a square ring about a pixel, those above the threshold left out.

    The ring reaches from `radius` to twice that along rows and columns. Fewer than three pixels give NaN.
    """
    n, total, square, top = 0, 0.0, 0.0, -np.inf
    shift = 0.0
    for i in range(max(0, slow - 2 * radius), min(image.shape[0], slow + 2 * radius + 1)):
        for j in range(max(0, fast - 2 * radius), min(image.shape[1], fast + 2 * radius + 1)):
            if abs(i - slow) < radius and abs(j - fast) < radius:
                continue
            ring, value = rings[i, j], image[i, j]
            if ring >= 0 and value <= high[ring]:
                # about the first value: a large pedestal would cost digits
                shift = value if n == 0 else shift
                part = value - shift
                n += 1
                total += part
                square += part * part
                top = max(top, value)
    if n < 3:
        return np.nan, np.nan, np.nan
    mean = total / n
    return mean + shift, np.sqrt(max(square / n - mean * mean, 0.0)), top


@kernel
def weigh_body(image, body, level):
    """Sum of a peak's pixels above a level, its centre of mass (slow, fast), and its highest pixel's flat index."""
    width = image.shape[1]
    total, slow, fast, best = 0.0, 0.0, 0.0, body[0]
    for k in range(body.size):
        i, j = body[k] // width, body[k] % width
        part = image[i, j] - level
        total += part
        slow += part * i
        fast += part * j
        if image[i, j] > image[best // width, best % width]:
            best = body[k]
    if total > 0:
        slow, fast = slow / total, fast / total
    else:
        slow, fast = float(best // width), float(best % width)
    return total, slow, fast, best


@kernel
def find_level(image, body, rank):
    """The value of the pixel of a peak that stands at `rank` (1 is the highest)."""
    values = np.empty(body.size)
    for k in range(body.size):
        values[k] = image[body[k] // image.shape[1], body[k] % image.shape[1]]
    return np.sort(values)[body.size - rank]


@kernel
def find_ring_peaks(image, rings, spans, offset, high, rules):
    """The peaks of a panel.

    Parameters
    ----------
    image : (slow, fast), of any type; rings : int32 (slow, fast); spans : as `span_tiles` gives them
    offset, high : float64 (rings,), the background of each ring, and the value that a peak's pixels exceed
    rules : PeakRules

    Returns
    -------
    float64 (n, 8) : centre slow, fast; pixels; signal above the local background; its ratio to the local spread; the
    highest pixel's value, and its flat index; the value that as many pixels reach as a peak must have
    """
    height, width = image.shape
    is_bright = find_bright_tiles(image, spans, high)
    seen = np.zeros((height, width), np.uint8)
    out, n, most = np.empty((256, 8)), 0, rules.max_pixels + 1
    body = np.empty(most + 1, np.int64)
    for i in range(height):
        for column in range(spans.shape[1]):
            if not is_bright[i // TILE, column]:
                continue
            for j in range(column * TILE, min((column + 1) * TILE, width)):
                ring = rings[i, j]
                if ring < 0 or not image[i, j] > high[ring] or image[i, j] > rules.top or seen[i, j]:
                    continue
                area = grow_peak(image, rings, high, rules.top, seen, i * width + j, body, most)
                if n == out.shape[0]:
                    out = enlarge(out)
                n += measure_peak(image, rings, offset, high, rules, body[:min(area, most)], out[n])
    return out[:n]


@kernel
def measure_peak(image, rings, offset, high, rules, body, row):
    """Measure the peak of some pixels into a row of the table of `find_ring_peaks`; False where it is none."""
    width, area = image.shape[1], body.size
    if area < rules.min_pixels or area > rules.max_pixels:
        return False
    _, slow, fast, best = weigh_body(image, body, offset[rings[body[0] // width, body[0] % width]])
    mean, spread, top = measure_background(image, rings, high, int(slow + 0.5), int(fast + 0.5), rules.bg_radius)
    peak = image[best // width, best % width]
    # a peak whose surroundings are unknown, or reach as high, is no peak
    if not (peak > top):
        return False
    signal, slow, fast, best = weigh_body(image, body, mean)
    ratio = signal / spread if spread > 0 else np.inf
    if not ratio >= rules.min_snr:
        return False
    row[0], row[1], row[2], row[3], row[4] = slow, fast, area, signal, ratio
    row[5], row[6] = peak, best
    row[7] = find_level(image, body, rules.min_pixels)
    return True
