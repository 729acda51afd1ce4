r"""What the shots of a run say together about the widths of lattice points: a prior for each further shot.

A shot with few spots says little about its own widths, but shots of one run are of one kind of crystals in one beam. So
:math:`\ln a`, :math:`\ln b` and :math:`c^2` are taken as normally distributed over the run. (The square of a width can
be found to be about 0, its logarithm cannot; and bandwidths often are.) Mean and variance of that distribution
come from the single shots' estimates :math:`x_i` with variances :math:`v_i`, by moments with the fixed weights
:math:`w_i = 1 / (v_i + t^2)`:

.. math::

    \mu = \frac{\sum w_i x_i}{\sum w_i}, \qquad
    \tau^2 = \frac{\sum w_i (x_i - \mu)^2 - \sum w_i v_i + \sum w_i^2 v_i / \sum w_i}
                  {\sum w_i - \sum w_i^2 / \sum w_i}.

All of these are sums over shots. They are kept as whole numbers in units of :math:`2^{-40}`, so that any order of shots
and any division among workers gives the same bits.

References
----------
R. DerSimonian & R. Kacker, Contemp. Clin. Trials 28, 105 (2007), doi:10.1016/j.cct.2006.04.004 (the estimate by
moments, for any weights); H. Robbins, Proc. 3rd Berkeley Symp. 1, 157 (1956), for the idea of an empirical prior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

N_WIDTHS = 3
"""a, b and c."""
_SCALES = (1.0, 1.0, 1e-6)
"""Units of ln a, ln b and c², which are sizes that they may have: sums are of numbers of about 1."""
_WEIGHT_SPREAD = 0.2
"""t: scatter of widths between shots that the weights assume, in these units. A choice: estimates better than that
count alike, so that no single strong shot decides."""
_LEAST_SPREAD = 0.05
"""Smallest scatter between shots that the prior states, relative: fewer shots than some hundred cannot prove less."""
_LEAST_SHOTS = 5
"""From fewer shots nothing is learned of their scatter. A choice."""
_UNIT = 2.0**40
"""Sums are whole numbers of its reciprocal."""
_LEAST_WEIGHT = 1e-3
"""Estimates of a smaller weight say nothing and are left out."""


@dataclass(frozen=True)
class PartialityPrior:
    """A normal distribution of the logarithms of a (1/Å), b (rad) and c (relative).

    Attributes
    ----------
    mean, spread : tuple of float
        Means and standard deviations of the three logarithms.

    Notes
    -----
    The default is for a run of which nothing is known: domains of 0.2 µm, rotations of 0.05 degrees, a bandwidth of
    0.03 %, each within a factor of two or three. These are usual values, not measured ones.
    """

    mean: tuple[float, ...] = (float(np.log(2.5e-4)), float(np.log(9e-4)), float(np.log(3e-4)))
    spread: tuple[float, ...] = (1.0, 1.0, 0.5)

    def to_dict(self) -> dict[str, Any]:
        """Write the prior as a dictionary of lists."""
        return {"mean": list(self.mean), "spread": list(self.spread)}

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> PartialityPrior:
        """Read the prior of a dictionary of :meth:`to_dict`."""
        return cls(tuple(map(float, source["mean"])), tuple(map(float, source["spread"])))


@dataclass
class PriorSums:
    """Sums over shots of which a prior is made.

    Attributes
    ----------
    n : list of int
        Shots that say something, for each width.
    sums : list of list of int
        For each width the sums of w, w², w x, w x², w v and w² v, in units of 2^-40.

    Examples
    --------
    >>> sums = PriorSums()
    >>> for shift in (-0.1, -0.05, 0.0, 0.05, 0.1):
    ...     sums.add(np.array([-8.0 + shift, -7.0 + shift, 1e-6]), np.array([1e-4, 1e-4, 1e-14]))
    >>> [round(value, 2) for value in sums.estimate_prior().mean]
    [-8.0, -7.0, -6.91]
    """

    n: list[int] = field(default_factory=lambda: [0] * N_WIDTHS)
    sums: list[list[int]] = field(default_factory=lambda: [[0] * 6 for _ in range(N_WIDTHS)])

    def add(self, widths: np.ndarray, variances: np.ndarray) -> None:
        """Add the estimates of one shot.

        Parameters
        ----------
        widths : (3,) float64
            ln a, ln b and c² by this shot alone.
        variances : (3,) float64
            Of these; infinite where it says nothing.
        """
        for k, scale in enumerate(_SCALES):
            x, v = float(widths[k]) / scale, float(variances[k]) / scale**2
            w = 1.0 / (v + _WEIGHT_SPREAD**2)
            if not (np.isfinite(x) and w > _LEAST_WEIGHT):
                continue
            self.n[k] += 1
            terms = (w, w * w, w * x, w * x * x, w * v, w * w * v)
            self.sums[k] = [old + round(term * _UNIT) for old, term in zip(self.sums[k], terms, strict=True)]

    def merge(self, other: PriorSums) -> None:
        """Add the sums of other shots.

        Parameters
        ----------
        other : PriorSums
        """
        self.n = [a + b for a, b in zip(self.n, other.n, strict=True)]
        self.sums = [[a + b for a, b in zip(mine, theirs, strict=True)]
                     for mine, theirs in zip(self.sums, other.sums, strict=True)]

    def estimate_prior(self, start: PartialityPrior | None = None) -> PartialityPrior:
        """Estimate the distribution that the shots were drawn from.

        Parameters
        ----------
        start : PartialityPrior, optional
            What is expected without shots; by default the usual one.

        Returns
        -------
        PartialityPrior
            `start` for widths that fewer than five shots tell.
        """
        start = start or PartialityPrior()
        mean, spread = list(start.mean), list(start.spread)
        for k in range(N_WIDTHS):
            if self.n[k] < _LEAST_SHOTS:
                continue
            w, ww, wx, wxx, wv, wwv = (value / _UNIT for value in self.sums[k])
            middle = wx / w
            scatter = max((wxx - wx * middle - wv + wwv / w) / (w - ww / w), 0.0)
            # the mean's own error belongs to what a further shot may expect
            width = float(np.sqrt(max(scatter, _LEAST_SPREAD**2) + (wwv + scatter * ww) / w**2))
            mean[k], spread[k] = (middle, width) if k < N_WIDTHS - 1 else _to_log(middle, width, start)
        return PartialityPrior(tuple(mean), tuple(spread))


def _to_log(square: float, width: float, start: PartialityPrior) -> tuple[float, float]:
    """Convert mean and standard deviation of c², in their unit, to those of ln c."""
    scale = _SCALES[-1]
    # a square that is 0 within its error is as large as that error allows; how much smaller makes no difference
    value = max(square, width)
    if square < width:
        value = min(value, float(np.exp(2.0 * start.mean[-1])) / scale)
    return 0.5 * float(np.log(value * scale)), float(np.clip(0.5 * width / value, _LEAST_SPREAD, start.spread[-1]))
