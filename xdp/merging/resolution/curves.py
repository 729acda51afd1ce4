"""Curves through the statistics of shells, and where they cross a limit.

References
----------
Correlations: Evans & Murshudov (2013). Acta Cryst. D69, 1204-1214, doi:10.1107/S0907444913000061, for the tanh; Fisher
(1915). Biometrika 10, 507-521, doi:10.1093/biomet/10.4.507, for the variance of a correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CEILING = 0.995
"""Correlations above are taken as this: nearer to 1 the logarithms of Fisher's z differ though nobody would care."""
_FEWEST = 4  # shells that a curve needs


@dataclass(frozen=True)
class FittedCurve:
    """A statistic against resolution, and the curve through it.

    Attributes
    ----------
    d : (n,) float64
        Å, of the shells that count.
    values, fitted : (n,) float64
    limit : float
        Å where the curve crosses the limit; NaN where no curve could be fitted.
    is_beyond : bool
        Whether the data end before the curve crosses: the limit is that of the data.
    """

    d: np.ndarray
    values: np.ndarray
    fitted: np.ndarray
    limit: float
    is_beyond: bool


def fit_correlation(d: np.ndarray, values: np.ndarray, n: np.ndarray, limit: float, kind: str = "tanh") -> FittedCurve:
    """Fit a correlation that falls off with resolution, and find where it falls to a limit.

    The curve is ``(1 - tanh((x - a) / b)) / 2`` of x = 1/d²; deviations are those of Fisher's z, ``atanh``, which has
    the standard deviation ``1 / sqrt(n - 3)`` whatever the correlation.

    Parameters
    ----------
    d : (k,) float64
        Å, middle of each shell.
    values : (k,) float64
        Correlations.
    n : (k,) int
        Pairs of each.
    limit : float
    kind : {"tanh", "polynomial"}
        The curve; polynomial: of third degree, through Fisher's z.

    Returns
    -------
    FittedCurve

    Examples
    --------
    >>> import numpy as np
    >>> d = np.linspace(3.0, 1.5, 40)
    >>> cc = 0.5 * (1 - np.tanh((1 / d**2 - 0.25) / 0.05))
    >>> found = fit_correlation(d, cc, np.full(40, 100), 0.5)
    >>> round(found.limit, 3), found.is_beyond
    (2.0, False)
    """
    from scipy.optimize import least_squares

    x, z = 1.0 / np.square(d), np.arctanh(np.clip(values, -_CEILING, _CEILING))
    weight = np.sqrt(np.maximum(n - 3.0, 0.1))
    if len(d) < _FEWEST:
        return _no_curve(d, values)
    if kind == "polynomial":
        p = np.polyfit(x, z, 3, w=weight)
        return _find_crossing(d, values, lambda at: np.tanh(np.polyval(p, at)), limit)

    def curve(p: np.ndarray, at: np.ndarray) -> np.ndarray:
        return np.clip(0.5 * (1.0 - np.tanh((at - p[0]) / np.exp(p[1]))), 1e-6, _CEILING)

    below = np.flatnonzero(values < 0.5)
    start = np.array([x[below[0]] if len(below) else x.max(), np.log(0.3 * np.ptp(x) + 1e-9)])
    # outlying shells (ice) pull as their first power only
    fit = least_squares(lambda p: weight * (np.arctanh(curve(p, x)) - z), start, loss="soft_l1", f_scale=2.0)
    return _find_crossing(d, values, lambda at: curve(fit.x, at), limit)


def fit_smooth(d: np.ndarray, values: np.ndarray, n: np.ndarray, limit: float, *, rises: bool = False) -> FittedCurve:
    """Fit a positive statistic by a polynomial of its logarithm, and find where it falls (or rises) to a limit.

    Parameters
    ----------
    d : (k,) float64
        Å, middle of each shell.
    values : (k,) float64
        Those that are not above 0 do not count.
    n : (k,) int
        Reflections of each shell: their weights.
    limit : float
    rises : bool
        Whether the statistic grows with resolution, as R factors do.

    Returns
    -------
    FittedCurve

    Examples
    --------
    >>> import numpy as np
    >>> d = np.linspace(3.0, 1.5, 40)
    >>> found = fit_smooth(d, 40.0 * np.exp(-10.0 / d**2), np.full(40, 100), 2.0)
    >>> round(1.0 / found.limit**2, 3), round(np.log(20.0) / 10.0, 3).item()
    (0.3, 0.3)
    """
    good = values > 0.0
    d, values, n = d[good], values[good], n[good]
    if len(d) < _FEWEST:
        return _no_curve(d, values)
    p = np.polyfit(1.0 / np.square(d), np.log(values), min(3, len(d) - 2), w=np.sqrt(n))
    sign = -1.0 if rises else 1.0
    found = _find_crossing(d, sign * values, lambda at: sign * np.exp(np.polyval(p, at)), sign * limit)
    return FittedCurve(d, values, sign * found.fitted, found.limit, found.is_beyond)


def _no_curve(d: np.ndarray, values: np.ndarray) -> FittedCurve:
    return FittedCurve(d, values, np.full(len(d), np.nan), float("nan"), False)


def _find_crossing(d: np.ndarray, values: np.ndarray, curve, limit: float) -> FittedCurve:
    """The first crossing from low resolution on; the end of the data if there is none."""
    at = np.linspace(1.0 / d.max() ** 2, 1.0 / d.min() ** 2, 2000)
    below = np.flatnonzero(curve(at) < limit)
    # data that are below from the beginning have no limit that would keep any
    crossing = float(d.max()) if len(below) and below[0] == 0 else (
        float(at[below[0]] ** -0.5) if len(below) else float(d.min()))
    return FittedCurve(d, values, curve(1.0 / np.square(d)), crossing, not len(below))
