"""Intensities in terms of their expected mean, and their indices as numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_SPAN = 1 << 11
#: Indices that are written as numbers lie between -1024 and 1023.
INDEX_LIMIT = _SPAN // 2


@dataclass(frozen=True)
class NormalisedIntensities:
    """Normalised intensities of unique reflections of the Laue group -1, and pairs of single observations of them.

    The variance of an intensity is ``background + counting J`` with its expected intensity J.

    Attributes
    ----------
    hkl : (n, 3) int64
        On the axes of the lattice group, one of each pair of Friedel mates.
    key : (n,) int64
        The indices as one number each, ascending.
    e2, background, counting : (n,) float64
        E^2 and its variance's parts.
    d : (n,) float64
        Å.
    repeats : (m, 6) float64
        E^2 of two observations of one reflection, or of mates, then the background and counting parts of both.
    n_rows : int
        Observations that were used.
    d_min : float
        Å; the resolution limit of these.
    """

    hkl: np.ndarray
    key: np.ndarray
    e2: np.ndarray
    background: np.ndarray
    counting: np.ndarray
    d: np.ndarray
    repeats: np.ndarray
    n_rows: int
    d_min: float

    def __len__(self) -> int:
        return len(self.key)

    def divide_by(self, mean: np.ndarray) -> NormalisedIntensities:
        """Take another factor out of the intensities.

        Parameters
        ----------
        mean : (n,) float64
            What the intensities are divided by.

        Returns
        -------
        NormalisedIntensities
        """
        return replace(self, e2=self.e2 / mean, background=self.background / mean**2, counting=self.counting / mean)


def pack_indices(hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write indices as one number each, the same one for Friedel mates.

    Parameters
    ----------
    hkl : (n, 3) int

    Returns
    -------
    key : (n,) int64
    is_mate : (n,) bool
        Whether the number stands for the mate's index.

    Examples
    --------
    >>> key, is_mate = pack_indices(np.array([[1, 2, 3], [-1, -2, -3]]))
    >>> bool(key[0] == key[1]), is_mate.tolist()
    (True, [False, True])
    """
    h, k, l = (np.asarray(hkl, np.int64) + _SPAN // 2).T  # noqa: E741
    key = (h * _SPAN + k) * _SPAN + l
    centre = (_SPAN // 2 * _SPAN + _SPAN // 2) * _SPAN + _SPAN // 2
    is_mate = key < centre
    return np.where(is_mate, 2 * centre - key, key), is_mate
