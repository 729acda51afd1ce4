"""Lattices of a known cell: cells that agree with it, and orientations of it that explain few spots, as of one still.

Two lattice vectors whose lengths and angle are those of two vectors of the known cell fix an orientation. Of few spots
such pairs are found long before three vectors are that span the cell. Orientations are ranked with the cell as it is
known; the best are refined, with the cell held near the known one: nine free numbers would fit anything.
"""

from __future__ import annotations

import itertools

import numpy as np

from xdp.indexing.lattice.basis import reduce_bases, reduce_basis
from xdp.indexing.lattice.symmetry import list_unimodular
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.search.cells import (
    Cell,
    compute_membership,
    drop_repeated_cells,
    fit_likelihood,
    measure_residuals,
    pick_different_bases,
    score_cell,
)
from xdp.indexing.search.directions import find_candidates_by_edges
from xdp.indexing.search.spot_match import make_triads

# The numbers below are choices. They were tried on five stills of CuNiR (P213, 70 to 329 spots), a simulated still of
# lysozyme with 76 spots, and random spots on stills (docs/indexing.md).
_VECTORS = 40      # candidate vectors that are paired
_PARALLEL = 15.0   # degrees: two vectors closer than this to one line do not fix an orientation
_SAMPLE = 300      # spots on which all orientations are ranked
_CHUNK = 256       # orientations or cells at a time: what is computed of them stays in the processor's cache
_MOST = 6000       # orientations that are ranked, those whose pairs agree best
_REFINED = 40      # different ones that are refined
_KEPT = 5          # lattices that are given
_CELL_ERROR = 0.01  # relative error of a known cell, with the distance and the wavelength, that few spots may mend
_CYCLES = 8        # of refinement, the first half of them with the known cell
_NEEDED = 3        # spots that fix an orientation
_SLACK = 2.0       # on the tolerances of the known cell: they are those of the conventional cell's edges and angles


def agree_with_cell(bases: np.ndarray, target: np.ndarray, known: KnownSymmetry) -> np.ndarray:
    """Which cells have about the shape of a known one, in any choice of axes; a first, generous look.

    Parameters
    ----------
    bases : (t, 3, 3)
        Cells, rows a, b, c in Å.
    target : (3, 3)
        The known primitive cell, reduced.
    known : KnownSymmetry
        With the tolerances, which are taken twice as large here.

    Returns
    -------
    (t,) of bool

    Examples
    --------
    >>> import numpy as np
    >>> bases = np.stack([np.diag([20.1, 30.0, 9.9]), np.diag([10.0, 20.0, 60.0])])
    >>> agree_with_cell(bases, np.diag([10.0, 20.0, 30.0]), KnownSymmetry()).tolist()
    [True, False]
    """
    length, angle = _SLACK * known.relative_length_tolerance, _SLACK * known.absolute_angle_tolerance
    good = np.abs(np.abs(np.linalg.det(bases) / np.linalg.det(target)) - 1.0) < (1.0 + length) ** 3 - 1.0
    choices = list_unimodular() @ target
    # a reduced cell that is near the known one is one of the known one's nearly shortest choices of axes
    sizes = np.sort(np.linalg.norm(choices, axis=2), axis=1) / np.sort(np.linalg.norm(target, axis=1))
    shape = _describe_shape(choices[np.all(sizes < (1.0 + length) ** 2, axis=1)])
    possible = np.flatnonzero(good)
    for start in range(0, len(possible), _CHUNK):
        rows = possible[start : start + _CHUNK]
        mine = _describe_shape(reduce_bases(bases[rows]))
        off = np.abs(shape - mine[:, None])
        off[:, :, :3] /= shape[:, :3]
        good[rows] = np.any((off[:, :, :3].max(axis=2) <= length) & (off[:, :, 3:].max(axis=2) <= angle), axis=1)
    return good


def _describe_shape(bases: np.ndarray) -> np.ndarray:
    """Lengths (Å) and angles (degrees) of cells, (t, 6)."""
    length = np.linalg.norm(bases, axis=2)
    a, b, c = (bases[:, k] / length[:, k, None] for k in range(3))
    cosine = np.stack([np.sum(b * c, axis=1), np.sum(a * c, axis=1), np.sum(a * b, axis=1)], axis=1)
    return np.column_stack([length, np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))])


def find_known_cells(points: np.ndarray, vectors: np.ndarray, target: np.ndarray, known: KnownSymmetry, *,
                     tolerance: float = 0.3) -> list[Cell]:
    """Find orientations of a known cell that explain the points.

    Vectors with the lengths of the cell's edges are sought in many directions, and added to those that are known.
    Pairs of vectors that agree with pairs of short vectors of the cell give orientations.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    vectors : (m, 3)
        Candidate lattice vectors, Å, of another search; the first ones are used.
    target : (3, 3)
        The known primitive cell, reduced: rows a, b, c in Å.
    known : KnownSymmetry
        With the tolerances: how far vectors may differ from those of the cell.
    tolerance : float
        A spot is indexed if no index is further than this from a whole number.

    Returns
    -------
    list of Cell
        Different lattices, the likeliest first; empty if no pair agrees. A score is less by what the change of the
        known cell costs.
    """
    if len(points) < _NEEDED:
        return []
    edges = find_candidates_by_edges(points, np.linalg.norm(target, axis=1), max_candidates=_VECTORS)
    turns = _find_orientations(np.concatenate([edges.vectors, vectors[:_VECTORS]]), target, known)
    if not len(turns):
        return []
    bases = target @ np.swapaxes(turns, 1, 2)
    sample = points if len(points) <= _SAMPLE else (
        points[np.random.default_rng(0).choice(len(points), _SAMPLE, replace=False)])
    scores = np.concatenate([_score_bases(bases[s : s + _CHUNK], sample) for s in range(0, len(bases), _CHUNK)])
    best = pick_different_bases(bases[np.argsort(-scores, kind="stable")], _REFINED)
    cells = [_refine_near(basis, target, points, tolerance) for basis in best]
    return drop_repeated_cells(sorted(cells, key=lambda c: -c.score))[:_KEPT]


def _find_orientations(vectors: np.ndarray, target: np.ndarray, known: KnownSymmetry) -> np.ndarray:
    """Rotations (m, 3, 3) that bring two short vectors of the known cell onto two candidate vectors, closest first."""
    short = np.array([n for n in itertools.product((-1, 0, 1), repeat=3) if any(n)]) @ target
    size, length = np.linalg.norm(short, axis=1), np.linalg.norm(vectors, axis=1)
    between = np.degrees(np.arccos(np.clip(short @ short.T / np.outer(size, size), -1.0, 1.0)))
    turns, misfits = [np.zeros((0, 3, 3))], [np.zeros(0)]
    for i, j in itertools.combinations(range(len(vectors)), 2):
        first, second = (np.flatnonzero(np.abs(length[k] / size - 1.0) <= known.relative_length_tolerance)
                         for k in (i, j))
        cosine = vectors[i] @ vectors[j] / (length[i] * length[j])
        angle = float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
        if not len(first) or not len(second) or not _PARALLEL < angle < 180.0 - _PARALLEL:
            continue
        off = np.abs(between[np.ix_(first, second)] - angle)
        p, q = np.nonzero(off <= known.absolute_angle_tolerance)
        u, v = first[p], second[q]
        turns.append(make_triads(vectors[i][None], vectors[j][None])
                     @ np.swapaxes(make_triads(short[u], short[v]), 1, 2))
        misfits.append(np.abs(length[i] / size[u] - 1.0) + np.abs(length[j] / size[v] - 1.0) + np.radians(off[p, q]))
    return np.concatenate(turns)[np.argsort(np.concatenate(misfits), kind="stable")[:_MOST]]


def _score_bases(bases: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The log likelihood ratio of each basis (t, 3, 3) on points."""
    distance2 = np.stack([measure_residuals(basis, points)[0] for basis in bases])
    return fit_likelihood(distance2, np.abs(np.linalg.det(bases)), fine=False).score


def _refine_near(basis: np.ndarray, target: np.ndarray, points: np.ndarray, tolerance: float) -> Cell:
    """The cell after refinement of its orientation, and then of the cell too, which a prior holds near the known one.

    The most probable A = argmin sum w |q - A h|^2 / s^2 + |A - U B|^2 / e^2, with U B the known cell in its best
    orientation and e a hundredth of the length of each reciprocal axis.
    """
    b = np.linalg.inv(target)  # columns a*, b*, c*
    error = _CELL_ERROR * np.linalg.norm(b, axis=0)
    turned = np.linalg.inv(basis)
    a, order = turned, np.linalg.norm(points, axis=1)
    for cycle in range(_CYCLES):
        # indices of points far out are wrong until those further in have corrected the orientation
        near = points[order <= np.quantile(order, min(1.0, 0.4 + 0.8 * cycle / _CYCLES))]
        distance2, delta = measure_residuals(np.linalg.inv(a), near)
        whole = np.round(near @ np.linalg.inv(a).T)
        weight = compute_membership(distance2, 1.0 / abs(float(np.linalg.det(a)))) * (
            np.abs(delta).max(axis=1) < tolerance)
        if np.count_nonzero(weight > 0.5) < _NEEDED:
            break
        turned = a = _turn_onto(b, whole, near, weight)
        if cycle < _CYCLES // 2:
            continue
        width2 = max(float(weight @ distance2) / (3.0 * float(weight.sum())), 1e-12)
        prior = np.diag(width2 / error**2)
        normal = (whole * weight[:, None]).T @ whole + prior
        a = np.linalg.solve(normal, ((near * weight[:, None]).T @ whole + turned @ prior).T).T
    cell = score_cell(reduce_basis(np.linalg.inv(a)), points, tolerance)
    cost = 0.5 * float(np.sum(((a - turned) / error) ** 2))
    return Cell(cell.basis, cell.score - cost, cell.n_indexed, cell.n_spots, cell.rms)


def _turn_onto(b: np.ndarray, whole: np.ndarray, points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """U B with the rotation that brings the lattice points `whole` (n, 3) closest to `points` (Kabsch 1976)."""
    left, _, right = np.linalg.svd((weight[:, None] * points).T @ (whole @ b.T))
    return left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right @ b
