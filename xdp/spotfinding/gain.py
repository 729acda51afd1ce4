"""The detector's gain from an image: the index of dispersion (variance over mean) of its background.

Counts of photons are Poisson-distributed: variance equals mean. A detector that reports `g` counts a photon shows a
variance of `g` times the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xdp.errors import XdpError

LARGEST_COUNT = 2.0**24
"""Pixels with as many counts are not looked at, as in the thresholds: overloads and markers of bad pixels lie there."""


class GainEstimate(NamedTuple):
    """Gain of one image, and the quartiles of the index of dispersion it comes from."""

    gain: float
    q1: float
    q2: float
    q3: float


def sum_windows(values: np.ndarray, half: tuple[int, int]) -> np.ndarray:
    """Sums over windows of (2 half + 1) pixels along slow and fast around each pixel, cut off at the edges.

    Parameters
    ----------
    values : (slow, fast)
    half : (int, int)
        Half widths along slow and fast.
    """
    # a summed-area table: four look-ups a window, whatever its size
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1, out=table[1:, 1:])
    y0, y1 = (np.clip(np.arange(values.shape[0]) + d, 0, values.shape[0]) for d in (-half[0], half[0] + 1))
    x0, x1 = (np.clip(np.arange(values.shape[1]) + d, 0, values.shape[1]) for d in (-half[1], half[1] + 1))
    rows = table[y1] - table[y0]
    return rows[:, x1] - rows[:, x0]


def compute_index_of_dispersion(image: np.ndarray, valid: np.ndarray, half: tuple[int, int] = (10, 10)) -> np.ndarray:
    """Sample variance over mean in a window around each pixel.

    Parameters
    ----------
    image : (slow, fast)
        Counts.
    valid : (slow, fast) bool
    half : (int, int)
        Half widths of the window along slow and fast, pixels.

    Returns
    -------
    (slow, fast) float64
        1 where not all pixels of the window are valid, or their mean is not positive.
    """
    counts = np.where(valid, image, 0).astype(np.float64)
    n = sum_windows(valid, half)
    total, square = sum_windows(counts, half), sum_windows(counts * counts, half)
    is_full = valid & (image < LARGEST_COUNT) & (n == (2 * half[0] + 1) * (2 * half[1] + 1)) & (total > 0)
    result = np.ones(image.shape)
    n, total, square = n[is_full], total[is_full], square[is_full]
    result[is_full] = (square - total * total / n) / (n - 1) / (total / n)
    return result


def estimate_gain(images: Sequence[np.ndarray], valid: Sequence[np.ndarray],
                  kernel_size: tuple[int, int] = (10, 10)) -> GainEstimate:
    """The gain that one frame shows: median index of dispersion, without outliers beyond 1.5 interquartile ranges.

    Parameters
    ----------
    images, valid : sequences of (slow, fast) arrays
        Raw counts and usable pixels of each panel.
    kernel_size : (int, int)
        Half widths of the window, pixels.

    Raises
    ------
    XdpError
        If more than half of the pixels show the same index, as where most of the image is masked.
    """
    indices = np.sort(np.concatenate([compute_index_of_dispersion(image, mask, kernel_size).reshape(-1)
                                      for image, mask in zip(images, valid, strict=True)]))
    q1, q2, q3 = (_at(indices, fraction) for fraction in (0.25, 0.5, 0.75))
    spread = 1.5 * (q3 - q1)
    if spread == 0:
        raise XdpError("the variation of pixel values cannot be estimated: most pixels show the same (is most of the "
                       "image masked or empty?)")
    # windows with spots show indices far above the gain, windows of one flat value far below
    inliers = indices[(indices > q1 - spread) & (indices < q3 + spread)]
    return GainEstimate(_at(inliers, 0.5), q1, q2, q3)


def _at(ordered: np.ndarray, fraction: float) -> float:
    """The value at a fraction of an ordered list."""
    return float(ordered[min(int(np.floor(len(ordered) * fraction + 0.5)), len(ordered) - 1)])
