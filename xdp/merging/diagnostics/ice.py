"""Shells in which powder rings of ice have spoilt the intensities."""

from __future__ import annotations

import numpy as np

from xdp.prediction.ice_rings import ICE_SPACINGS, is_off_ice_rings

_WIDTH = 0.004
"""1/Å² to both sides of a ring that its shell holds: about twice the width of a ring itself."""
_FEWEST = 50  # reflections of a ring, and of its surroundings: means of fewer are not yet distributed normally
_SIGNIFICANT = 5.0
"""Standard errors by which a ring must differ: means of 50 exponential intensities do by chance once in 100,000."""


def find_ice_rings(intensity: np.ndarray, d: np.ndarray, epsilon: np.ndarray) -> tuple[float, ...]:
    """Find the rings of ice at which the mean intensity is not that of the neighbouring resolutions.

    Parameters
    ----------
    intensity : (m,) float64
        Merged.
    d : (m,) float64
        Å.
    epsilon : (m,) int
        Factor by which symmetry raises the mean.

    Returns
    -------
    tuple of float
        Å; rings at which the mean is higher or lower by 5 standard errors and by a quarter.

    Examples
    --------
    >>> import numpy as np
    >>> d, rng = np.linspace(5.0, 1.8, 30_000), np.random.default_rng(1)
    >>> I = rng.exponential(size=30_000) * np.where(abs(d - 3.669) < 0.02, 2.0, 1.0)
    >>> find_ice_rings(I, d, np.ones(30_000))
    (3.669,)
    """
    known = np.isfinite(intensity)
    x, values = 1.0 / np.square(d[known]), (intensity / epsilon)[known]
    clean = is_off_ice_rings(d[known], _WIDTH)
    found = []
    for spacing in ICE_SPACINGS:
        away = np.abs(x - 1.0 / spacing**2)
        inside, beside = away <= 0.5 * _WIDTH, clean & (away <= 5.0 * _WIDTH)
        if min(np.count_nonzero(inside), np.count_nonzero(beside)) < _FEWEST:
            continue
        mean, expected = values[inside].mean(), values[beside].mean()
        error = np.hypot(_standard_error(values[inside]), _standard_error(values[beside]))
        if abs(mean - expected) > max(_SIGNIFICANT * error, 0.25 * abs(expected)):
            found.append(float(spacing))
    return tuple(found)


def _standard_error(values: np.ndarray) -> float:
    """Of the mean."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
