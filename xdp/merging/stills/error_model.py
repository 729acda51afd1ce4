r"""Errors of stills' observations: :math:`\sigma^2 = s^2(\sigma_c^2 + s_B J) + (\sigma_p^2/p^2 + s_A^2)\,J^2`.

:math:`\sigma_c` is that of counting, :math:`\sigma_p` that of the partiality, J the full intensity as all lattices say.
The three numbers s, s_B and s_A are the most likely ones for the deviations of observations from what the *other*
lattices say. A part of the deviations may be anything (a second, wide normal distribution): wrong lattices, of which
some are always left, do not make all errors large.

References
----------
P. R. Evans, Acta Cryst. D67, 282 (2011), doi:10.1107/S090744491003982X (the three terms); A. S. Brewster et al., Acta
Cryst. D75, 959 (2019), doi:10.1107/S2059798319012877 (the same for stills).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

_FEWEST = 100
"""With fewer deviations the model is not estimated. A choice: 7 % error of s."""
_MOST = 100_000
"""Deviations that are used: more change nothing that shows."""
_WIDE = 5.0
"""Width of the wide distribution, in standard deviations."""
_PART = 0.03
"""Its part of the observations. A choice: robust up to some tenths, and 1 % too small a variance without outliers."""
_LIMITS = ((np.log(0.3), np.log(10.0)), (np.log(1e-4), np.log(3.0)), (np.log(1e-3), np.log(3.0)))
"""Of s, s_B over the mean intensity, and s_A."""


@dataclass(frozen=True)
class StillsErrorModel:
    """The three numbers of the error model.

    Attributes
    ----------
    scale : float
        s: factor of the standard deviations by counting.
    linear : float
        s_B: variance in proportion to the intensity, on the common scale.
    relative : float
        s_A: relative error.
    """

    scale: float
    linear: float
    relative: float

    def compute_parts(self, counting: np.ndarray, partial: np.ndarray, expected: np.ndarray
                      ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the two parts of variances.

        Parameters
        ----------
        counting : (n,) float64
            By counting, of full intensities.
        partial : (n,) float64
            Relative variances of partialities.
        expected : (n,) float64
            Expected full intensities.

        Returns
        -------
        absolute : (n,) float64
        relative : (n,) float64
            To be multiplied with the square of the intensity.

        Examples
        --------
        >>> model = StillsErrorModel(2.0, 0.0, 0.1)
        >>> [float(v.round(3)[0]) for v in model.compute_parts(np.ones(1), np.zeros(1), np.ones(1))]
        [4.0, 0.01]
        """
        return self.scale**2 * (counting + self.linear * expected), partial + self.relative**2

    def to_dict(self) -> dict[str, float]:
        """Write the numbers by their names, for reports."""
        return {"s": self.scale, "s_B": self.linear, "s_A": self.relative}


def fit_stills_errors(deviation: np.ndarray, other: np.ndarray, counting: np.ndarray, partial: np.ndarray,
                      expected: np.ndarray) -> StillsErrorModel | None:
    """Find the most likely error model.

    Parameters
    ----------
    deviation : (n,) float64
        Full intensities less what other lattices say.
    other : (n,) float64
        Variances of what other lattices say.
    counting, partial, expected : (n,) float64
        As of :meth:`StillsErrorModel.compute_parts`.

    Returns
    -------
    StillsErrorModel or None
        None: there are too few deviations.
    """
    rows = np.flatnonzero(np.isfinite(other) & np.isfinite(deviation))
    if len(rows) < _FEWEST:
        return None
    rows = rows[:: 1 + len(rows) // _MOST]
    square, other, counting, partial, expected = (v[rows] for v in (deviation**2, other, counting, partial, expected))
    # s_B is sought relative to it, so that its limits do not depend on the scale
    level = max(float(np.mean(expected)), 1e-12)

    def cost(x: np.ndarray) -> float:
        model = StillsErrorModel(np.exp(x[0]), level * np.exp(x[1]), np.exp(x[2]))
        absolute, relative = model.compute_parts(counting, partial, expected)
        variance = absolute + relative * expected**2 + other
        ratio = square / variance
        density = (1.0 - _PART) * np.exp(-0.5 * ratio) + _PART / _WIDE * np.exp(-0.5 * ratio / _WIDE**2)
        return float(np.sum(0.5 * np.log(variance) - np.log(np.maximum(density, 1e-300)))) / len(rows)

    # s and s_B are correlated: two beginnings, and the better end
    best = min((minimize(cost, x0, method="L-BFGS-B", bounds=_LIMITS)
                for x0 in (np.log([1.0, 1e-3, 0.05]), np.log([1.2, 1e-2, 0.3]))), key=lambda found: found.fun)
    s, s_b, s_a = np.exp(best.x).tolist()
    return StillsErrorModel(s, level * s_b, s_a)
