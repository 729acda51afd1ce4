"""ObservationGroups that differ from the others of their reflection by more than chance allows.

Friedel mates differ by right, but not by much. So an observation is first compared with those of its own mate, then
with all of its reflection; there the mean square relative difference of mates is added to the variance.
"""

from __future__ import annotations

import numpy as np

from xdp.scaling._kernels_normal import Rows, flag_outliers, merge_rows
from xdp.scaling.observations import ObservationGroups


def find_deviating(seen: ObservationGroups, g: np.ndarray, variance: np.ndarray, z_max: float, *,
                   anomalous: bool = False) -> np.ndarray:
    """Find the observations that are kept.

    Parameters
    ----------
    seen : ObservationGroups
    g, variance : (n,) float64
        Scales, and variances of the observations.
    z_max : float
        Sigmas by which an observation may differ from the mean of the others.
    anomalous : bool
        Mates are compared with their own kind only.

    Returns
    -------
    (n,) bool
        False: outliers.
    """
    use = np.ones(len(seen), bool)
    apart = Rows(seen.start_apart, seen.intensity)
    flag_outliers(apart, g, variance, 0.0, z_max, use)
    if not anomalous:
        extra = estimate_anomalous_variance(seen, g, np.where(use, 1.0 / variance, 0.0))
        flag_outliers(Rows(seen.start, seen.intensity), g, variance, extra, z_max, use)
    return use


def estimate_anomalous_variance(seen: ObservationGroups, g: np.ndarray, weights: np.ndarray) -> float:
    """The variance of the relative difference of a mate from the other.

    Parameters
    ----------
    seen : ObservationGroups
    g, weights : (n,) float64
        Scales, and one over variances; 0 for observations that do not count.

    Returns
    -------
    float
        0 where no pairs are strong enough to tell.
    """
    apart = Rows(seen.start_apart, seen.intensity)
    J, information = np.zeros((2, len(apart.start) - 1))
    merge_rows(apart, g, weights, J, information)
    first = apart.start[:-1]
    known = information > 0.0
    pairs = np.flatnonzero((np.diff(seen.unique.group[first]) == 0) & known[:-1] & known[1:])
    mean = 0.5 * (J[pairs] + J[pairs + 1])
    error = 1.0 / information[pairs] + 1.0 / information[pairs + 1]
    strong = mean > 10.0 * np.sqrt(error)  # where differences are not mostly error
    if np.count_nonzero(strong) < 20:
        return 0.0
    squares = (np.square(J[pairs] - J[pairs + 1]) - error)[strong] / np.square(mean[strong])
    # the largest hundredth may be outliers themselves
    limit = np.quantile(squares, 0.99)
    return max(0.0, float(np.mean(np.minimum(squares, limit))))
