"""Levenberg-Marquardt minimisation of a sum of experiments, local parameters eliminated by the Schur complement.

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
from xdp.refinement.equations.problem import Normal


@dataclass(frozen=True)
class Step:
    """One iteration, for the log: rms residuals in mm, mm and radians after it, and the loss."""

    iteration: int
    n_reflections: int
    rms: tuple[float, float, float]
    loss: float


@dataclass(frozen=True)
class Minimum:
    """The result: parameters, the inverse normal matrix's diagonal blocks, and the path to it."""

    parameters: np.ndarray
    normals: tuple[Normal, ...]
    steps: tuple[Step, ...]
    reason: str


def minimise(equations: Callable[[np.ndarray], Sequence[Normal]], start: np.ndarray, *, max_iterations: int = 100,
             rms_change: float = 1e-6, step_esd: float = 0.02, targets: Sequence[float] = (0.0, 0.0, 0.0),
             damped: bool = True) -> Minimum:
    """Minimise the sum of the losses of `equations(p)` from `start`.

    Parameters
    ----------
    equations : callable
        Gives the normal equations of each experiment at p; it may compute them anywhere.
    rms_change : float
        Stop where no rms residual changes by more than this fraction in a step.
    step_esd : float
        Stop where a step has moved the parameters by less than this fraction of their standard uncertainties (root mean
        square): more steps would follow the noise.
    targets : (3,)
        Stop where every rms residual (mm, mm, rad) is at or below its target; zero never stops.
    damped : bool
        Levenberg-Marquardt; False takes full Gauss-Newton steps as long as they lower the loss.
    """
    p = np.array(start, dtype=np.float64)
    normals = tuple(equations(p))
    steps = [_step(0, normals)]
    damping = 1e-3 if damped else 0.0
    reason = "maximum number of iterations reached"
    for iteration in range(1, max_iterations + 1):
        shift = solve(normals, len(p), damping)
        tried = _tried(equations, p + shift)
        if tried is not None and _loss(tried) <= _loss(normals) * (1.0 + 1e-12):
            p, normals = p + shift, tried
            steps.append(_step(iteration, normals))
            damping *= 0.1
            stop = _stops(steps[-2], steps[-1], rms_change, targets)
            if not stop and damping <= 1e-2 and _is_small(steps[-2].loss - steps[-1].loss, normals, len(p), step_esd):
                stop = "steps are small against the uncertainties"
            if stop:
                reason = stop
                break
        else:
            damping = max(damping * 10.0, 1e-6)
            if damping > 1e6:
                reason = "no step lowers the residuals further"
                break
    return Minimum(p, normals, tuple(steps), reason)


def _tried(equations: Callable[[np.ndarray], Sequence[Normal]], p: np.ndarray) -> tuple[Normal, ...] | None:
    """The normal equations at a trial point; None where the step has left the physical (a cell without volume)."""
    try:
        return tuple(equations(p))
    except np.linalg.LinAlgError:
        return None


def _loss(normals: Sequence[Normal]) -> float:
    return sum(n.loss for n in normals)


def _step(iteration: int, normals: Sequence[Normal]) -> Step:
    count = sum(n.count for n in normals)
    rms = np.sqrt(sum((n.sums for n in normals), np.zeros(3)) / max(count, 1))
    return Step(iteration, count, (float(rms[0]), float(rms[1]), float(rms[2])), _loss(normals))


def _stops(before: Step, now: Step, change: float, targets: Sequence[float]) -> str | None:
    """Why to stop after this step, or None."""
    if all(r <= t for r, t in zip(now.rms, targets, strict=True)):
        return "RMSD target achieved"
    close = all(abs(a - b) <= change * max(a, 1e-12) for a, b in zip(before.rms, now.rms, strict=True))
    if close and abs(before.loss - now.loss) <= change * max(before.loss, 1e-30):
        return "RMSD no longer decreasing"
    return None


def _is_small(gain: float, normals: Sequence[Normal], size: int, step_esd: float) -> bool:
    """Whether the loss a step has gained is that of parameters which are `step_esd` uncertainties off.

    A parameter that is f uncertainties from its best value costs f^2 times the reduced chi square, twice the loss.
    """
    freedom = max(3 * sum(n.count for n in normals) - size, 1)
    return gain < step_esd**2 * size * _loss(normals) / freedom


def solve(normals: Sequence[Normal], size: int, damping: float) -> np.ndarray:
    """The step that minimises the quadratic model, with the diagonal raised by the fraction `damping`.

    Parameters that only one experiment has are eliminated from its equations first; what remains is one system in the
    shared parameters.
    """
    shared, place = _shared(normals, size)
    reduced = np.zeros((len(shared), len(shared)))
    right = np.zeros(len(shared))
    kept = []
    for normal in normals:
        a = normal.matrix.copy()
        diagonal = np.arange(len(a))
        a[diagonal, diagonal] += damping * a[diagonal, diagonal]
        s, t = _split(normal, place)
        inverse_b = _solve(a[np.ix_(t, t)], np.column_stack([a[np.ix_(t, s)], normal.vector[t]])) if len(t) else None
        rows = place[normal.columns[s]]
        schur, vector = a[np.ix_(s, s)], normal.vector[s]
        if inverse_b is not None:
            schur = schur - a[np.ix_(s, t)] @ inverse_b[:, :-1]
            vector = vector - a[np.ix_(s, t)] @ inverse_b[:, -1]
        reduced[np.ix_(rows, rows)] += schur
        right[rows] += vector
        kept.append((normal.columns[t], inverse_b, rows))
    common = -_solve(reduced, right[:, None])[:, 0] if len(shared) else np.zeros(0)
    step = np.zeros(size)
    step[shared] = common
    for columns, inverse_b, rows in kept:
        if inverse_b is not None:
            step[columns] = -inverse_b[:, -1] - inverse_b[:, :-1] @ common[rows]
    return step


def _shared(normals: Sequence[Normal], size: int) -> tuple[np.ndarray, np.ndarray]:
    """The parameters that more than one experiment has, and the place of each among them (-1: local)."""
    uses = np.zeros(size, dtype=np.int64)
    for normal in normals:
        uses[normal.columns] += 1
    shared = np.flatnonzero(uses > 1)
    place = np.full(size, -1)
    place[shared] = np.arange(len(shared))
    return shared, place


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a positive definite system, scaled to unit diagonal; directions without information do not move."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix / np.outer(scale, scale)
    try:
        factor = np.linalg.cholesky(scaled)
        half = np.linalg.solve(factor, right / scale[:, None])
        return np.linalg.solve(factor.T, half) / scale[:, None]
    except np.linalg.LinAlgError:
        pass
    try:
        return np.linalg.lstsq(scaled, right / scale[:, None], rcond=1e-10)[0] / scale[:, None]
    except np.linalg.LinAlgError as error:
        raise XdpError("refinement: the normal equations cannot be solved; fix some parameters") from error


@dataclass(frozen=True)
class Covariance:
    """Covariances of the parameters, as blocks: the shared ones, and those that each experiment has alone."""

    blocks: tuple[tuple[np.ndarray, np.ndarray], ...]  # (columns, matrix)

    def block(self, columns: np.ndarray) -> np.ndarray:
        """The covariance matrix of parameters that stand in one block."""
        for own, matrix in self.blocks:
            place = np.searchsorted(own, columns)
            if len(own) and np.array_equal(own[np.minimum(place, len(own) - 1)], columns):
                return matrix[np.ix_(place, place)]
        raise KeyError(f"parameters {columns} are not in one block")

    def esds(self, size: int) -> np.ndarray:
        """Standard uncertainties of all parameters."""
        result = np.zeros(size)
        for columns, matrix in self.blocks:
            result[columns] = np.sqrt(np.maximum(np.diag(matrix), 0.0))
        return result


def covariance(normals: Sequence[Normal], size: int, n_observations: int) -> Covariance:
    """Covariances of the parameters: the inverse normal matrix times the reduced chi square.

    By blocks of the reduced system, so that many crystals cost no more than their number:
    C_ss = (sum A_ss - A_st A_tt^-1 A_ts)^-1 and C_tt = A_tt^-1 + X C_ss X^T with X = A_tt^-1 A_ts.
    """
    shared, place = _shared(normals, size)
    reduced = np.zeros((len(shared), len(shared)))
    pieces = []
    for normal in normals:
        a, (s, t) = normal.matrix, _split(normal, place)
        rows = place[normal.columns[s]]
        own = _inverse(a[np.ix_(t, t)])
        x = own @ a[np.ix_(t, s)]
        reduced[np.ix_(rows, rows)] += a[np.ix_(s, s)] - a[np.ix_(s, t)] @ x
        pieces.append((normal.columns[t], own, x, rows))
    scale = 2.0 * _loss(normals) / max(n_observations - size, 1)
    common = _inverse(reduced)
    blocks = [(shared, common * scale)]
    for columns, own, x, rows in pieces:
        if len(columns):
            order = np.argsort(columns)
            matrix = (own + x @ common[np.ix_(rows, rows)] @ x.T) * scale
            blocks.append((columns[order], matrix[np.ix_(order, order)]))
    return Covariance(tuple(blocks))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a positive semi-definite matrix; directions without information get no variance."""
    if not len(matrix):
        return matrix
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return np.linalg.pinv(matrix / np.outer(scale, scale), rcond=1e-12, hermitian=True) / np.outer(scale, scale)


def _split(normal: Normal, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places within an experiment's equations of the shared and of its own parameters."""
    is_shared = place[normal.columns] >= 0
    return np.flatnonzero(is_shared), np.flatnonzero(~is_shared)
