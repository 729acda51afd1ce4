"""The step of the shared parameters: what is free, what the gauge holds, and what the data leave undetermined.

With S the matrix of the shared parameters after the shots' own ones are eliminated and D its blocks before that, a
direction v is determined if one standard uncertainty along it, (v S v)^-1/2, moves the reflections of no group by more
than their own scatter. The mean square move of the n reflections of a group g, in units of their variances, is
v_g D_g v_g / n. Directions in which it is larger are not moved.

References
----------
Triggs et al. (2000) "Bundle adjustment - a modern synthesis", LNCS 1883, 298 (sections 6 and 9: reduced system, gauge).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.serial.metrology._kernels_spot import N_GROUP, PanelSums

# Eigenvalues of the matrix, scaled to unit diagonal, below this are rounding errors of its sums.
_ROUNDING = 1e-11


@dataclass(frozen=True)
class Freedom:
    """What may move: shared parameters are ``free @ z``, and ``held @ (shared parameters)`` stays zero.

    Attributes
    ----------
    free : (m, k)
        Each column is one free parameter's share of the shared ones.
    held : (c, m)
        Gauge conditions.
    """

    free: np.ndarray
    held: np.ndarray


@dataclass(frozen=True)
class Undetermined:
    """A direction that the data leave undetermined.

    Attributes
    ----------
    eigenvalue : float
        Of the matrix scaled to unit diagonal: the share of information that is left.
    move : float
        By how many standard deviations of a reflection one standard uncertainty moves those of some group.
    direction : (m,)
        In the shared parameters, its largest element 1.
    """

    eigenvalue: float
    move: float
    direction: np.ndarray


@dataclass(frozen=True)
class Modes:
    """The directions in which the shared parameters move.

    Attributes
    ----------
    directions : (m, k)
        Columns, in the shared parameters.
    values : (k,)
        The information along each: its variance is 1 / value, times that of unit weight.
    undetermined : tuple of Undetermined
        The directions that are not moved.
    """

    directions: np.ndarray
    values: np.ndarray
    undetermined: tuple[Undetermined, ...]

    def solve(self, vector: np.ndarray, damping: float) -> np.ndarray:
        """The step (m,) against a gradient (m,); damping shortens it in each direction by 1 / (1 + damping)."""
        along = self.directions.T @ vector
        return -self.directions @ (along / (self.values * (1.0 + damping)))

    def compute_covariance(self) -> np.ndarray:
        """Covariances (m, m) of the shared parameters, for unit weight."""
        return (self.directions / self.values) @ self.directions.T


def find_modes(sums: PanelSums, freedom: Freedom) -> Modes:
    """Find the directions that the data determine.

    Parameters
    ----------
    sums : PanelSums
        Of all shots.
    freedom : Freedom
        What may move.

    Returns
    -------
    Modes
    """
    m = len(sums.vector)
    s = freedom.free.T @ sums.schur @ freedom.free
    diagonal = np.einsum("ik,ij,jk->k", freedom.free, expand_direct(sums), freedom.free)
    used = np.flatnonzero(diagonal > 0.0)
    if not len(used):
        return Modes(np.zeros((m, 0)), np.zeros(0), ())
    # shifts in mm and turns in radians become comparable: unit information before elimination
    scale = 1.0 / np.sqrt(diagonal[used])
    basis = freedom.free[:, used] * scale
    allowed = _find_allowed(freedom.held @ basis)
    matrix = allowed.T @ (s[np.ix_(used, used)] * np.outer(scale, scale)) @ allowed
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    directions = basis @ (allowed @ vectors)
    moves = _compute_moves(sums, directions) / np.sqrt(np.maximum(values, _ROUNDING))
    good = (values > _ROUNDING) & (moves <= 1.0)
    rest = tuple(Undetermined(float(values[i]), float(moves[i]), directions[:, i] / np.abs(directions[:, i]).max())
                 for i in np.flatnonzero(~good))
    return Modes(directions[:, good], values[good], rest)


def expand_direct(sums: PanelSums) -> np.ndarray:
    """The matrix (m, m) of the shared parameters before anything is eliminated, without the wavenumber's coupling."""
    m = len(sums.vector)
    matrix = np.zeros((m, m))
    for g in range(len(sums.direct) - 1):
        at = slice(N_GROUP * g, N_GROUP * (g + 1))
        matrix[at, at] = sums.direct[g]
    matrix[-1, -1] = sums.direct[-1, 0, 0]
    return matrix


def _find_allowed(held: np.ndarray) -> np.ndarray:
    """An orthonormal basis (k, j) of what obeys the conditions `held` (c, k)."""
    k = held.shape[1]
    held = held[np.abs(held).max(axis=1, initial=0.0) > 0.0]
    if not len(held):
        return np.eye(k)
    held = held / np.linalg.norm(held, axis=1)[:, None]
    _, sizes, right = np.linalg.svd(held)
    return right[np.count_nonzero(sizes > 1e-9 * sizes[0]) :].T


def _compute_moves(sums: PanelSums, directions: np.ndarray) -> np.ndarray:
    """The largest rms move of any group's reflections, in standard deviations, of a unit step along each direction."""
    squares = [np.zeros(directions.shape[1])]
    for g in range(len(sums.direct) - 1):
        part = directions[N_GROUP * g : N_GROUP * (g + 1)]
        squares.append(np.einsum("ik,ij,jk->k", part, sums.direct[g], part) / max(float(sums.counts[g]), 1.0))
    total = max(float(sums.counts.sum()), 1.0)
    squares.append(directions[-1] ** 2 * sums.direct[-1, 0, 0] / total)
    return np.sqrt(np.maximum(np.max(squares, axis=0), 0.0))
