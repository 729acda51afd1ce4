"""Rings about the beam in which scores are high throughout: ice, as Spotfinder finds it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from xdp.serial.hits._kernels_distl import Levels, count_ring_scores

RING_WIDTH = 4
"""Width of the rings that are tested for ice, pixels."""
ICE_RANGE = (1.0, 8.0)
"""Ice is sought between these resolutions, Å."""
ICE_PERCENTILES, ICE_SCORES = (0.45, 0.80), (0.0, 1.5)
"""A ring is ice if these shares of its pixels do not score below these."""


class FlatGeometry(NamedTuple):
    """What the recipe needs to know of the experiment: a flat detector across the beam.

    Attributes
    ----------
    pixel_size : float
        mm.
    distance : float
        Of the detector, mm.
    wavelength : float
        Å.
    beam : (float, float)
        Where the beam meets the image, (slow, fast), mm from its corner.
    saturation : float
        Pixels of this value and more are overloaded.
    """

    pixel_size: float
    distance: float
    wavelength: float
    beam: tuple[float, float]
    saturation: float = 65535.0

    @property
    def beam_pixel(self) -> tuple[int, int]:
        """The pixel nearest to the beam, (slow, fast): Spotfinder measures radii from there."""
        slow, fast = (math.copysign(math.floor(abs(b / self.pixel_size) + 0.5), b) for b in self.beam)
        return int(slow), int(fast)

    def resolution(self, square_radius: np.ndarray | float) -> np.ndarray:
        """The spacing d (Å) at a squared distance from the beam in pixels²."""
        secant = np.sqrt(1.0 + (self.pixel_size / self.distance) ** 2 * np.asarray(square_radius, float))
        with np.errstate(divide="ignore"):
            return self.wavelength / np.sqrt(2.0 - 2.0 / secant)

    def square_radius(self, resolution: float) -> float:
        """The squared distance from the beam (pixels²) where the spacing d is so large (Å)."""
        secant = 2.0 / (2.0 - (self.wavelength / resolution) ** 2)
        return (secant * secant - 1.0) / (self.pixel_size / self.distance) ** 2


@lru_cache(maxsize=4)
def number_rings(shape: tuple[int, int], beam: tuple[int, int]) -> np.ndarray:
    """Number the rings about the beam.

    Parameters
    ----------
    shape : (int, int)
        Of the image, (slow, fast).
    beam : (int, int)
        The pixel nearest to the beam.

    Returns
    -------
    (slow, fast) int32
        Twice the number of each pixel's ring, and 1 more on the ring's inner edge.
    """
    slow, fast = np.arange(shape[0])[:, None] - beam[0], np.arange(shape[1])[None, :] - beam[1]
    square = (slow * slow + fast * fast).astype(np.float64)
    number = (np.sqrt(square) / RING_WIDTH).astype(np.int32)
    return 2 * number + ((number * RING_WIDTH) ** 2 == square)


@lru_cache(maxsize=4)
def _count_ring_pixels(shape: tuple[int, int], beam: tuple[int, int], margin: int, n_rings: int) -> np.ndarray:
    """Pixels of each ring in an image without its margin."""
    number = number_rings(shape, beam)[margin:shape[0] - margin, margin:shape[1] - margin] >> 1
    return np.bincount(number.reshape(-1), minlength=n_rings)[:n_rings]


def find_icy_rings(scores: np.ndarray, rings: np.ndarray, geometry: FlatGeometry, levels: Levels,
                    area: np.ndarray) -> np.ndarray:
    """Find the rings that are ice: those in which most scores are high.

    Parameters
    ----------
    scores : (slow, fast) float32
        0 outside `area`.
    rings : (slow, fast) int32
        As :func:`number_rings` gives them.
    geometry : FlatGeometry
    levels : Levels
    area : (4,) int64
        slow0, fast0, slow1, fast1, ends excluded.

    Returns
    -------
    (n,) bool
        Which values of `rings` are ice.
    """
    beam = np.array(geometry.beam_pixel)
    corner = float((np.maximum(np.abs(beam - levels.first), np.abs(levels.last - beam)) ** 2).sum())
    finest = max(geometry.wavelength / 2.0, ICE_RANGE[0])
    n_rings = int(math.sqrt(min(corner, max(geometry.square_radius(finest), 0.0))) / RING_WIDTH + 1)
    begin = int(math.sqrt(max(geometry.square_radius(ICE_RANGE[1]), 0.0)) / RING_WIDTH)
    is_ice = np.zeros(n_rings, bool)
    n = _count_ring_pixels(scores.shape, geometry.beam_pixel, int(levels.first[0]), n_rings)
    marks = [(n * share).astype(np.int64) for share in ICE_PERCENTILES]
    # a sorted list's element is not below the cut if no more elements than its index are
    high = np.zeros(n_rings, np.int64)
    count_ring_scores(scores, rings, high, area, ICE_SCORES[1], False)
    is_ice[:] = (marks[0] > 0) & (marks[1] > 0) & (n - high <= marks[1])
    is_ice[:begin] = False
    is_ice[n_rings - 1:] = False
    if is_ice.any():
        # hardly an image comes so far: the second count is twice as slow
        low = np.zeros(n_rings, np.int64)
        count_ring_scores(scores, rings, low, area, ICE_SCORES[0], True)
        is_ice &= low <= marks[0]
    # a pixel exactly between two rings belongs to both
    out = np.repeat(is_ice, 2)
    out[3::2] |= is_ice[:-1]
    return np.append(out, [False, n_rings > 0 and bool(is_ice[-1])])
