"""Full intensities that are known or merged: what a shot's partial intensities are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.space_groups import AnySpaceGroup

_SPAN = 1 << 11
"""Indices lie between -1024 and 1023, as in merging."""
_BINS = 20
"""Shells of equal numbers, over which the mean intensity is taken. A choice."""
_LEAST_IN_BIN = 20
"""Reflections in a shell at least."""
_LARGEST_SPREAD = 0.5
"""Relative variance above which an intensity is no better known than its mean over the shell. A choice."""
_FAINTEST = 0.03
"""Smallest expected intensity, as a part of the shell's mean: what merged to less is not known to be 0."""


@dataclass(frozen=True)
class ReferenceIntensities:
    """Full intensities of unique reflections.

    Attributes
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
        Equivalents and Friedel mates have one intensity.
    a_star_metric : (3, 3) float64
        Reciprocal metric tensor, 1/Å²: for resolutions.
    keys : (m,) int64
        Of the unique reflections, ascending.
    mean, variance : (m,) float64
        Of their intensities.
    shells : (2, b) float64
        Squared lengths 1/d², and the logarithms of mean intensity over epsilon there.
    """

    group: AnySpaceGroup
    a_star_metric: np.ndarray
    keys: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    shells: np.ndarray

    @classmethod
    def build(cls, group: AnySpaceGroup, a_star_metric: np.ndarray, hkl: np.ndarray, mean: np.ndarray,
              variance: np.ndarray) -> ReferenceIntensities:
        """Build a reference of a list of intensities.

        Parameters
        ----------
        group : gemmi.SpaceGroup or UntabulatedGroup
            Space group; only its point group is used, with inversion.
        a_star_metric : (3, 3) float64
            ``B.T @ B`` of the cell, 1/Å².
        hkl : (n, 3) int
            Indices; equivalents are averaged with their weights.
        mean, variance : (n,) float64
            Intensities with variances above 0.

        Returns
        -------
        ReferenceIntensities
        """
        keys, row = np.unique(find_unique_keys(group, hkl), return_inverse=True)
        weight = np.bincount(row, 1.0 / variance)
        merged = np.bincount(row, mean / variance) / weight
        unique = np.zeros((len(keys), 3))
        unique[row] = hkl
        square = np.einsum("ni,ij,nj->n", unique, a_star_metric, unique)
        shells = _average_shells(square, merged / compute_epsilons(group, unique))
        return cls(group, a_star_metric, keys, merged, 1.0 / weight, shells)

    def expect(self, hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Say what full intensities are expected.

        A merged intensity is combined with what is known without it: the mean of its shell, with as large a standard
        deviation.

        Parameters
        ----------
        hkl : (n, 3) int

        Returns
        -------
        expected : (n,) float64
        spread : (n,) float64
            Variance over the square of `expected`; infinite where only the shell's mean is known.
        """
        row, known = self.find_rows(hkl)
        mean, variance = np.where(known, self.mean[row], 0.0), np.where(known, self.variance[row], np.inf)
        return combine_with_shells(mean, variance, self.compute_shell_means(hkl))

    def find_rows(self, hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows (n,) of reflections, and whether they are there."""
        keys = find_unique_keys(self.group, hkl)
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return row, self.keys[row] == keys

    def compute_shell_means(self, hkl: np.ndarray) -> np.ndarray:
        """Compute the mean intensities (n,) of reflections like these: by resolution and multiplicity."""
        square = np.einsum("ni,ij,nj->n", hkl, self.a_star_metric, hkl)
        return np.exp(np.interp(square, *self.shells)) * compute_epsilons(self.group, hkl)


def combine_with_shells(mean: np.ndarray, variance: np.ndarray, shell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Combine merged intensities with the means of their shells.

    Parameters
    ----------
    mean, variance : (n,) float64
        Merged; of infinite variance where nothing was merged.
    shell : (n,) float64
        Means over reflections like these, above 0.

    Returns
    -------
    expected, spread : (n,) float64
        As of :meth:`ReferenceIntensities.expect`.

    Examples
    --------
    >>> expected, spread = combine_with_shells(np.array([3.0, 0.0]), np.array([0.01, np.inf]), np.ones(2))
    >>> expected.round(2).tolist(), spread.round(4).tolist()
    ([2.98, 1.0], [0.0011, inf])
    """
    weight = 1.0 / variance
    total = weight + shell**-2.0
    expected = np.maximum((np.where(weight > 0.0, mean, 0.0) * weight + 1.0 / shell) / total, _FAINTEST * shell)
    spread = 1.0 / (total * expected**2)
    return expected, np.where(spread < _LARGEST_SPREAD, spread, np.inf)


def compute_epsilons(group: AnySpaceGroup, hkl: np.ndarray) -> np.ndarray:
    """Compute by which factor symmetry raises the mean intensity of reflections, (n,)."""
    found = np.ascontiguousarray(hkl, np.int32)
    return np.asarray(group.operations().epsilon_factor_without_centering_array(found), np.float64)


def find_unique_keys(group: AnySpaceGroup, hkl: np.ndarray) -> np.ndarray:
    """Find one number (n,) for all equivalents of each reflection and their Friedel mates.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
    hkl : (n, 3) int

    Returns
    -------
    (n,) int64

    Examples
    --------
    >>> import gemmi
    >>> keys = find_unique_keys(gemmi.SpaceGroup("P 4"), np.array([[1, 2, 3], [-2, 1, 3], [-1, -2, -3], [2, 1, 3]]))
    >>> [int(key == keys[0]) for key in keys]
    [1, 1, 1, 0]
    """
    indices = np.asarray(np.rint(hkl), np.int64)
    best = np.full(len(indices), -1, np.int64)
    for operation in group.operations().sym_ops:
        moved = indices @ (np.array(operation.rot) // operation.DEN)
        for sign in (1, -1):
            shifted = sign * moved + _SPAN // 2
            best = np.maximum(best, (shifted[:, 0] * _SPAN + shifted[:, 1]) * _SPAN + shifted[:, 2])
    return best


def unpack_keys(keys: np.ndarray) -> np.ndarray:
    """Give an index (n, 3) of each of the numbers that :func:`find_unique_keys` gives."""
    return np.stack([keys // _SPAN**2, keys // _SPAN % _SPAN, keys % _SPAN], axis=1) - _SPAN // 2


def _average_shells(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Average intensities over shells of equal numbers: their 1/d² and logarithms of means, (2, b)."""
    order = np.argsort(square, kind="stable")
    n = int(np.clip(len(order) // _LEAST_IN_BIN, 1, _BINS))
    whole = max(float(mean.mean()), 1e-12)
    rows = [part for part in np.array_split(order, n) if len(part)]
    return np.array([[square[r].mean() for r in rows], [np.log(max(mean[r].mean(), 1e-3 * whole)) for r in rows]])
