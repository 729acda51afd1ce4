"""Peaks that stand out of their rings: what peakfinder8 and the measure of own misses have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xdp.serial.hits._kernels_radial import PeakRules, clip_rings, find_ring_peaks
from xdp.serial.hits.rings import RingMap

N_PASSES = 5
"""Passes of the radial statistics, as in peakfinder8: after five the limits hardly change."""


class RingStatistics(NamedTuple):
    """Background of each ring of a shot.

    Attributes
    ----------
    n : (rings,) float64
        Pixels looked at.
    mean, spread : (rings,) float64
        Of their values, peaks left out; NaN for a ring without pixels.
    """

    n: np.ndarray
    mean: np.ndarray
    spread: np.ndarray


class RingPeaks(NamedTuple):
    """Peaks of a shot.

    Attributes
    ----------
    panel : (n,) int64
    slow, fast : (n,) float64
        Centre of mass, pixels; the middle of the first pixel is at (0, 0).
    area : (n,) int64
        Pixels.
    signal : (n,) float64
        Sum above the local background.
    snr : (n,) float64
        Signal over the spread of the local background.
    height : (n,) float64
        Highest pixel's value.
    pixel : (n,) int64
        Its flat index in the panel.
    level : (n,) float64
        A threshold up to this leaves the peak enough pixels.
    ring : (n,) int64
        Of the highest pixel.
    """

    panel: np.ndarray
    slow: np.ndarray
    fast: np.ndarray
    area: np.ndarray
    signal: np.ndarray
    snr: np.ndarray
    height: np.ndarray
    pixel: np.ndarray
    level: np.ndarray
    ring: np.ndarray

    def take(self, mask: np.ndarray) -> RingPeaks:
        """Some of the peaks."""
        return RingPeaks(*(column[mask] for column in self))


def measure_rings(panels: Sequence[np.ndarray], ring_map: RingMap, *, factor: float,
                  lowest: float = -np.inf) -> RingStatistics:
    """Mean and spread of the background of each ring.

    Parameters
    ----------
    panels : sequence of (slow, fast) array
    ring_map : RingMap
    factor : float
        Pixels further from the mean than so many spreads are left out.
    lowest : float
        Pixels below this are never used.

    Returns
    -------
    RingStatistics
    """
    # the highest value of an unsigned type marks pixels that were not read
    values = ring_map.sample_values(panels, top_value(panels[0].dtype) + 1)
    return RingStatistics(*clip_rings(values, ring_map.first, float(factor), float(lowest), N_PASSES).T.copy())


def top_value(dtype: np.dtype) -> float:
    """The highest value that is a count: unsigned types keep their highest for pixels that were not read."""
    return float(np.iinfo(dtype).max - 1) if dtype.kind == "u" else np.inf


def find_peaks(panels: Sequence[np.ndarray], ring_map: RingMap, offset: np.ndarray, threshold: np.ndarray,
               rules: PeakRules) -> RingPeaks:
    """Find connected pixels above their rings' thresholds, and measure them against the background about them.

    Parameters
    ----------
    panels : sequence of (slow, fast) array
    ring_map : RingMap
    offset, threshold : (rings,) float64
        Background of each ring, and the value that pixels of peaks exceed; a NaN lets no pixel pass.
    rules : PeakRules
        ``top`` is set by the type of the panels.

    Returns
    -------
    RingPeaks
    """
    parts = []
    for number, (panel, rings, spans) in enumerate(zip(panels, ring_map.rings, ring_map.spans, strict=True)):
        own = rules._replace(top=min(rules.top, top_value(panel.dtype)))
        found = find_ring_peaks(np.ascontiguousarray(panel), rings, spans, offset, threshold, own)
        pixel = found[:, 6].astype(np.int64)
        parts.append((np.full(len(found), number), *found[:, :2].T, found[:, 2].astype(np.int64), *found[:, 3:6].T,
                      pixel, found[:, 7], rings.reshape(-1)[pixel].astype(np.int64)))
    return RingPeaks(*(np.concatenate(column) for column in zip(*parts, strict=True)))
