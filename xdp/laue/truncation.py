"""What cutting the largest values does to a background's mean and spread, and how to undo it.

The k smallest of n independent values of a Gaussian have the moments

    E[z^m] = n / k  int z^m phi(z) P(Binomial(n - 1, Phi(z)) <= k - 1) dz,

so their mean lies below the true one (by 0.42 sigma for a quarter removed) and their spread is too small (0.73 sigma).
Counts are skewed: with a skewness gamma the value is z + gamma (z^2 - 1) / 6 to first order (Cornish & Fisher), which
shifts mean and variance by the same moments once more. For counts whose variance grows in proportion to their mean the
skewness is sigma / (mean - pedestal).

References
----------
H. A. David & H. N. Nagaraja, Order Statistics, 3rd ed. (2003), sections 3.1 and 8.5.
E. A. Cornish & R. A. Fisher, Rev. Inst. Int. Stat. 5 (1938) 307.
"""

from __future__ import annotations

import numpy as np
from scipy import special

_NODES = np.linspace(-8.5, 8.5, 3001)
"""Places at which the integrals are summed, in sigma: beyond, a Gaussian holds less than 1e-16."""


def compute_lower_moments(n: int, k: int) -> tuple[float, float, float]:
    """Compute the first three raw moments of the k smallest of n standard Gaussian values.

    Parameters
    ----------
    n, k : int

    Returns
    -------
    (float, float, float)
        Averaged over those k values, by the integral at the head of this module.

    Examples
    --------
    >>> [round(m, 3) + 0.0 for m in compute_lower_moments(4, 4)]
    [0.0, 1.0, 0.0]
    """
    density = np.exp(-0.5 * _NODES**2) / np.sqrt(2 * np.pi)
    weight = density * n / k * (_NODES[1] - _NODES[0])
    if k < n:
        # P(Binomial(n - 1, p) <= k - 1) is the regularised incomplete beta function I_{1-p}(n - k, k)
        weight = weight * special.betainc(n - k, k, special.ndtr(-_NODES))
    m1, m2, m3 = (float(np.sum(weight * _NODES**m)) for m in (1, 2, 3))
    return m1, m2, m3


def _variance_of_mean(n: int, k: int) -> float:
    """Variance of the mean of the k smallest of n: that of the mean winsorised at the cut, over its share squared."""
    if k == n:
        return 1.0 / n
    share = k / n
    cut = special.ndtri(share)
    density = np.exp(-0.5 * cut**2) / np.sqrt(2 * np.pi)
    mean = -density + cut * (1 - share)
    square = share - cut * density + cut**2 * (1 - share)
    return (square - mean**2) / (n * share**2)


def make_truncation_tables(n_frames: int, n_removed: int) -> np.ndarray:
    """Table of what removing the `n_removed` largest of `n_frames` values does if s of them are spots.

    Returns
    -------
    ndarray, shape (4, n_removed + 1), float64
        For s = 0 ... n_removed, in units of the background's sigma: how far the mean is too low, the variance left
        (ddof 0), and by how much a skewness of 1 lowers the mean further and the variance.
    """
    tables = np.empty((4, n_removed + 1))
    keep = n_frames - n_removed
    for spots in range(n_removed + 1):
        n = n_frames - spots
        m1, m2, m3 = compute_lower_moments(n, keep)
        # the sample's own mean scatters, which its variance (ddof 0) does not contain
        variance = max(m2 - m1**2 - _variance_of_mean(n, keep), 0.01)
        tables[:, spots] = -m1, variance, (1 - m2) / 6, (m1 * m2 - m3) / 3
    return tables
