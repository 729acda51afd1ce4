"""Orientations of a known cell in which it explains the spots of one shot.

References
----------
Gevorkov et al. (2019) Acta Cryst. A75, 694 (vectors of known lengths are sought and refined: XGANDALF).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from xdp.indexing.search.directions import make_directions
from xdp.indexing.shots._kernels_orient import score_spreads, turn_onto_spots
from xdp.indexing.shots._kernels_scan import scan_vectors
from xdp.indexing.shots._kernels_turn import TurnedVector, turn_cell
from xdp.indexing.shots.cell_vectors import CellVectors

_CELL_ERROR = 0.005   # relative error of the known cell, or of the distance and the wavelength
_SIGMA = 3e-4         # 1/Å: error of a spot's place in reciprocal space that does not grow with q
_HALF_WIDTH = 2.2     # standard deviations in half the width of a spot's score
_SPURIOUS = 0.5       # share of spots that belong to nothing, for what a spot tells
_PHASE = 0.15         # of a period: how far a direction may be from the next one of the grid, at the typical spot
_WORK = 6e6           # spots x directions of one vector, about a millisecond
_MOST_DIRECTIONS = 200_000
_CLASSES = 3          # vectors that are sought
_PEAKS = 120          # highest directions of each, that climb
_TURNED = 30          # of them, about which the cell is turned
_ANGLES = 3           # best angles of each
_KEPT = 48            # orientations that are refined
_SPOTS = 120          # spots of the search, the innermost
ENOUGH = 60.0         # log likelihood ratio: chance reaches a third of it
_RESCORED = 6         # orientations whose spread is fitted too
_SIGMAS = np.array([1.2e-4, 4e-4, 1.2e-3])     # 1/Å: trial spreads that do not grow with q
_ANGLES_LEFT = np.array([8e-4, 2.4e-3, 7e-3])  # radians: trial spreads that do
_SHARES = np.array([0.05, 0.4, 0.8])           # trial shares of spots that belong to nothing
_LAST = 0.0015         # radians: what the last cycle allows
_CYCLES = np.geomspace(0.008, _LAST, 7)  # radians: what orientations may be wrong by, cycle by cycle


class Orientations(NamedTuple):
    """Orientations of a cell, the likeliest first: rows a, b, c (t, 3, 3) in Å, and log likelihood ratios (t,)."""

    bases: np.ndarray
    score: np.ndarray


class _Weights(NamedTuple):
    inverse_width: np.ndarray
    height: np.ndarray


def search_orientations(points: np.ndarray, cell: CellVectors, *, enough: float = ENOUGH) -> Orientations:
    """Search for orientations of a known cell.

    The directions of its shortest vectors are sampled, and the most periodic ones refined. The cell is turned about
    each of them, in steps. The best orientations are refined with a likelihood in three dimensions.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points of the spots, 1/Å.
    cell : CellVectors
        The known cell.
    enough : float
        Further vectors of the cell are not sought when the score is higher than this.
    """
    length = np.linalg.norm(points, axis=1)
    used = points[np.argsort(length, kind="stable")[:_SPOTS]]
    found = Orientations(np.zeros((0, 3, 3)), np.zeros(0))
    for frame in cell.classes[:_CLASSES]:
        directions, height = _find_directions(used, float(np.linalg.norm(frame[0])))
        trials, added = _turn_about(used, directions, frame, cell)
        total = (added + np.resize(height, len(trials))[:, None]).ravel()
        best = np.argsort(-total, kind="stable")[:_KEPT]
        bases = np.ascontiguousarray(trials.reshape(-1, 3, 3)[best[np.isfinite(total[best])]])
        found = _rank(used, points, bases, found)
        if found.score.size and found.score[0] > enough:
            break
    return found


def _rank(used: np.ndarray, points: np.ndarray, bases: np.ndarray, others: Orientations) -> Orientations:
    """Refined orientations with others, the likeliest first; the best few of the new ones are scored on all points."""
    score = np.empty(len(bases))
    turn_onto_spots(bases, used, np.full(len(used), _SIGMA), _CYCLES, score)
    best = np.argsort(-score, kind="stable")[:_RESCORED]
    bases = bases[best]
    score = np.array([score_spreads(b, points, _SIGMAS, _ANGLES_LEFT, _SHARES)[0] for b in bases])
    bases, score = np.concatenate([others.bases, bases]), np.concatenate([others.score, score])
    order = np.argsort(-score, kind="stable")
    return Orientations(bases[order], score[order])


def _weigh(length: np.ndarray, edge: float, error: float) -> _Weights:
    """Widths and heights of spots at `length` (1/Å) for a vector of `edge` (Å), with a relative error of directions."""
    sigma = edge * np.sqrt(_SIGMA**2 + (length * _CELL_ERROR) ** 2 + (length * error) ** 2)
    half = np.minimum(_HALF_WIDTH * sigma, 0.5)
    height = np.log1p((1.0 - _SPURIOUS) / _SPURIOUS * (0.5 / half - 1.0))
    return _Weights((1.0 / half).astype(np.float32), height.astype(np.float32))


@lru_cache(maxsize=8)
def _make_grid(n: int) -> np.ndarray:
    """Directions (3, n) over half of the sphere."""
    return np.ascontiguousarray(make_directions(float(np.sqrt(2.0 * np.pi / n))).T.astype(np.float32))


def _find_directions(points: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """The most periodic directions (k, 3) of a vector of `edge` Å, and their scores."""
    length = np.linalg.norm(points, axis=1)
    step = _PHASE / (0.62 * edge * float(np.quantile(length, 0.75)))
    n = min(2.0 * np.pi / step**2, _MOST_DIRECTIONS, _WORK / len(points))
    # powers of the square root of 2: few grids serve all shots
    n = int(2.0 ** (0.5 * np.ceil(2.0 * np.log2(max(n, 500.0)))))
    grid = _make_grid(n)
    step = float(np.sqrt(2.0 * np.pi / n))
    score = np.empty(grid.shape[1], dtype=np.float32)
    scaled = (points * edge).astype(np.float32)
    scan_vectors(grid, scaled, *_weigh(length, edge, 0.4 * step), score)
    top = np.argpartition(-score, min(_PEAKS, len(score) - 1))[:_PEAKS]
    directions = grid[:, top].T.astype(np.float64)
    for factor in (0.5, 0.25, 0.12, 0.06):
        directions, score = _climb(directions, scaled, factor * step, _weigh(length, edge, 0.5 * factor * step))
    order = np.argsort(-score, kind="stable")
    kept: list[int] = []
    for k in order:
        if len(kept) == _TURNED:
            break
        if not kept or np.abs(directions[kept] @ directions[k]).max() < np.cos(0.5 * step):
            kept.append(k)
    return directions[kept], score[kept].astype(np.float64)


_RING = np.array([[0.0, 0.0], *[[np.cos(a), np.sin(a)] for a in np.arange(6) * np.pi / 3.0]])


def _climb(directions: np.ndarray, scaled: np.ndarray, step: float, weights: _Weights) -> tuple[np.ndarray, np.ndarray]:
    """The best of each direction and six around it, and its score."""
    f, g = _make_perpendicular(directions)
    trial = directions[:, None] + step * (_RING[:, :1] * f[:, None] + _RING[:, 1:] * g[:, None])
    trial /= np.linalg.norm(trial, axis=2, keepdims=True)
    score = np.empty(trial.shape[0] * trial.shape[1], dtype=np.float32)
    scan_vectors(np.ascontiguousarray(trial.reshape(-1, 3).T.astype(np.float32)), scaled, *weights, score)
    score = score.reshape(trial.shape[:2])
    best = np.argmax(score, axis=1)
    rows = np.arange(len(directions))
    return trial[rows, best], score[rows, best]


def _make_perpendicular(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (n, 3) each, perpendicular to each direction and to each other."""
    axis = np.eye(3)[np.argmin(np.abs(directions), axis=1)]
    f = np.cross(directions, axis)
    f /= np.linalg.norm(f, axis=1, keepdims=True)
    return f, np.cross(directions, f)


def _turn_about(points: np.ndarray, directions: np.ndarray, frame: np.ndarray, cell: CellVectors
                ) -> tuple[np.ndarray, np.ndarray]:
    """The best orientations with the frame's first vector along one of the directions.

    Returns
    -------
    bases : (t, k, 3, 3)
        Of each direction, Å.
    added : (t, k)
        What the frame's other vectors add to the score; -inf where there is no orientation.
    """
    length = np.linalg.norm(points, axis=1)
    edge = float(np.linalg.norm(frame[0]))
    axis = frame[0] / edge
    side = frame[1] - (frame[1] @ axis) * axis
    local = np.stack([axis, side / np.linalg.norm(side), np.cross(axis, side / np.linalg.norm(side))])
    reach = float(np.quantile(length, 0.75)) * float(np.linalg.norm(frame[1:], axis=1).max())
    period = 2.0 * np.pi / cell.count_equal_turns(frame[0])
    n = int(np.ceil(period / min(2.0 * _PHASE / reach, 0.05)))
    angles = (np.arange(n) + 0.5) * period / n
    second, third = (TurnedVector(local @ v, *_weigh(length, float(np.linalg.norm(v)), 0.25 * period / n))
                     for v in frame[1:])
    f, g = _make_perpendicular(directions)
    lab = np.stack([directions, f, g], axis=1)
    if not cell.is_reversible(frame[0]):
        lab = np.concatenate([lab, lab * np.array([-1.0, 1.0, -1.0])[:, None]])
    # spots that lie on the first vector's planes count fully
    along = lab[:, 0] @ points.T * edge
    member = np.maximum(1.0 - ((along - np.round(along)) * _weigh(length, edge, 0.0).inverse_width) ** 2, 0.0)
    best, added = np.empty((len(lab), _ANGLES), dtype=np.int64), np.empty((len(lab), _ANGLES))
    turn_cell(lab, points, member.astype(np.float32), second, third, np.cos(angles).astype(np.float32),
              np.sin(angles).astype(np.float32), best, added)
    c, s = np.cos(angles[best]), np.sin(angles[best])
    turned = np.zeros((*best.shape, 3, 3))  # transposed rotations about the first axis
    turned[..., 0, 0] = 1.0
    turned[..., 1, 1], turned[..., 1, 2], turned[..., 2, 1], turned[..., 2, 2] = c, s, -s, c
    return cell.basis @ local.T @ turned @ lab[:, None], added
