r"""How the reflecting range differs by direction: blocks that are turned by different amounts about different axes.

A reflection passes the Ewald sphere as blocks are turned about its axis e1, :math:`e_1 \parallel s_1 \times s_0`. So

.. math:: \sigma_m^2 \propto e_1^T D\, e_1,

with e1 in the crystal's frame. D is the covariance H of the blocks' rotations (see :mod:`.spread`), and on its diagonal
all else that makes reflections last. Spots are put into groups by the direction of e1; D follows from the
sigma_m of all groups by least squares. A short scan sees e1 about few directions only. What it does not see is drawn
towards a range that is the same for all, and no reflection needs it.
"""

from __future__ import annotations

import logging

import numpy as np

from xdp.integration.profiles.mosaic.fit import CLEAR_GAIN
from xdp.integration.profiles.mosaic.range_scale import NetSpots, compute_ratio_error

log = logging.getLogger(__name__)

LEAST_PART = 0.1
"""sigma_m^2 of a reflection is at least so much of the mean: a direction that few spots have is known no better."""
_LEAST_SPOTS = 30
"""In a group: fewer give no useful width. A choice."""
_LEAST_GROUPS = 4
"""For three and more elements of D. A choice."""
_ROUNDS = 4
"""Rounds, a choice: the width of a group depends on the directions within it, and settles to 2 % after three."""
_UNSEEN = 0.3
"""Standard deviation of the prior of D's elements, of their mean: wide beside what 30 spots say. A choice."""
_DIRECTIONS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, -1, 0], [1, 0, 1], [1, 0, -1], [0, 1, 1],
                        [0, 1, -1], [1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]], np.float64)
"""Axes, diagonals of faces and of the body of a cube: axes of all directions are within 27 degrees of one."""


def estimate_range_direction(net: NetSpots, axis: np.ndarray, expected: np.ndarray) -> np.ndarray | None:
    """Estimate D of the reflecting range.

    Parameters
    ----------
    net : NetSpots
    axis : (n, 3) float64
        e1 of each in the crystal's frame.
    expected : (n,) float64
        sigma_m^2 of the model without it, rad^2.

    Returns
    -------
    (3, 3) float64 or None
        With a mean of 1 over the spots; None where the range is the same in all directions, as far as spots show.

    Examples
    --------
    Groups that all have the width that is expected say nothing of D; here there are no spots at all:

    >>> from xdp.integration.profiles.spot_spread import SpotFrames
    >>> none, frames = np.zeros(0), SpotFrames(*np.zeros((5, 0)))
    >>> estimate_range_direction(NetSpots(None, none, frames, none, none, none), np.zeros((0, 3)), none) is None
    True
    """
    unit = _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)
    group = np.argmax(np.abs(axis @ unit.T), axis=1) if len(axis) else np.zeros(0, np.int64)
    numbers = [k for k in range(len(unit)) if np.count_nonzero(group == k) >= _LEAST_SPOTS]
    if len(numbers) < _LEAST_GROUPS:
        return None
    groups = [group == k for k in numbers]
    factor, d = np.ones(len(axis)), np.eye(3)
    for number in range(_ROUNDS):
        ratios = np.array([net.compare_width(inside, factor * expected) or 1.0 for inside in groups])
        errors = np.array([compute_ratio_error(r, int(inside.sum())) for r, inside in zip(ratios, groups, strict=True)])
        if number == 0:
            mean = np.average(ratios, weights=errors**-2.0)
            gain = float(np.square((ratios - mean) / errors).sum())
            if gain < CLEAR_GAIN:
                return None
        middle = np.array([factor[inside].mean() for inside in groups])
        d = _fit_tensor([axis[inside] for inside in groups], middle * ratios, middle * errors)
        factor = evaluate_direction(d, axis)
    d = d / float(factor.mean())
    log.info("Reflecting range differs by direction (chi^2 %.0f): from %.2f to %.2f times the mean", gain,
             *np.sqrt(np.quantile(evaluate_direction(d, axis), [0.05, 0.95])))
    return d


def evaluate_direction(d: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Compute by what sigma_m^2 of reflections is multiplied.

    Parameters
    ----------
    d : (3, 3) float64
    axis : (n, 3) float64
        e1 of each in the crystal's frame.

    Returns
    -------
    (n,) float64
        Not below `LEAST_PART`.

    Examples
    --------
    >>> evaluate_direction(np.diag([2.0, 1.0, 0.0]), np.eye(3)).tolist()
    [2.0, 1.0, 0.1]
    """
    return np.maximum(np.einsum("ni,ij,nj->n", axis, d, axis), LEAST_PART)


def _fit_tensor(axes: list[np.ndarray], values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Fit D to the mean values of groups of directions."""
    mean = [np.einsum("ni,nj->ij", a, a) / len(a) for a in axes]
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    design = np.array([[m[i, j] * (1.0 if i == j else 2.0) for i, j in pairs] for m in mean]) / errors[:, None]
    level = float(np.average(values, weights=errors**-2.0))
    expected = np.array([level, level, level, 0.0, 0.0, 0.0])
    precision = (_UNSEEN * level) ** -2.0
    normal = design.T @ design + precision * np.eye(6)
    found = np.linalg.solve(normal, design.T @ (values / errors) + precision * expected)
    d = np.empty((3, 3))
    for (i, j), value in zip(pairs, found, strict=True):
        d[i, j] = d[j, i] = value
    return d
