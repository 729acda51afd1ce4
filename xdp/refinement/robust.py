"""A first fit that outliers do not spoil, for models that are too far off to tell which observations are outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.equations.engine import minimise
from xdp.refinement.equations.parts import NormalEquations, ObservedCentroids, Part
from xdp.refinement.equations.problem import build_normal_equations, compute_residuals, predict_part
from xdp.refinement.parameters.setup import Problem
from xdp.refinement.parameters.writeback import apply_parameters

# The fit is only a start for refinement proper: these are choices that make it quick and accurate enough for outliers
# to be told. Tried on simulated sweeps turned by 0.3 degrees with 30 % outliers (tests/refinement/test_robust.py).
_MOST_ROUNDS = 20  # times that weights are made anew
_SETTLED = 0.01    # stop if no width changes by more than this fraction
_STEPS = 3         # of the minimisation with one set of weights
_ENOUGH = 2000     # observations of a sweep
_LEAST_WIDTH = 1e-12  # keeps a division by zero away, where all residuals are zero


def thin_out(data: Sequence[ObservedCentroids]) -> list[ObservedCentroids]:
    """Thin out the observations of each experiment: every n-th stays, so that 2000 to 4000 are left of many.

    Parameters
    ----------
    data : sequence of ObservedCentroids
        The observations, one item for each experiment.
    """
    return [d.select(slice(None, None, max(len(d) // _ENOUGH, 1))) for d in data]


def fit_robustly(experiments: ExperimentList, problem: Problem) -> ExperimentList:
    """Move the experiments to where most observations want them, whatever the others say.

    Outliers cannot be rejected yet while a crystal is turned: its residuals are a trend over the detector, of which any
    part may pass for the good ones. Here they are weighted down instead, by reweighted least squares with Cauchy's
    weights w / (1 + r^2 / m), where r^2 is the weighted squared distance of an observation from its prediction and m
    its median.

    Parameters
    ----------
    experiments : ExperimentList
        The models to begin with.
    problem : Problem
        Made from them and the observations.

    Returns
    -------
    ExperimentList
        With the models moved.

    References
    ----------
    Holland & Welsch (1977) "Robust regression using iteratively reweighted least-squares", Commun. Stat. A6, 813.
    """
    p, widths = np.zeros(problem.size), np.full(len(problem.parts), np.inf)
    for _ in range(_MOST_ROUNDS):
        squares = [_compute_squares(part, p) for part in problem.parts]
        before, widths = widths, np.array([_find_width(s) for s in squares])
        if np.all(np.abs(widths - before) <= _SETTLED * widths):
            break
        parts = [_reweight(part, s, w) for part, s, w in zip(problem.parts, squares, widths, strict=True)]
        p = minimise(partial(_build_equations, parts), p, max_iterations=_STEPS).parameters
    return apply_parameters(problem, p, experiments)


def _build_equations(parts: Sequence[Part], p: np.ndarray) -> list[NormalEquations]:
    return [build_normal_equations(part, p) for part in parts]


def _compute_squares(part: Part, p: np.ndarray) -> np.ndarray:
    """Weighted squared distance of each observation from its prediction; infinite where there is none."""
    _, at = predict_part(part, p)
    return np.where(at.ok, np.sum(part.data.weights * compute_residuals(part, at) ** 2, axis=1), np.inf)


def _find_width(squares: np.ndarray) -> float:
    """The median of the squared distances."""
    known = squares[np.isfinite(squares)]
    return max(float(np.median(known)), _LEAST_WIDTH) if len(known) else 1.0


def _reweight(part: Part, squares: np.ndarray, width: float) -> Part:
    """The part with weights that fall with the distance of an observation from its prediction."""
    return replace(part, data=replace(part.data, weights=part.data.weights / (1.0 + squares / width)[:, None]))
