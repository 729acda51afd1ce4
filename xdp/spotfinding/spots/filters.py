"""Filters of spots that need no images: by distance between peak and centroid, and by local density on the detector."""

from __future__ import annotations

import numpy as np

DENSITY_BINS = 50
"""Bins along fast and along slow of the map of spots."""

DENSITY_GRADIENT = 0.002
"""Where the cumulative histogram of the map's counts rises more slowly than this for a count, ordinary bins end."""


def near_peak(peak: np.ndarray, centroid: np.ndarray, max_separation: float) -> np.ndarray:
    """Which spots have their highest pixel within `max_separation` of their centroid.

    Parameters
    ----------
    peak, centroid : (n, 3) float64
        Of each spot: fast and slow in pixels, frame.
    max_separation : float
        In pixels, a frame counting as one.

    Returns
    -------
    (n,) bool
    """
    return np.sqrt(((peak - centroid) ** 2).sum(axis=1)) <= max_separation


def density_cutoff(counts: np.ndarray) -> float | None:
    """The number of spots in a bin of the map above which the bin is crowded, None where no bin stands out.

    The bins' counts are histogrammed (at most 30 slots). Where the cumulative histogram, scaled to end at one, has
    risen by less than :data:`DENSITY_GRADIENT` a count over two slots in a row, the ordinary bins have come to their
    end: the lower edge of the first of the two is the cut-off.

    Parameters
    ----------
    counts : array of float64
        Spots in each bin.
    """
    n_slots = min(int(counts.max(initial=0)), 30)
    if n_slots < 3:
        return None
    low, high = float(counts.min()), float(counts.max())
    width = (high - low) / n_slots
    if width == 0:
        return None
    slots = np.bincount(np.minimum(((counts.ravel() - low) / width).astype(np.int64), n_slots - 1), minlength=n_slots)
    cumulative = np.cumsum(slots) / slots.sum()
    is_flat = np.diff(cumulative) / width < DENSITY_GRADIENT
    both = np.flatnonzero(is_flat[1:] & is_flat[:-1])
    return low + both[0] * width if len(both) else None


def is_uncrowded(centroid: np.ndarray, n_bins: int = DENSITY_BINS) -> np.ndarray:
    """Which spots do not lie in a crowded place of the detector, such as an ice ring or a bad module.

    All panels and frames are laid over one another, as DIALS does.

    Parameters
    ----------
    centroid : (n, 2) float64
        Fast and slow of each spot, pixels.

    Returns
    -------
    (n,) bool
    """
    keep = np.ones(len(centroid), bool)
    if not len(centroid):
        return keep
    counts, x_edges, y_edges = np.histogram2d(centroid[:, 0], centroid[:, 1], bins=n_bins)
    cutoff = density_cutoff(counts)
    if cutoff is None:
        return keep
    for ix, iy in np.argwhere(counts > cutoff).tolist():
        # a spot on a bin's edge stays, as in DIALS, whose comparisons are strict
        keep &= ~((centroid[:, 0] > x_edges[ix]) & (centroid[:, 0] < x_edges[ix + 1])
                  & (centroid[:, 1] > y_edges[iy]) & (centroid[:, 1] < y_edges[iy + 1]))
    return keep
