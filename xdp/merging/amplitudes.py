"""Amplitudes from intensities, some of which are below zero by their errors.

An intensity J cannot be negative, and reflections of one resolution are distributed as Wilson found. The amplitude is
the mean of sqrt(J) given the measured intensity and this distribution; it is integrated numerically.

References
----------
French & Wilson (1978). Acta Cryst. A34, 517-525, doi:10.1107/S0567739478001114; Wilson (1949). Acta Cryst. 2, 318-321,
doi:10.1107/S0365110X49000813.
"""

from __future__ import annotations

import numpy as np

_NODES = 200
"""Points of the integral: with 200 amplitudes agree with 4,000 to 1e-5 of themselves."""
_REACH = 6.0  # sigmas beyond the measured intensity at which a normal distribution is 1e-8
_TOGETHER = 20_000  # reflections at a time: 32 MB of a table of points
_PER_SHELL = 200  # reflections a shell of the prior has at least: 7 % of error of its mean


def expect_shell_means(intensity: np.ndarray, sigma: np.ndarray, d: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """The mean intensity at the resolution of each reflection, times its epsilon.

    Parameters
    ----------
    intensity, sigma : (n,) float64
        Merged intensities.
    d : (n,) float64
        Å.
    epsilon : (n,) int64
        By which factor symmetry raises the mean.

    Returns
    -------
    (n,) float64
        Above 0. Means of shells of equally many reflections, joined by straight lines in 1/d².
    """
    order = np.argsort(d, kind="stable")[::-1]
    shells = np.array_split(order, max(1, min(60, len(d) // _PER_SHELL)))
    at = np.array([np.mean(1.0 / np.square(d[s])) for s in shells])
    mean = np.array([np.mean(intensity[s] / epsilon[s]) for s in shells])
    # a shell without signal still has some: what its error allows
    floor = np.array([0.1 * np.sqrt(np.mean(np.square(sigma[s]))) / np.sqrt(len(s)) for s in shells])
    level = np.maximum(mean, np.maximum(floor, 1e-12 * max(float(np.max(np.abs(intensity))), 1e-300)))
    return np.exp(np.interp(1.0 / np.square(d), at, np.log(level))) * epsilon


def compute_amplitudes(intensity: np.ndarray, sigma: np.ndarray, expected: np.ndarray | None, is_centric: np.ndarray
                       ) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes and their standard deviations.

    Parameters
    ----------
    intensity, sigma : (n,) float64
        Merged intensities; NaN gives NaN.
    expected : (n,) float64 or None
        The mean intensity of such reflections; None: all amplitudes are equally likely beforehand.
    is_centric : (n,) bool

    Returns
    -------
    F, sigma_F : (n,) float64

    Examples
    --------
    >>> import numpy as np
    >>> F, s = compute_amplitudes(np.array([-1.0, 400.0]), np.array([1.0, 1.0]), np.full(2, 100.0), np.zeros(2, bool))
    >>> F.round(2).tolist(), s.round(3).tolist()
    ([0.66, 20.0], [0.306, 0.025])
    """
    F, sigma_F = np.full((2, len(intensity)), np.nan)
    known = np.isfinite(intensity) & np.isfinite(sigma) & (sigma > 0.0)
    for rows in np.array_split(np.flatnonzero(known), max(1, int(np.count_nonzero(known)) // _TOGETHER)):
        if len(rows):
            prior = None if expected is None else expected[rows]
            F[rows], sigma_F[rows] = _integrate(intensity[rows], sigma[rows], prior, is_centric[rows])
    return F, sigma_F


def _integrate(intensity: np.ndarray, sigma: np.ndarray, expected: np.ndarray | None, is_centric: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray]:
    """The mean of F, and its standard deviation, by Gauss and Legendre over the values that are possible."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    # Wilson's exponential moves the middle of the distribution of J down
    shift = 0.0 if expected is None else np.square(sigma) / expected * np.where(is_centric, 0.5, 1.0)
    middle = intensity - shift
    low = np.sqrt(np.maximum(middle - _REACH * sigma, 0.0))
    high = np.sqrt(np.maximum(middle, 0.0) + _REACH * sigma)
    # far below 0 the distribution falls off as an exponential of length sigma^2 / |middle|
    steep = middle < -sigma
    high = np.where(steep, np.sqrt(20.0 * np.square(sigma) / np.maximum(-middle, sigma)), high)
    F = low[:, None] + 0.5 * (high - low)[:, None] * (nodes + 1.0)
    J = np.square(F)
    log_p = -0.5 * np.square((J - intensity[:, None]) / sigma[:, None])
    if expected is not None:
        # in F: the density of J times dJ/dF = 2 F; for centric reflections J has the density exp(-J / 2S) / sqrt(J)
        log_p -= J / expected[:, None] * np.where(is_centric, 0.5, 1.0)[:, None]
        log_p += np.where(is_centric[:, None], 0.0, np.log(np.maximum(F, 1e-300)))
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True)) * weights
    p /= p.sum(axis=1, keepdims=True)
    mean = np.sum(p * F, axis=1)
    return mean, np.sqrt(np.maximum(np.sum(p * J, axis=1) - np.square(mean), 0.0))
