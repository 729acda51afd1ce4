"""The longest cell axis that the spots' nearest neighbours allow."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from xdp.errors import XdpError

#: Resolutions in Å of the strong powder rings of hexagonal ice (a = 4.498 Å, c = 7.338 Å at 100 K, P63/mmc).
_ICE = np.array([3.895, 3.669, 3.441, 2.671, 2.249, 2.072, 1.948, 1.918, 1.883, 1.721])


def estimate_max_cell(points: np.ndarray, phi: np.ndarray, *, block: np.ndarray | None = None, step_size: float = 45.0,
                      multiplier: float = 1.3, nn_per_bin: int = 5, max_height_fraction: float = 0.25,
                      percentile: float | None = None) -> float:
    """Estimate the largest spacing of the lattice, in Å.

    Each point's nearest neighbour lies one reciprocal cell edge away, and the shortest such edge belongs to the longest
    axis. The histogram of the inverse distances (logarithmic bins) is searched for its last bin that still has an
    appreciable height: beyond it are chance neighbours.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    phi : (n,)
        Rotation angles in degrees.
    block : (n,) of int, optional
        Points of different sweeps are never neighbours.
    step_size : float
        Neighbours are sought within blocks of so many degrees, in which the lattice is sampled evenly.
    multiplier : float
        Safety factor on the estimate.
    percentile : float, optional
        Take this quantile of the inverse distances instead of the histogram's last high bin.

    Raises
    ------
    XdpError
        If fewer than ten points have a neighbour.
    """
    inverse = _inverse_neighbour_distances(points, phi, block, step_size)
    if len(inverse) < 10:
        raise XdpError(f"max_cell cannot be estimated from {len(points)} spots, at least 10 are needed: give "
                       "indexing.max_cell (Å)")
    if percentile is not None:
        return multiplier * float(np.quantile(inverse, percentile))
    logs = np.log(inverse)
    n_bins = int(np.clip(len(inverse) / nn_per_bin, 10, 200))
    heights, edges = np.histogram(logs, bins=n_bins, range=tuple(np.quantile(logs, [0.005, 0.995])))
    smooth = np.convolve(heights, [0.25, 0.5, 0.25], mode="same")
    last = np.flatnonzero(smooth >= max_height_fraction * smooth.max())[-1]
    return multiplier * float(np.exp(edges[last + 1]))


def outside_ice_rings(d: np.ndarray, width: float = 0.002) -> np.ndarray:
    """Which spots of resolution `d` (n,) in Å are not on rings of ice, 1/d^2 further than `width` (1/Å^2) away."""
    apart = np.abs(1.0 / np.square(d)[:, None] - 1.0 / np.square(_ICE)[None])
    return apart.min(axis=1) > width


def _inverse_neighbour_distances(points: np.ndarray, phi: np.ndarray, block: np.ndarray | None, step: float
                                 ) -> np.ndarray:
    """1 / distance (Å) to the nearest neighbour of each point within its sweep and block of rotation."""
    label = np.floor((phi - phi.min(initial=0.0)) / step).astype(np.int64)
    if block is not None:
        label = label + (label.max(initial=0) + 1) * block
    found = []
    for value in np.unique(label):
        group = points[label == value]
        if len(group) > 1:
            distance, _ = cKDTree(group).query(group, k=2)
            found.append(distance[:, 1])
    distances = np.concatenate(found) if found else np.zeros(0)
    # two spots of one reflection, cut by a gap or a chunk of missing frames, are closer than any lattice allows
    return 1.0 / distances[distances > 1.0 / 3000.0]
