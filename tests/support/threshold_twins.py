"""Slow twins of the thresholds, window by window, and an image to try them on."""

from __future__ import annotations

import numpy as np

BIG = 2**24


def window(j, i, half, shape):
    return (slice(max(0, j - half[0]), min(shape[0], j + half[0] + 1)),
            slice(max(0, i - half[1]), min(shape[1], i + half[1] + 1)))


def slow_dispersed(image, use, options, with_mean):
    """Over-dispersed pixels, and of them those that exceed their mean, in exact (Python) whole numbers."""
    out = np.zeros(image.shape, bool)
    area = np.prod(2 * np.array(options.kernel_size) + 1)
    least = options.min_local if options.min_local > 0 else area
    g = 1.0 if options.gain is None else options.gain
    for j, i in np.argwhere(use):
        w = window(j, i, options.kernel_size, image.shape)
        values = image[w][use[w] & (image[w] < BIG)].astype(object)
        m, x, y, v = len(values), sum(values), sum(values**2), image[j, i]
        if m < least or x < 0:
            continue
        out[j, i] = m * y - x * x > g * x * (m - 1 + options.sigma_background * np.sqrt(2 * (m - 1)))
        if with_mean:
            out[j, i] &= v > options.global_threshold and m * float(v) - x > options.sigma_strong * np.sqrt(g * x * m)
    return out


def slow_strong(image, use, options, algorithm):
    """The whole threshold, window by window."""
    peaks = slow_dispersed(image, use, options, algorithm == "dispersion")
    if algorithm == "dispersion":
        return peaks
    radius, g = min(options.kernel_size) - 1, 1.0 if options.gain is None else options.gain
    eroded = np.array([[peaks[window(j, i, (radius, radius), image.shape)].all() for i in range(image.shape[1])]
                       for j in range(image.shape[0])])
    background = use & ~eroded & (image < BIG)
    out = np.zeros(image.shape, bool)
    for j, i in np.argwhere(eroded):
        w = window(j, i, np.array(options.kernel_size) + 2, image.shape)
        values = image[w][background[w]].astype(object)
        if sum(values) < 0:
            continue
        mean = sum(values) / len(values) if len(values) > 1 else 0.0
        v = image[j, i]
        out[j, i] = v > options.global_threshold and v >= mean + options.sigma_strong * np.sqrt(g * mean)
    return out


def picture(seed=3, background=2.0, shape=(60, 75), dtype="i4"):
    """Counts with spots, and a mask with a gap, a hole and single pixels out."""
    rng = np.random.default_rng(seed)
    image = rng.poisson(background, shape)
    for y, x, peak in zip(*(rng.integers(1, high, 25) for high in (shape[0] - 1, shape[1] - 1, 900)), strict=True):
        image[y - 1:y + 2, x - 1:x + 2] += rng.poisson(peak * np.outer([1, 3, 1], [1, 3, 1]) / 25)
    use = rng.random(shape) > 0.03
    use[20:24], use[40:50, 10:20] = False, False
    return image.astype(dtype), use
