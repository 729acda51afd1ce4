r"""How likely a measured intensity is, given the part that the model expects to be recorded.

Where nothing is known of a reflection, its true intensity is exponentially distributed (Wilson 1949, acentric). With
the mean m of the recorded intensity and counting errors :math:`\sigma`, the measured one has the density

.. math::

    P(I) = \int_0^\infty \frac{1}{m} e^{-x/m}\, N(I - x, \sigma^2)\, dx
    = \frac{1}{2 m}\, e^{-I^2 / (2 \sigma^2)} \operatorname{erfcx}(z), \qquad
    z = \frac{1}{\sqrt 2} \left(\frac{\sigma}{m} - \frac{I}{\sigma}\right).

So reflections that are predicted and not seen tell as much as those that are. Where a reference is known, with mean m
and its variance, the density is normal. In both a small part of the measurements is taken for outliers, whose mean does
not depend on the partiality: no single reflection can pull without limit.

References
----------
A. J. C. Wilson, Acta Cryst. 2, 318 (1949), doi:10.1107/S0365110X49000813; S. French & K. Wilson, Acta Cryst. A34, 517
(1978), doi:10.1107/S0567739478001114 (the same integral).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import erfcx, log_ndtr

OUTLIERS = 0.02
"""Part of the measurements that is expected to follow no model: hot pixels, neighbours, wrong indices. A choice: with
none a single hot pixel can turn the crystal; a tenth would cost as much of the information."""
_LOG_ROOT = 0.5 * np.log(2.0 * np.pi)


_LARGE = 1e4
"""z from which on the asymptotic form is exact to 1e-8, and the difference that it replaces is no more."""


class Score(NamedTuple):
    """How well measurements agree with expected means.

    Attributes
    ----------
    value : (n,) float64
        Logarithm of the likelihood.
    slope : (n,) float64
        Its derivative by the logarithm of the mean.
    information : (n,) float64
        The expected square of that derivative: Fisher's information.
    """

    value: np.ndarray
    slope: np.ndarray
    information: np.ndarray


def score_unknown(intensity: np.ndarray, sigma: np.ndarray, mean: np.ndarray) -> Score:
    """Score measurements of reflections of which only the mean intensity is known.

    Parameters
    ----------
    intensity, sigma : (n,) float64
        Measured, and the standard deviation of its counts, above 0.
    mean : (n,) float64
        Expected, above 0, in the same units.

    Returns
    -------
    Score

    Examples
    --------
    Of exact measurements the exponential distribution is left:

    >>> score = score_unknown(np.array([1.0]), np.array([1e-3]), np.array([2.0]))
    >>> round(float(score.value[0] + np.log(2.0)), 3), round(float(score.slope[0]), 3)
    (-0.5, -0.5)
    """
    ratio = sigma / mean
    z = (ratio - intensity / sigma) / np.sqrt(2.0)
    # log(erfcx(z)) = z² + log(2 Phi(-z sqrt 2)): erfcx itself overflows where z is far below 0
    far = z < -5.0
    tail = erfcx(np.where(far, 0.0, z))
    log_tail = np.where(far, z**2 + np.log(2.0) + log_ndtr(-np.sqrt(2.0) * z), np.log(tail))
    value = -np.log(2.0 * mean) - 0.5 * (intensity / sigma) ** 2 + log_tail
    slope = -1.0 - ratio / np.sqrt(2.0) * (2.0 * z - np.where(far, 0.0, 2.0 / np.sqrt(np.pi) / tail))
    # far on the other side the difference of two large numbers is -1/z
    slope = np.where(z > _LARGE, -1.0 + ratio / np.sqrt(2.0) / np.maximum(z, 1.0), slope)
    # between its limits 1 (no counting error) and (m / sigma)²; within 3 % of the integral, which a test computes
    power = ratio**2.5
    return Score(value, slope, 1.0 / (1.0 + ratio**2 - 2.0 * power / (power + 5.67)))


def score_known(intensity: np.ndarray, variance: np.ndarray, mean: np.ndarray) -> Score:
    """Score measurements of reflections whose intensity is known.

    Parameters
    ----------
    intensity : (n,) float64
        Measured.
    variance : (n,) float64
        Of the measurement and of the mean together, above 0.
    mean : (n,) float64
        Expected.

    Returns
    -------
    Score
    """
    miss = intensity - mean
    value = -0.5 * miss**2 / variance - 0.5 * np.log(variance) - _LOG_ROOT
    return Score(value, miss * mean / variance, mean**2 / variance)


def add_outliers(score: Score, intensity: np.ndarray, sigma: np.ndarray, mean: np.ndarray) -> Score:
    """Give each measurement a chance to be an outlier.

    Parameters
    ----------
    score : Score
    intensity, sigma : (n,) float64
        As for :func:`score_unknown`.
    mean : (n,) float64
        Of outliers, which must not depend on what is fitted.

    Returns
    -------
    Score
    """
    other = score_unknown(intensity, sigma, mean).value + np.log(OUTLIERS)
    own = score.value + np.log1p(-OUTLIERS)
    value = np.logaddexp(own, other)
    trust = np.exp(own - value)
    return Score(value, trust * score.slope, trust * score.information)
