"""How far the errors of observations exceed what counting explains: ``sigma^2 = a^2 (counting + (b I)^2)``.

References
----------
Evans & Murshudov (2013). Acta Cryst. D69, 1204-1214, doi:10.1107/S0907444913000061 (the form); Diederichs (2010).
Acta Cryst. D66, 733-740, doi:10.1107/S0907444910014836 (the highest I/sigma, 1 / (a b)); Patterson & Thompson (1971).
Biometrika 58, 545-554, doi:10.1093/biomet/58.3.545 (the likelihood of variances with the means eliminated).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from xdp.scaling._kernels_normal import Rows, merge_rows, restricted_likelihood
from xdp.scaling.observations import ObservationGroups
from xdp.scaling.options import ErrorModelOptions

_RANGE = np.log(1e-4), np.log(0.5)
"""Logarithms of the least b (0.01 %, less than any detector's) and the largest."""
_FACTORS = np.log(0.1), np.log(100.0)
"""Logarithms of the least and the largest a of a sweep: beyond, its sigmas mean nothing."""
_FEWEST = 30
"""With fewer observations beyond the means and scales a is 1 and b is 0, or as given. A choice: 13 % error of a."""


@dataclass(frozen=True)
class ErrorModel:
    """The numbers of an error model, for all observations or for those of each sweep.

    Attributes
    ----------
    a, b : (k,) float64
        One for all sweeps, or one for each.
    a_error, b_error : (k,) float64
        Standard deviations; 0 where the numbers were given.
    n_observations : int
        How many observations it is from; 0 where nothing was estimated.
    """

    a: np.ndarray
    b: np.ndarray
    a_error: np.ndarray
    b_error: np.ndarray
    n_observations: int = 0

    @classmethod
    def make(cls, a: float | None = 1.0, b: float | None = 0.0) -> ErrorModel:
        """A model of given numbers for all sweeps.

        Parameters
        ----------
        a, b : float or None
            None: 1 and 0.

        Returns
        -------
        ErrorModel
        """
        return cls(np.array([1.0 if a is None else a]), np.array([0.0 if b is None else b]), np.zeros(1), np.zeros(1))

    @classmethod
    def begin(cls, options: ErrorModelOptions) -> ErrorModel:
        """The model before anything is estimated.

        Parameters
        ----------
        options : ErrorModelOptions

        Returns
        -------
        ErrorModel
            With b of 2 % where it will be estimated: a usual value.
        """
        if options.error_model is None:
            return cls.make()
        return cls.make(options.basic.a, 0.02 if options.basic.b is None else options.basic.b)

    @property
    def i_over_sigma_limit(self) -> np.ndarray:
        """The I/sigma that no observation exceeds (ISa): ``1 / (a b)``."""
        with np.errstate(divide="ignore"):
            return 1.0 / (self.a * self.b)

    def compute_variances(self, seen: ObservationGroups, expected: np.ndarray) -> np.ndarray:
        """The variances of observations.

        Parameters
        ----------
        seen : ObservationGroups
        expected : (n,) float64
            Their expected intensities.

        Returns
        -------
        (n,) float64
        """
        which = seen.sweep if len(self.a) > 1 else np.zeros(1, np.int64)
        counting = seen.background_variance + seen.counting * expected
        return np.square(self.a[which]) * (counting + np.square(self.b[which] * expected))


def fit_error_model(seen: ObservationGroups, g: np.ndarray, expected: np.ndarray, use: np.ndarray, n_free: float,
                    options: ErrorModelOptions) -> ErrorModel:
    """Estimate a and b by maximum likelihood, with mates apart.

    Parameters
    ----------
    seen : ObservationGroups
    g, expected : (n,) float64
        Scales, and expected intensities.
    use : (n,) bool
        ObservationGroups that are no outliers.
    n_free : float
        How many parameters of scales the observations determined.
    options : ErrorModelOptions
        Numbers that are given are kept.

    Returns
    -------
    ErrorModel
    """
    if options.error_model is None:
        return ErrorModel.make()
    given = options.basic
    rows = Rows(seen.start_apart, seen.intensity)
    counting = seen.background_variance + seen.counting * expected

    def compute_terms(b: float) -> tuple[float, float, float]:
        """Minus twice the logarithm of the likelihood with the best a, its square, and the degrees of freedom."""
        result = np.zeros(5)
        restricted_likelihood(rows, g, counting + np.square(b * expected), use, result)
        freedom = result[3] - result[4] - n_free
        # Observations that are all the same, as in a table of zeros, say nothing of their errors.
        if freedom < _FEWEST or not result[0] > 0.0:
            return np.inf, 1.0, freedom
        a2 = result[0] / freedom if given.a is None else given.a**2
        return freedom * np.log(a2) + result[1] + result[2] + result[0] / a2, a2, freedom

    if not np.isfinite(compute_terms(0.0)[0]):
        return ErrorModel.make(given.a, given.b)
    b, b_error = given.b, 0.0
    if b is None:
        found = minimize_scalar(lambda x: compute_terms(np.exp(x))[0], bounds=_RANGE, method="bounded",
                                options={"xatol": 0.005})
        b = float(np.exp(found.x))
        b_error = b * _measure_error(lambda x: compute_terms(b * np.exp(x))[0])
    _, a2, freedom = compute_terms(b)
    a = float(np.sqrt(a2))
    return ErrorModel(np.array([a]), np.array([b]), np.array([a / np.sqrt(2.0 * freedom) if given.a is None else 0.0]),
                      np.array([b_error]), int(np.count_nonzero(use)))


def fit_by_sweep(seen: ObservationGroups, g: np.ndarray, expected: np.ndarray, use: np.ndarray, common: ErrorModel,
                 options: ErrorModelOptions) -> ErrorModel:
    """Estimate a and b for each sweep, from the deviations of its observations from the others of their reflection.

    Parameters
    ----------
    seen : ObservationGroups
    g, expected : (n,) float64
    use : (n,) bool
    common : ErrorModel
        That of all sweeps, or of each so far; a sweep with few observations keeps it.
    options : ErrorModelOptions

    Returns
    -------
    ErrorModel
        With one a and b for each sweep.
    """
    n_sweeps = int(seen.sweep.max()) + 1
    a, b, a_error, b_error = (np.broadcast_to(x, n_sweeps).copy() for x in (common.a, common.b, common.a_error,
                                                                           common.b_error))
    given = options.basic
    square, shrink, other = _deviate_from_others(seen, g, common.compute_variances(seen, expected), use)
    counting = seen.background_variance + seen.counting * expected
    for k in range(n_sweeps):
        mine = np.flatnonzero((seen.sweep == k) & use & (shrink > 0.0))
        if len(mine) < _FEWEST:
            continue
        e2, rest, count, mean2 = square[mine], other[mine], counting[mine], np.square(expected[mine])

        def cost(x: np.ndarray, e2: Any = e2, rest: Any = rest, count: Any = count, mean2: Any = mean2) -> float:
            v = np.exp(2.0 * x[0]) * (count + np.exp(2.0 * x[1]) * mean2) + rest
            return float(np.sum(np.log(v) + e2 / v))

        x0 = np.log([a[k], max(b[k], np.exp(_RANGE[0]))])
        held = [(x, x) if value is not None else limits
                for x, value, limits in zip(x0, (given.a, given.b), (_FACTORS, _RANGE), strict=True)]
        found = minimize(cost, x0, bounds=held, method="L-BFGS-B")
        a[k], b[k] = np.exp(found.x)
        a_error[k] = 0.0 if given.a is not None else a[k] / np.sqrt(2.0 * len(mine))
        if given.b is None:
            along = partial(_call_beside, cost, found.x)
            b_error[k] = b[k] * _measure_error(along)
    return ErrorModel(a, b, a_error, b_error, int(np.count_nonzero(use)))


def _deviate_from_others(seen: ObservationGroups, g: np.ndarray, s2: np.ndarray, use: np.ndarray
                         ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squares of the deviations from ``g`` times the mean of the others, whether there are any, and that mean's part
    of the variance."""
    rows, weights = Rows(seen.start_apart, seen.intensity), np.where(use, 1.0 / s2, 0.0)
    J, information = np.zeros((2, len(rows.start) - 1))
    merge_rows(rows, g, weights, J, information)
    group = np.repeat(np.arange(len(J)), np.diff(rows.start))
    own = weights * g * g
    left = information[group] - own
    has_others = left > 1e-9 * information[group]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (information[group] * J[group] - weights * g * seen.intensity) / left
        square, part = np.square(seen.intensity - g * mean), g * g / left
    return np.where(has_others, square, 0.0), has_others.astype(np.float64), np.where(has_others, part, 0.0)


def _call_beside(cost: Callable[[np.ndarray], float], best: np.ndarray, step: float) -> float:
    """The cost with b by a step of its logarithm from the best."""
    return cost(best + np.array([0.0, step]))


def _measure_error(cost: Callable[[float], float]) -> float:
    """The standard deviation of a parameter at whose best value `cost` (minus twice the logarithm of the likelihood) is
    called with 0, from the parabola through values a fifth to either side."""
    step = 0.2
    sides = cost(-step) + cost(step) - 2.0 * cost(0.0)
    return step * float(np.sqrt(2.0 / sides)) if sides > 0.0 else np.inf
