"""The longest cell axis that the spots' nearest neighbours allow."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from xdp.errors import XdpError
from xdp.indexing.options import MaxCellEstimation

_FEW = 10  # neighbours that are needed
# Å: two spots of one reflection, cut by a gap or a chunk of missing frames, are closer than any lattice allows
_LONGEST = 3000.0
# Of the logarithms of inverse distances, the part that the histogram covers: single freak distances would stretch it
_RANGE = [0.005, 0.995]
_FEWEST_BINS, _MOST_BINS = 10, 200
_SMOOTHING = [0.25, 0.5, 0.25]  # of neighbouring bins: an empty one is not the end


def estimate_max_cell(points: np.ndarray, phi: np.ndarray, options: MaxCellEstimation | None = None, *,
                      block: np.ndarray | None = None) -> float:
    """Estimate the largest spacing of the lattice, in Å.

    The nearest neighbour of each point lies one reciprocal cell edge away, and the shortest such edge belongs to the
    longest axis. The histogram of the inverse distances (logarithmic bins) is searched for its last bin that still has
    an appreciable height: beyond it are chance neighbours.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    phi : (n,)
        Rotation angles in degrees.
    options : MaxCellEstimation, optional
        The histogram, or a quantile instead; the blocks of the scan in which neighbours are sought; a factor on the
        result.
    block : (n,) of int, optional
        Points of different sweeps are never neighbours.

    Raises
    ------
    XdpError
        If fewer than ten points have a neighbour.

    Examples
    --------
    Points of a cubic lattice of 50 Å with errors; the default factor is 1.3:

    >>> import numpy as np
    >>> points = np.stack(np.meshgrid(*[np.arange(6)] * 3), axis=-1).reshape(-1, 3) / 50.0
    >>> points = points + np.random.default_rng(0).normal(0, 2e-4, points.shape)
    >>> 60 < estimate_max_cell(points, np.zeros(len(points))) < 70
    True
    """
    options = options or MaxCellEstimation()
    inverse = _invert_neighbour_distances(points, phi, block, options.step_size)
    if len(inverse) < _FEW:
        raise XdpError(f"max_cell cannot be estimated from {len(points)} spots, at least {_FEW} are needed: give "
                       "indexing.max_cell (Å)")
    if options.nearest_neighbor_percentile is not None:
        return options.multiplier * float(np.quantile(inverse, options.nearest_neighbor_percentile))
    logs = np.log(inverse)
    n_bins = int(np.clip(len(inverse) / options.nn_per_bin, _FEWEST_BINS, _MOST_BINS))
    heights, edges = np.histogram(logs, bins=n_bins, range=tuple(np.quantile(logs, _RANGE)))
    smooth = np.convolve(heights, _SMOOTHING, mode="same")
    last = np.flatnonzero(smooth >= options.max_height_fraction * smooth.max())[-1]
    return options.multiplier * float(np.exp(edges[last + 1]))


def _invert_neighbour_distances(points: np.ndarray, phi: np.ndarray, block: np.ndarray | None, step: float
                                ) -> np.ndarray:
    """1 / distance (Å) to the nearest neighbour of each point within its sweep and block of rotation."""
    # within a block of the scan the lattice is sampled evenly
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
    return 1.0 / distances[distances > 1.0 / _LONGEST]
