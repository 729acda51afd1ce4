"""Darks: what pixels count without light, and which of them are not to be trusted."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


class PixelFault(enum.IntFlag):
    """What is wrong with a pixel, as bits of a map.

    Attributes
    ----------
    COLD
        Its dark does not vary, varies far less than that of its neighbours, or lies far below theirs.
    HOT
        Its dark lies far above that of its neighbours.
    NOISY
        Its dark varies far more than that of its neighbours.
    """

    COLD = 1
    HOT = 2
    NOISY = 4


@dataclass(frozen=True)
class Dark:
    """A dark.

    Attributes
    ----------
    mean : list of (slow, fast) float64
        Counts without light, one array a panel.
    stddev : list of (slow, fast) float64, or None
        Their standard deviation.
    """

    mean: list[np.ndarray]
    stddev: list[np.ndarray] | None = None


# How many deviations "far" is: of normally distributed values, 10^-14 lie further away, so that good pixels of a
# detector stay; deviations that are 10 % wrong still lie within. A choice.
_FAR = 8.0
# Neighbours are those of a square of this side, pixels.
_SIDE = 7


def find_faulty_pixels(dark: Dark, far: float = _FAR) -> list[np.ndarray]:
    """Find the pixels that are cold, hot or noisy.

    A pixel is compared with the median of the 7 x 7 pixels around it; the spread of such differences is taken from
    their own median, so that faulty pixels do not widen it.

    Parameters
    ----------
    dark : Dark
        Without deviations only the means are compared.
    far : float, default 8
        How many times the spread a pixel may differ.

    Returns
    -------
    list of (slow, fast) uint8
        Bits of :class:`PixelFault`, one array a panel.
    """
    result = []
    for i, mean in enumerate(dark.mean):
        difference, limit = _compare(np.asarray(mean, np.float64), far)
        faults = np.zeros(mean.shape, np.uint8)
        faults[difference > limit] |= np.uint8(PixelFault.HOT)
        faults[difference < -limit] |= np.uint8(PixelFault.COLD)
        faults[~np.isfinite(mean)] |= np.uint8(PixelFault.COLD)
        if dark.stddev is not None:
            sigma = np.asarray(dark.stddev[i], np.float64)
            difference, limit = _compare(sigma, far)
            faults[difference > limit] |= np.uint8(PixelFault.NOISY)
            faults[(difference < -limit) | ~(sigma > 0.0)] |= np.uint8(PixelFault.COLD)
        result.append(faults)
    return result


def _compare(values: np.ndarray, far: float) -> tuple[np.ndarray, float]:
    """How far pixels are from their neighbours, and how far they may be."""
    from scipy.ndimage import median_filter

    finite = np.isfinite(values)
    filled = np.where(finite, values, np.median(values[finite]) if finite.any() else 0.0)
    difference = filled - median_filter(filled, size=_SIDE, mode="nearest")
    # 1.4826 median deviations are a standard deviation of normally distributed values.
    spread = 1.4826 * float(np.median(np.abs(difference)))
    # More than half of the pixels equal their neighbours: rounding must not flag the others.
    return difference, far * max(spread, 1e-9 * float(np.abs(filled).max(initial=0.0)))


def find_active_pixels(dark: Dark) -> list[np.ndarray] | None:
    """Find the pixels whose dark varies.

    Parameters
    ----------
    dark : Dark
        With deviations, or without.

    Returns
    -------
    list of (slow, fast) bool, or None
        None where the deviations are not known.
    """
    return None if dark.stddev is None else [np.asarray(sigma) > 0.0 for sigma in dark.stddev]


def have_shapes(panels: Sequence[np.ndarray], shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether maps have the shapes of panels."""
    return [tuple(panel.shape) for panel in panels] == [tuple(shape) for shape in shapes]
