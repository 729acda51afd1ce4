"""A first fit that outliers do not spoil, where the models are too far off to tell outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.equations.engine import minimise
from xdp.refinement.equations.problem import Data, Part, normal_equations, predict, residuals
from xdp.refinement.parameters.setup import Problem
from xdp.refinement.parameters.writeback import apply

_MOST_ROUNDS = 20  # times that weights are made anew
_SETTLED = 0.01    # stop where no width changes by more than this fraction
_STEPS = 3         # of the minimisation between
_ENOUGH = 2000     # observations of a sweep: a start needs no more


def thinned(data: Sequence[Data]) -> list[Data]:
    """Every so many-th observation of each experiment."""
    return [d.select(slice(None, None, max(len(d) // _ENOUGH, 1))) for d in data]


def robust_fit(experiments: ExperimentList, problem: Problem) -> ExperimentList:
    """The experiments moved to where most observations want them, whatever the others say.

    Reweighted least squares with Cauchy's weights, whose width is the median of the residuals. Rejecting outliers
    comes too early where a crystal is turned: its residuals are a trend over the detector, of which any part may
    pass for the good ones.

    References
    ----------
    Holland & Welsch (1977) "Robust regression using iteratively reweighted least-squares", Commun. Stat. A6, 813.
    """
    p, widths = np.zeros(problem.size), np.inf
    for _ in range(_MOST_ROUNDS):
        squares = [_squares(part, p) for part in problem.parts]
        before, widths = widths, np.array([_width(s) for s in squares])
        if np.all(np.abs(widths - before) <= _SETTLED * widths):
            break
        parts = [_reweighted(part, s, w) for part, s, w in zip(problem.parts, squares, widths, strict=True)]
        p = minimise(lambda q, parts=parts: [normal_equations(part, q) for part in parts], p,
                     max_iterations=_STEPS).parameters
    return apply(problem, p, experiments)


def _squares(part: Part, p: np.ndarray) -> np.ndarray:
    """Weighted squared distance of each observation from its prediction; infinite where there is none."""
    _, at = predict(part, p)
    return np.where(at.ok, np.sum(part.data.weights * residuals(part, at) ** 2, axis=1), np.inf)


def _width(squares: np.ndarray) -> float:
    known = squares[np.isfinite(squares)]
    return max(float(np.median(known)), 1e-12) if len(known) else 1.0


def _reweighted(part: Part, squares: np.ndarray, width: float) -> Part:
    """The observations with weights that fall with the distance from their predictions."""
    return replace(part, data=replace(part.data, weights=part.data.weights / (1.0 + squares / width)[:, None]))
