"""CC1/2 without each part of the data in turn, from sums that are made once.

CC1/2 of a shell is ``(s_y² - s_e² / 2) / (s_y² + s_e² / 2)``: s_y² is the variance of the means of reflections, s_e²
the mean variance of the mean of one half of their observations. Leaving out a part changes the sums of its own
reflections only, so that all parts together cost as much as the whole.

References
----------
Assmann, Brehm & Diederichs (2016). J. Appl. Cryst. 49, 1021-1028, doi:10.1107/S1600576716005471.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SUMS = 4  # of a shell: reflections, means, their squares, errors


@dataclass(frozen=True)
class DeltaCcHalf:
    """CC1/2 of all data, and without each part.

    Attributes
    ----------
    parts : (p,) int64
        Numbers of the parts.
    n : (p,) int64
        Observations of each.
    cc_half : float
        Of all data: the mean over shells, weighted with their reflections.
    without : (p,) float64
        Of all data but the part.
    """

    parts: np.ndarray
    n: np.ndarray
    cc_half: float
    without: np.ndarray

    @property
    def delta(self) -> np.ndarray:
        """CC1/2 of all less that without the part: negative where the data are better without it."""
        return self.cc_half - self.without

    def find_outliers(self, cutoff: float) -> np.ndarray:
        """Find the parts whose delta lies far below that of most.

        Parameters
        ----------
        cutoff : float
            Standard deviations below the mean.

        Returns
        -------
        (k,) int64
            Numbers of the parts, the worst first. Of p parts none can lie further than ``(p - 1) / sqrt(p)`` standard
            deviations from the mean: with 17 parts or fewer none is beyond 4.
        """
        delta = self.delta
        known = np.isfinite(delta)
        if np.count_nonzero(known) < 2:
            return np.zeros(0, np.int64)
        limit = float(np.mean(delta[known])) - cutoff * float(np.std(delta[known], ddof=1))
        below = np.flatnonzero(known & (delta < limit))
        return self.parts[below[np.argsort(delta[below], kind="stable")]]


def leave_out_parts(group: np.ndarray, intensity: np.ndarray, part: np.ndarray, d: np.ndarray, n_bins: int
                    ) -> DeltaCcHalf:
    """Compute CC1/2 without each part of the data.

    Parameters
    ----------
    group : (n,) int64
        The unique reflection of each observation, from 0.
    intensity : (n,) float64
        Scaled.
    part : (n,) int64
        The data set, or the group of images, of each observation.
    d : (m,) float64
        Å, of the unique reflections.
    n_bins : int
        Shells of equally many reflections.

    Returns
    -------
    DeltaCcHalf

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> J, group, part = rng.exponential(size=500), np.repeat(np.arange(500), 8), np.tile(np.arange(8), 500)
    >>> noise = 0.1 * rng.normal(size=4000) + (part == 3) * rng.normal(size=4000)
    >>> found = leave_out_parts(group, J[group] + noise, part, np.linspace(3.0, 2.0, 500), 5)
    >>> int(found.parts[np.argmin(found.delta)])
    3
    """
    m = len(d)
    shell = np.empty(m, np.int64)
    shell[np.argsort(-d, kind="stable")] = np.arange(m) * n_bins // max(m, 1)
    # the variance is that about any constant: about the mean it loses no digits
    centred = intensity - np.mean(intensity)
    n, total = np.bincount(group, minlength=m), np.bincount(group, centred, m)
    squares = np.bincount(group, np.square(centred), m)
    whole = _sum_terms(n, total, squares)
    sums = np.stack([np.bincount(shell, term, n_bins) for term in whole])
    # parts may have any numbers: here they are counted from 0
    parts, index = np.unique(part, return_inverse=True)
    # pairs of a part and a reflection, and what the part has of it
    keys, pair = np.unique(index.astype(np.int64) * m + group, return_inverse=True)
    owner, row = keys // m, keys % m
    left = _sum_terms(n[row] - np.bincount(pair), total[row] - np.bincount(pair, centred),
                      squares[row] - np.bincount(pair, np.square(centred)))
    place = owner * n_bins + shell[row]
    change = np.stack([np.bincount(place, after - before[row], len(parts) * n_bins).reshape(len(parts), n_bins)
                       for before, after in zip(whole, left, strict=True)])
    return DeltaCcHalf(parts, np.bincount(index), float(_join_shells(sums[:, None])[0]),
                       _join_shells(sums[:, None] + change))


def _sum_terms(n: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """What reflections add to the sums of their shells, shape (4, m); those with one observation add nothing."""
    # one observation tells nothing of its error
    used = n > 1
    count = np.maximum(n, 2).astype(np.float64)
    mean = total / count
    error = np.maximum(squares - count * np.square(mean), 0.0) / (count - 1.0) / (count / 2.0)
    return np.where(used, np.stack([np.ones(len(n)), mean, np.square(mean), error]), 0.0)


def _join_shells(sums: np.ndarray) -> np.ndarray:
    """The mean CC1/2 over shells, of sums (4, parts, shells)."""
    n, mean, square, error = sums
    with np.errstate(all="ignore"):
        spread = (square - np.square(mean) / n) / (n - 1.0)
        half_error = 0.5 * error / n
        cc = (spread - half_error) / (spread + half_error)
    known = (n > 2.5) & np.isfinite(cc)
    weight = np.where(known, n, 0.0)
    total = weight.sum(axis=1)
    return np.where(total > 0.0, np.sum(weight * np.where(known, cc, 0.0), axis=1) / np.maximum(total, 1.0), np.nan)
