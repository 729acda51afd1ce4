"""Intensities relative to those of their resolution: E², whose distribution is the same for all crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.merging.amplitudes import expect_shell_means

_SHELLS = 30


@dataclass(frozen=True)
class RelativeIntensities:
    """Merged intensities divided by their expected value.

    Attributes
    ----------
    hkl : (m, 3) int
        Indices in the asymmetric unit.
    e2 : (m,) float64
        I / expected, with the mean 1.
    sigma : (m,) float64
        Its standard deviation.
    is_centric : (m,) bool
    d : (m,) float64
        Å.
    """

    hkl: np.ndarray
    e2: np.ndarray
    sigma: np.ndarray
    is_centric: np.ndarray
    d: np.ndarray

    def __len__(self) -> int:
        return len(self.e2)

    def select(self, which: np.ndarray) -> RelativeIntensities:
        """Some of the reflections.

        Parameters
        ----------
        which : (m,) bool

        Returns
        -------
        RelativeIntensities
        """
        return RelativeIntensities(self.hkl[which], self.e2[which], self.sigma[which], self.is_centric[which],
                                     self.d[which])


def normalise(hkl: np.ndarray, intensity: np.ndarray, sigma: np.ndarray, d: np.ndarray, epsilon: np.ndarray,
              is_centric: np.ndarray) -> RelativeIntensities:
    """Divide merged intensities by the mean of their resolution and by epsilon.

    Parameters
    ----------
    hkl : (m, 3) int
    intensity, sigma : (m,) float64
        Merged intensities; rows that are not finite are left out.
    d : (m,) float64
        Å.
    epsilon : (m,) int
        Factor by which symmetry raises the mean.
    is_centric : (m,) bool

    Returns
    -------
    RelativeIntensities
        Of all resolutions; see :func:`select_strong_shells`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> d, ones = np.linspace(5, 2, 4000), np.ones(4000)
    >>> found = normalise(np.zeros((4000, 3)), d**2 * rng.exponential(size=4000), ones, d, ones, ones > 2)
    >>> bool(0.98 < found.e2.mean() < 1.02)
    True
    """
    known = np.isfinite(intensity) & np.isfinite(sigma) & (sigma > 0.0) & np.isfinite(d)
    hkl, intensity, sigma, d, epsilon, is_centric = (
        np.asarray(values)[known] for values in (hkl, intensity, sigma, d, epsilon, is_centric))
    if not len(intensity):
        return RelativeIntensities(hkl, intensity, sigma, is_centric, d)
    expected = expect_shell_means(intensity, sigma, d, epsilon)
    return RelativeIntensities(hkl, intensity / expected, sigma / expected, is_centric, d)


def select_strong_shells(data: RelativeIntensities, least: float) -> RelativeIntensities:
    """Leave out the resolutions at which errors shape the distribution of intensities.

    Whole shells are kept or left out: a choice by single intensities would change their distribution.

    Parameters
    ----------
    data : RelativeIntensities
    least : float
        Mean I/sigma that a shell must have.

    Returns
    -------
    RelativeIntensities

    Examples
    --------
    >>> import numpy as np
    >>> d, ones = np.linspace(5, 2, 3000), np.ones(3000)
    >>> data = RelativeIntensities(np.zeros((3000, 3)), ones, np.where(d > 3, 0.1, 1.0), ones > 2, d)
    >>> float(select_strong_shells(data, 5.0).d.min().round(1))
    3.0
    """
    if not len(data):
        return data
    order = np.argsort(data.d)[::-1]
    keep = np.zeros(len(data), bool)
    for shell in np.array_split(order, min(_SHELLS, max(1, len(order) // 100))):
        keep[shell] = np.mean(data.e2[shell] / data.sigma[shell]) >= least
    return data.select(keep)
