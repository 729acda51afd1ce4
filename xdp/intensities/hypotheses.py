"""How likely differences of paired intensities are: for a symmetry, for chance, for near-symmetry, for a twin.

All are distributions of the difference D = E1^2 - E2^2 for a given sum S. They need no more than Wilson's statistics:

- symmetry: D is error alone;
- unrelated intensities: D is uniform between -S and S;
- a twin of the fraction alpha: D is uniform between -(1 - 2 alpha) S and (1 - 2 alpha) S;
- near-symmetry: amplitudes are correlated complex normal numbers; D/S has a density proportional to
  I0(k sqrt(1 - D^2/S^2)), k = r S / (1 - r^2), with the correlation r^2 of intensities. A normal distribution cut off
  at -S and S stands for it here.

Errors are those of measurement and one that is proportional to the intensity, of the standard deviation b.

References
----------
Yeates (1988). Acta Cryst. A44, 142-144, doi:10.1107/S0108767387009632, for D/S of twins; Srinivasan & Parthasarathy
(1976), Some Statistical Applications in X-ray Crystallography, for correlated amplitudes.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from xdp.intensities._kernels import add_pair_scores
from xdp.intensities.pairs import IntensityPairs

#: Errors proportional to intensities that are tried, and how likely they are before the data are seen: unscaled data
#: have some percent. Fractions of the intensity.
ERRORS = np.array([0.005, 0.012, 0.025, 0.045, 0.075, 0.12, 0.18, 0.28])
ERROR_PRIOR = np.array([0.08, 0.14, 0.2, 0.22, 0.18, 0.11, 0.05, 0.02])
#: Correlations of intensities of near-symmetry that are tried; 0 is chance.
CORRELATIONS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.985])
#: Most rotations that are none of the crystal's relate nothing at all, and few nearly everything. A choice.
CORRELATION_PRIOR = np.array([0.835, *[0.015] * 10, *[0.005] * 3])
#: Twin fractions that are tried beside 0 and 0.5, for which D is that of chance and of symmetry.
FRACTIONS = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45])
_OUTLIERS = 0.02
"""Part of the pairs whose difference may be anything: overlaps, shadows, ice. A choice."""
_QUANTILES = ndtri((np.arange(3) + 0.5) / 3)
"""The true sum lies about the observed one: three values stand for its distribution."""


def score_pairs(pairs: IntensityPairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the log likelihoods of the differences of pairs.

    Parameters
    ----------
    pairs : IntensityPairs

    Returns
    -------
    symmetric : (n_errors,) float64
        For each of `ERRORS`.
    correlated : (n_correlations, n_errors) float64
        For each of `CORRELATIONS`.
    twinned : (n_fractions, n_errors) float64
        For each of `FRACTIONS`.
    """
    n = len(ERRORS)
    symmetric, correlated = np.zeros(n), np.zeros((len(CORRELATIONS), n))
    twinned = np.zeros((len(FRACTIONS), n))
    total = draw_sums(pairs)
    noise = pairs.background[:, None] + pairs.counting[:, None] * 0.5 * total
    add_pair_scores(np.abs(pairs.difference), np.ascontiguousarray(total), np.ascontiguousarray(noise), ERRORS,
                    CORRELATIONS, FRACTIONS, _OUTLIERS, symmetric, correlated, twinned)
    return symmetric, correlated, twinned


def draw_sums(pairs: IntensityPairs) -> np.ndarray:
    """Find likely values of the true sums, which are above zero.

    Parameters
    ----------
    pairs : IntensityPairs

    Returns
    -------
    (n, 3) float64
        Quantiles of what is likely after the observed sum, and after Wilson's distribution.
    """
    sigma = pairs.sigma
    # Wilson's exponential fall-off moves the centre of what is likely down by the variance
    centre = pairs.total - np.square(sigma)
    low = ndtr(-centre / sigma)
    quantile = low[:, None] + (1.0 - low[:, None]) * ndtr(_QUANTILES)
    return np.maximum(centre[:, None] + sigma[:, None] * ndtri(np.clip(quantile, 1e-12, 1.0 - 1e-12)),
                      0.02 * sigma[:, None] + 1e-6)


def density_uniform(difference: np.ndarray, width: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Give the density of a number that is uniform between two limits, with a normal error.

    Parameters
    ----------
    difference : array
        Where the density is wanted.
    width : array
        The limits are -width and width.
    variance : array
        Of the error.

    Returns
    -------
    array

    Examples
    --------
    >>> float(density_uniform(np.array(0.3), np.array(2.0), np.array(1e-4)).round(6))
    0.25
    """
    sigma = np.sqrt(variance)
    # differences of the tail that is smaller: both near 1 would leave rounding only
    x = np.abs(difference)
    return (ndtr((width - x) / sigma) - ndtr((-width - x) / sigma)) / (2.0 * width)
