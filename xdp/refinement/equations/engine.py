"""Levenberg-Marquardt minimisation of the sum of many experiments' losses.

Parameters that only one experiment has (its crystal) are eliminated from its equations by the Schur complement, so that
the system to be solved is that of the shared parameters.

References
----------
Levenberg (1944) Q. Appl. Math. 2, 164; Marquardt (1963) SIAM J. Appl. Math. 11, 431; Triggs et al. (2000) "Bundle
adjustment - a modern synthesis", LNCS 1883, 298 (section 6, the reduced system of the shared parameters).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.refinement.equations.parts import NormalEquations

# Damping to begin with, and the factors after a step that lowers the loss and after one that does not. Factors of ten
# are Marquardt's; the first damping is a choice that leaves the first steps nearly full.
_DAMPING, _FALL, _RISE = 1e-3, 0.1, 10.0
# Damping after a failed step is at least this, so that full Gauss-Newton steps can become damped ones.
_LEAST_DAMPING = 1e-6
# Beyond this damping a step is a millionth of the one down the gradient: nothing lowers the loss any more.
_MOST_DAMPING = 1e6
# Steps are judged by the uncertainties only where damping shortens them by less than a hundredth.
_FREE_DAMPING = 1e-2
# Rounding of a sum of many terms: a loss higher by this fraction is not higher.
_ROUNDING = 1e-12
# Singular values of the scaled normal matrix below these fractions of the largest carry no information; the systems are
# scaled to unit diagonal, so that they are rounding errors. A choice, some orders above the double's precision.
_NO_INFORMATION, _NO_INFORMATION_INVERSE = 1e-10, 1e-12
_TINY = 1e-300  # keeps a division by zero away, where a parameter changes nothing


@dataclass(frozen=True)
class Step:
    """One iteration, for the log."""

    iteration: int
    n_reflections: int
    rms: tuple[float, float, float]  # residuals after it: mm, mm, radians
    loss: float  # half of chi square


@dataclass(frozen=True)
class Minimum:
    """The result of a minimisation: the parameters, the normal equations there, and the path to it."""

    parameters: np.ndarray
    normals: tuple[NormalEquations, ...]
    steps: tuple[Step, ...]
    reason: str  # why it stopped


def minimise(equations: Callable[[np.ndarray], Sequence[NormalEquations]], start: np.ndarray, *,
             max_iterations: int = 100, rms_change: float = 1e-6, step_esd: float = 0.02,
             targets: Sequence[float] = (0.0, 0.0, 0.0), damped: bool = True) -> Minimum:
    """Minimise the sum of the losses of `equations(p)` from `start`.

    Parameters
    ----------
    equations : callable
        Gives the normal equations of each experiment at p; it may compute them anywhere.
    start : (m,)
        The parameters to begin with.
    max_iterations : int
        Steps at most, those that are refused counted.
    rms_change : float
        Stop where no rms residual changes by more than this fraction in a step.
    step_esd : float
        Stop where a step has moved the parameters by less than this fraction of their standard uncertainties (root mean
        square): more steps would follow the noise.
    targets : (3,)
        Stop where every rms residual (mm, mm, rad) is at or below its target; zero never stops.
    damped : bool
        Levenberg-Marquardt; False takes full Gauss-Newton steps as long as they lower the loss.

    Returns
    -------
    Minimum

    Examples
    --------
    The loss (p - 3)^2 / 2, from 0:

    >>> import numpy as np
    >>> def equations(p):
    ...     return [NormalEquations(np.array([0]), np.eye(1), p - 3.0, float((p[0] - 3.0) ** 2 / 2), count=1)]
    >>> round(float(minimise(equations, np.zeros(1)).parameters[0]), 2)
    3.0
    """
    p = np.array(start, dtype=np.float64)
    normals = tuple(equations(p))
    steps = [_make_step(0, normals)]
    damping = _DAMPING if damped else 0.0
    reason = "maximum number of iterations reached"
    for iteration in range(1, max_iterations + 1):
        shift = solve_step(normals, len(p), damping)
        trial = _try_equations(equations, p + shift)
        if trial is not None and _sum_losses(trial) <= _sum_losses(normals) * (1.0 + _ROUNDING):
            p, normals = p + shift, trial
            steps.append(_make_step(iteration, normals))
            damping *= _FALL
            stop = _find_stop_reason(steps[-2], steps[-1], rms_change, targets)
            gain = steps[-2].loss - steps[-1].loss
            if not stop and damping <= _FREE_DAMPING and _is_small(gain, normals, len(p), step_esd):
                stop = "steps are small against the uncertainties"
            if stop:
                reason = stop
                break
        else:
            damping = max(damping * _RISE, _LEAST_DAMPING)
            if damping > _MOST_DAMPING:
                reason = "no step lowers the residuals further"
                break
    return Minimum(p, normals, tuple(steps), reason)


def _try_equations(equations: Callable[[np.ndarray], Sequence[NormalEquations]], p: np.ndarray
                   ) -> tuple[NormalEquations, ...] | None:
    """The normal equations at a trial point; None where no crystal has these parameters (a cell without volume)."""
    try:
        return tuple(equations(p))
    except np.linalg.LinAlgError:
        return None


def _sum_losses(normals: Sequence[NormalEquations]) -> float:
    return sum(n.loss for n in normals)


def _make_step(iteration: int, normals: Sequence[NormalEquations]) -> Step:
    count = sum(n.count for n in normals)
    rms = np.sqrt(sum((n.sums for n in normals), np.zeros(3)) / max(count, 1))
    return Step(iteration, count, (float(rms[0]), float(rms[1]), float(rms[2])), _sum_losses(normals))


def _find_stop_reason(before: Step, now: Step, change: float, targets: Sequence[float]) -> str | None:
    """Why to stop after this step, or None."""
    if all(r <= t for r, t in zip(now.rms, targets, strict=True)):
        return "RMSD target achieved"
    close = all(abs(a - b) <= change * max(a, 1e-12) for a, b in zip(before.rms, now.rms, strict=True))
    if close and abs(before.loss - now.loss) <= change * max(before.loss, 1e-30):
        return "RMSD no longer decreasing"
    return None


def _is_small(gain: float, normals: Sequence[NormalEquations], size: int, step_esd: float) -> bool:
    """Whether a step has gained less than parameters cost that are `step_esd` uncertainties from their best values.

    A parameter that is f uncertainties away raises chi square, twice the loss, by f^2 times the reduced chi square.
    """
    freedom = max(3 * sum(n.count for n in normals) - size, 1)
    return gain < step_esd**2 * size * _sum_losses(normals) / freedom


def solve_step(normals: Sequence[NormalEquations], size: int, damping: float) -> np.ndarray:
    """Find the step that minimises the quadratic model, with the diagonal raised by the fraction `damping`.

    With A the normal matrix of an experiment, s its shared and t its own parameters, the own ones are eliminated:
    (sum A_ss - A_st A_tt^-1 A_ts) x_s = -(sum b_s - A_st A_tt^-1 b_t), then x_t = -A_tt^-1 (b_t + A_ts x_s).

    Parameters
    ----------
    normals : sequence of NormalEquations
        The normal equations of each experiment.
    size : int
        Length of the parameter vector.
    damping : float
        Marquardt's damping.

    Returns
    -------
    (size,)
        The step.
    """
    shared, place = _find_shared(normals, size)
    reduced = np.zeros((len(shared), len(shared)))
    right = np.zeros(len(shared))
    kept = []
    for normal in normals:
        a = normal.matrix.copy()
        diagonal = np.arange(len(a))
        a[diagonal, diagonal] += damping * a[diagonal, diagonal]
        s, t = _split_columns(normal, place)
        # A_tt^-1 times the columns A_ts and b_t, all in one solution
        inverse_b = (_solve_scaled(a[np.ix_(t, t)], np.column_stack([a[np.ix_(t, s)], normal.vector[t]]))
                     if len(t) else None)
        rows = place[normal.columns[s]]
        schur, vector = a[np.ix_(s, s)], normal.vector[s]
        if inverse_b is not None:
            schur = schur - a[np.ix_(s, t)] @ inverse_b[:, :-1]
            vector = vector - a[np.ix_(s, t)] @ inverse_b[:, -1]
        reduced[np.ix_(rows, rows)] += schur
        right[rows] += vector
        kept.append((normal.columns[t], inverse_b, rows))
    common = -_solve_scaled(reduced, right[:, None])[:, 0] if len(shared) else np.zeros(0)
    step = np.zeros(size)
    step[shared] = common
    for columns, inverse_b, rows in kept:
        if inverse_b is not None:
            step[columns] = -inverse_b[:, -1] - inverse_b[:, :-1] @ common[rows]
    return step


def _find_shared(normals: Sequence[NormalEquations], size: int) -> tuple[np.ndarray, np.ndarray]:
    """The parameters that more than one experiment has, and the place of each among them (-1: local)."""
    uses = np.zeros(size, dtype=np.int64)
    for normal in normals:
        uses[normal.columns] += 1
    shared = np.flatnonzero(uses > 1)
    place = np.full(size, -1)
    place[shared] = np.arange(len(shared))
    return shared, place


def _solve_scaled(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a positive definite system, scaled to unit diagonal; directions without information do not move."""
    scale = np.sqrt(np.maximum(np.diag(matrix), _TINY))
    scaled = matrix / np.outer(scale, scale)
    try:
        factor = np.linalg.cholesky(scaled)
        half = np.linalg.solve(factor, right / scale[:, None])
        return np.linalg.solve(factor.T, half) / scale[:, None]
    except np.linalg.LinAlgError:
        pass  # not positive definite: some direction has no information
    try:
        return np.linalg.lstsq(scaled, right / scale[:, None], rcond=_NO_INFORMATION)[0] / scale[:, None]
    except np.linalg.LinAlgError as error:
        raise XdpError("refinement: the normal equations cannot be solved; fix some parameters") from error


@dataclass(frozen=True)
class Covariance:
    """Covariances of the parameters, as blocks: the shared ones, and those that each experiment has alone.

    Examples
    --------
    >>> import numpy as np
    >>> both = Covariance(((np.array([0, 2]), np.diag([4.0, 9.0])), (np.array([1]), np.array([[0.25]]))))
    >>> both.compute_esds(3).tolist()
    [2.0, 0.5, 3.0]
    >>> both.get_block(np.array([2])).tolist()
    [[9.0]]
    """

    blocks: tuple[tuple[np.ndarray, np.ndarray], ...]  # (columns in increasing order, matrix)

    def get_block(self, columns: np.ndarray) -> np.ndarray:
        """The covariance matrix of parameters that stand in one block.

        Raises
        ------
        KeyError
            If they stand in several: no covariance between blocks is known.
        """
        for own, matrix in self.blocks:
            place = np.searchsorted(own, columns)
            if len(own) and np.array_equal(own[np.minimum(place, len(own) - 1)], columns):
                return matrix[np.ix_(place, place)]
        raise KeyError(f"parameters {columns} are not in one block")

    def compute_esds(self, size: int) -> np.ndarray:
        """Standard uncertainties of all `size` parameters; zero for those in no block."""
        result = np.zeros(size)
        for columns, matrix in self.blocks:
            result[columns] = np.sqrt(np.maximum(np.diag(matrix), 0.0))
        return result


def compute_covariance(normals: Sequence[NormalEquations], size: int, n_observations: int) -> Covariance:
    """Compute the covariances of the parameters: the inverse normal matrix times the reduced chi square.

    It is made by blocks of the reduced system, so that the cost grows with the number of crystals and not with its
    square: C_ss = (sum A_ss - A_st A_tt^-1 A_ts)^-1 and C_tt = A_tt^-1 + X C_ss X^T with X = A_tt^-1 A_ts.

    Parameters
    ----------
    normals : sequence of NormalEquations
        The normal equations of each experiment at the minimum.
    size : int
        Length of the parameter vector.
    n_observations : int
        Observed coordinates, three a reflection.
    """
    shared, place = _find_shared(normals, size)
    reduced = np.zeros((len(shared), len(shared)))
    pieces = []
    for normal in normals:
        a, (s, t) = normal.matrix, _split_columns(normal, place)
        rows = place[normal.columns[s]]
        own = _invert(a[np.ix_(t, t)])
        x = own @ a[np.ix_(t, s)]
        reduced[np.ix_(rows, rows)] += a[np.ix_(s, s)] - a[np.ix_(s, t)] @ x
        pieces.append((normal.columns[t], own, x, rows))
    scale = 2.0 * _sum_losses(normals) / max(n_observations - size, 1)
    common = _invert(reduced)
    blocks = [(shared, common * scale)]
    for columns, own, x, rows in pieces:
        if len(columns):
            order = np.argsort(columns)
            matrix = (own + x @ common[np.ix_(rows, rows)] @ x.T) * scale
            blocks.append((columns[order], matrix[np.ix_(order, order)]))
    return Covariance(tuple(blocks))


def _invert(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a positive semi-definite matrix; directions without information get no variance."""
    if not len(matrix):
        return matrix
    scale = np.sqrt(np.maximum(np.diag(matrix), _TINY))
    scales = np.outer(scale, scale)
    return np.linalg.pinv(matrix / scales, rcond=_NO_INFORMATION_INVERSE, hermitian=True) / scales


def _split_columns(normal: NormalEquations, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places within an experiment's equations of the shared and of its own parameters."""
    is_shared = place[normal.columns] >= 0
    return np.flatnonzero(is_shared), np.flatnonzero(~is_shared)
