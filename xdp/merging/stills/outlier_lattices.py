"""Lattices that do not belong: of another cell, with wrong indices, or that make the merged intensities worse.

Three numbers tell how a lattice goes with the others: the correlation of its full intensities with what all others say;
the log likelihood of that agreement, over that of unrelated intensities, which takes errors into account; and how much
CC1/2 of the merged set falls without it.

References
----------
G. Assmann, W. Brehm & K. Diederichs, J. Appl. Cryst. 49, 1021 (2016), doi:10.1107/S1600576716005471 (delta CC1/2, by
variances).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.merging.stills.ambiguity import compare_with_others
from xdp.merging.stills.scale_lattices import LatticeScales

_FAR = 4.0
"""Standard deviations: one of 30,000 lattices that belong is as far off."""
_FEWEST_LATTICES = 10
"""With fewer lattices what is usual is not known."""


@dataclass(frozen=True)
class LatticeAgreement:
    """How well each lattice agrees with all others.

    Attributes
    ----------
    correlation : (k,) float64
        Of its full intensities, over the means of their shells, with what the others say; NaN with fewer than five
        reflections in common.
    agreement : (k,) float64
        Log likelihood ratio of agreement and chance.
    delta_cc_half : (k,) float64
        CC1/2 with all lattices less that without this one: below 0 the set is better without it.
    n_common : (k,) int64
        Its observations that other lattices have, too.
    """

    correlation: np.ndarray
    agreement: np.ndarray
    delta_cc_half: np.ndarray
    n_common: np.ndarray


def judge_lattices(scales: LatticeScales, lattice: np.ndarray, n_lattices: int) -> LatticeAgreement:
    """Compare each lattice with all others.

    Parameters
    ----------
    scales : LatticeScales
    lattice : (n,) int64
        Of each observation.
    n_lattices : int

    Returns
    -------
    LatticeAgreement
    """
    shell, merge = scales.shell, scales.merge
    ratio = compare_with_others(scales.full / shell, scales.counting / shell**2, merge.other_mean / shell,
                                merge.other_variance / shell**2, scales.relative)
    common = np.isfinite(merge.other_variance)
    # other lattices weigh as they do in merging, where a wild observation has lost its weight
    weight = np.where(common, 1.0 / (1.0 / np.maximum(merge.weight, 1e-300) + np.where(
        common, merge.other_variance, 0.0)) * shell**2, 0.0)
    return LatticeAgreement(_correlate_lattices(scales.full / shell, merge.other_mean / shell, weight, lattice,
                                                n_lattices),
                            np.bincount(lattice, ratio, n_lattices),
                            compute_delta_cc_half(scales, lattice, n_lattices),
                            np.bincount(lattice[common], minlength=n_lattices))


def _correlate_lattices(x: np.ndarray, y: np.ndarray, weight: np.ndarray, lattice: np.ndarray, n: int) -> np.ndarray:
    """Weighted correlation of x and y over each lattice."""
    total = np.bincount(lattice, weight, n)
    count = np.bincount(lattice[weight > 0.0], minlength=n)
    safe = np.where(total > 0.0, total, 1.0)
    mx, my = np.bincount(lattice, weight * x, n) / safe, np.bincount(lattice, weight * y, n) / safe
    dx, dy = x - mx[lattice], y - my[lattice]
    xx, yy, xy = (np.bincount(lattice, weight * v, n) for v in (dx * dx, dy * dy, dx * dy))
    good = (count >= 5) & (xx > 0.0) & (yy > 0.0)
    return np.where(good, xy / np.sqrt(np.where(good, xx * yy, 1.0)), np.nan)


def compute_delta_cc_half(scales: LatticeScales, lattice: np.ndarray, n_lattices: int) -> np.ndarray:
    """How much CC1/2 falls without each lattice.

    CC1/2 is that from variances (:func:`xdp.merging.statistics.compute_cc_half`), of intensities over the means of
    their shells, so that the fall with resolution does not make it. Only the reflections of the lattice change without
    it, so that all lattices together take as long as one merge.

    Parameters
    ----------
    scales : LatticeScales
    lattice : (n,) int64
    n_lattices : int

    Returns
    -------
    (n_lattices,) float64
    """
    groups = scales.groups
    m, pairs = groups.n_unique, len(groups.pair_row)
    x = scales.full / scales.shell
    n, s1, s2 = (np.bincount(groups.row, w, m) for w in (np.ones(len(x)), x, x * x))
    n_own, s1_own, s2_own = (np.bincount(groups.pair, w, pairs) for w in (np.ones(len(x)), x, x * x))
    pair_lattice = np.zeros(pairs, np.int64)
    pair_lattice[groups.pair] = lattice
    every = _make_terms(n, s1, s2)
    row = groups.pair_row
    without = _make_terms(n[row] - n_own, s1[row] - s1_own, s2[row] - s2_own)
    # what changes when the lattice is taken out: its reflections' terms as they are then, less those of now
    sums = [term.sum() + np.bincount(pair_lattice, new - term[row], n_lattices)
            for term, new in zip(every, without, strict=True)]
    return float(_combine(*(np.array([term.sum()]) for term in every))[0]) - _combine(*sums)


def _make_terms(n: np.ndarray, s1: np.ndarray, s2: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of each reflection: whether it counts, its mean, the square of that, and the error of the mean of a half."""
    used = n > 1.5
    safe = np.where(used, n, 2.0)
    mean = np.where(used, s1 / safe, 0.0)
    error = np.where(used, np.maximum(s2 - s1 * s1 / safe, 0.0) / (safe - 1.0) / (safe / 2.0), 0.0)
    return used.astype(np.float64), mean, mean**2, error


def _combine(count: np.ndarray, mean: np.ndarray, square: np.ndarray, error: np.ndarray) -> np.ndarray:
    """CC1/2 of sums of the terms."""
    # with fewer the variance of the means is not defined
    count = np.maximum(count, 3.0)
    spread = (square - mean**2 / count) / (count - 1.0)
    half = 0.5 * error / count
    return (spread - half) / np.maximum(spread + half, 1e-300)


def find_odd_cells(cells: np.ndarray, length: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Find lattices whose cell is not that of most.

    Parameters
    ----------
    cells : (k, 6) float64
        Å and degrees.
    length : float
        Largest relative difference of an axis from the median.
    angle : float
        Largest difference of an angle, degrees.

    Returns
    -------
    odd : (k,) bool
    median : (6,) float64
        The cell of most.

    Examples
    --------
    >>> find_odd_cells(np.array([[50, 60, 70, 90, 90, 90.0]] * 3 + [[50, 66, 70, 90, 90, 90]]), 0.03, 2.0)[0].tolist()
    [False, False, False, True]
    """
    median = np.median(cells, axis=0)
    odd = np.any(np.abs(cells[:, :3] / median[:3] - 1.0) > length, axis=1)
    odd |= np.any(np.abs(cells[:, 3:] - median[3:]) > angle, axis=1)
    return odd, np.median(cells[~odd], axis=0) if (~odd).any() else median


def list_reasons(found: LatticeAgreement, there: np.ndarray, *, by_likelihood: bool, min_correlation: float | None,
                 min_delta_cc_half: float | None) -> dict[int, str]:
    """List the lattices that are to be left out, and why.

    Parameters
    ----------
    found : LatticeAgreement
    there : (k,) bool
        Lattices that take part.
    by_likelihood : bool
        The log likelihood must be above 0. Otherwise, since likelihoods need partialities, the correlation must not be
        far below that of the others.
    min_correlation : float or None
        Least correlation with the others.
    min_delta_cc_half : float or None
        Least change of CC1/2.

    Returns
    -------
    dict of int to str
    """
    reasons: dict[int, str] = {}
    least = -np.inf if by_likelihood else _find_least_usual(found.correlation[there], found.n_common[there])
    z = np.arctanh(np.clip(found.correlation, -0.999, 0.999))
    for k in np.flatnonzero(there).tolist():
        if z[k] < least:
            reasons[k] = f"its correlation with other lattices is {found.correlation[k]:.2f}, far below the usual"
        elif by_likelihood and found.agreement[k] < 0.0:
            reasons[k] = (f"its intensities disagree with those of other lattices (correlation "
                          f"{found.correlation[k]:.2f}, log likelihood {found.agreement[k]:.0f} against chance, "
                          f"{found.n_common[k]} reflections)")
        elif min_correlation is not None and found.correlation[k] < min_correlation:
            reasons[k] = f"its correlation with other lattices is {found.correlation[k]:.2f}, below {min_correlation:g}"
        elif min_delta_cc_half is not None and found.delta_cc_half[k] < min_delta_cc_half:
            reasons[k] = f"CC1/2 is {-found.delta_cc_half[k]:.4f} higher without it"
    return reasons


def _find_least_usual(correlation: np.ndarray, n_common: np.ndarray) -> float:
    """Fisher's z of a correlation, below which it is far from those of most lattices."""
    good = np.isfinite(correlation)
    if np.count_nonzero(good) < _FEWEST_LATTICES:
        return -np.inf
    z = np.arctanh(np.clip(correlation[good], -0.999, 0.999))
    centre = float(np.median(z))
    # all may be alike by chance: never less than the error of a z by itself
    expected = 1.0 / np.sqrt(np.maximum(np.median(n_common[good]) - 3.0, 1.0))
    return centre - _FAR * max(1.4826 * float(np.median(np.abs(z - centre))), float(expected))
