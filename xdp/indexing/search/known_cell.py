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
from xdp.indexing.shots.cell_vectors import make_cell_vectors
from xdp.indexing.shots.orientations import search_orientations

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
_DIGITS = 6        # of Å and degrees, in which equal shapes agree but for rounding
_SAME_METRIC = 1e-6  # of the longest edge's square: what rounding leaves of the metric that a rotation keeps
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
    # many choices have one shape: those that the lattice's symmetry makes equal, and changes of signs
    shape = shape[np.unique(np.round(shape, _DIGITS), axis=0, return_index=True)[1]]
    possible = np.flatnonzero(good)
    for start in range(0, len(possible), _CHUNK):
        rows = possible[start : start + _CHUNK]
        mine = _describe_shape(reduce_bases(bases[rows]))
        agrees = np.ones((len(mine), len(shape)), dtype=bool)
        for k, most in enumerate([length * shape[:, 0], length * shape[:, 1], length * shape[:, 2], *[angle] * 3]):
            agrees &= np.abs(mine[:, k, None] - shape[:, k]) <= most
        good[rows] = agrees.any(axis=1)
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
    turns = orient_known_cell(np.concatenate([edges.vectors, vectors[:_VECTORS]]), target, known)
    likely = _search_whole_cell(points, target)
    if not len(turns) and not len(likely):
        return []
    bases = target @ np.swapaxes(turns, 1, 2)
    sample = points if len(points) <= _SAMPLE else (
        points[np.random.default_rng(0).choice(len(points), _SAMPLE, replace=False)])
    scores = np.concatenate([np.zeros(0), *(_score_bases(bases[s : s + _CHUNK], sample)
                                            for s in range(0, len(bases), _CHUNK))])
    best = pick_different_bases(np.concatenate([likely, bases[np.argsort(-scores, kind="stable")]]), _REFINED)
    cells = [_refine_near(basis, target, points, tolerance) for basis in best]
    return drop_repeated_cells(sorted(cells, key=lambda c: -c.score))[:_KEPT]


def _search_whole_cell(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Orientations (t, 3, 3) of the cell by the search of single shots, which finds it in fewer spots than pairs do."""
    cell = make_cell_vectors(target)
    change = np.round(target @ np.linalg.inv(cell.basis))
    return change @ search_orientations(points, cell).bases


def orient_known_cell(vectors: np.ndarray, target: np.ndarray, known: KnownSymmetry) -> np.ndarray:
    """Find rotations that bring two short vectors of a known cell onto two candidate vectors.

    Parameters
    ----------
    vectors : (m, 3)
        Candidate lattice vectors, Å.
    target : (3, 3)
        The known primitive cell, reduced: rows a, b, c in Å.
    known : KnownSymmetry
        With the tolerances of lengths and angles.

    Returns
    -------
    (t, 3, 3)
        Those first whose pairs agree best. Of pairs that the cell's own symmetry makes equal there is one.
    """
    indices = np.array([n for n in itertools.product((-1, 0, 1), repeat=3) if any(n)])
    short = indices @ target
    size, length = np.linalg.norm(short, axis=1), np.linalg.norm(vectors, axis=1)
    between = np.degrees(np.arccos(np.clip(short @ short.T / np.outer(size, size), -1.0, 1.0)))
    stretch = np.abs(length[:, None] / size - 1.0)  # (m, 26) of candidates against the cell's vectors
    is_near = stretch <= known.relative_length_tolerance
    i, j = np.triu_indices(len(vectors), 1)
    angle = np.degrees(np.arccos(np.clip(np.sum(vectors[i] * vectors[j], axis=1) / (length[i] * length[j]), -1.0, 1.0)))
    good = is_near[i].any(axis=1) & is_near[j].any(axis=1) & (angle > _PARALLEL) & (angle < 180.0 - _PARALLEL)
    i, j, angle = i[good], j[good], angle[good]
    off = np.abs(between - angle[:, None, None])
    agree = (off <= known.absolute_angle_tolerance) & is_near[i][:, :, None] & is_near[j][:, None, :]
    agree &= _is_first_of_equals(indices, target)
    pair, u, v = np.nonzero(agree)
    i, j = i[pair], j[pair]
    misfit = stretch[i, u] + stretch[j, v] + np.radians(off[pair, u, v])
    best = np.argsort(misfit, kind="stable")[:_MOST]
    i, j, u, v = i[best], j[best], u[best], v[best]
    return make_triads(vectors[i], vectors[j]) @ np.swapaxes(make_triads(short[u], short[v]), 1, 2)


def _is_first_of_equals(indices: np.ndarray, target: np.ndarray) -> np.ndarray:
    """For pairs of a cell's vectors (indices (m, 3)) whether the cell's rotations make them no earlier pair, (m, m).

    Orientations from pairs that are equal by symmetry are the same lattice.
    """
    metric, operators = target @ target.T, list_unimodular()
    change = np.abs(operators @ metric @ np.swapaxes(operators, 1, 2) - metric).max(axis=(1, 2))
    rotations = operators[change < _SAME_METRIC * metric.max()]
    base = np.array([9, 3, 1])
    place = np.full(27, len(indices))
    place[(indices + 1) @ base] = np.arange(len(indices))
    moved = indices @ rotations  # (r, m, 3)
    inside = np.abs(moved).max(axis=2) <= 1
    image = np.where(inside, place[np.where(inside[:, :, None], moved + 1, 0) @ base], len(indices))
    # an image that is none of the vectors counts as later than all of them
    order = image[:, :, None] * (len(indices) + 1) + image[:, None, :]
    mine = np.arange(len(indices))[:, None] * (len(indices) + 1) + np.arange(len(indices))
    has_image = inside[:, :, None] & inside[:, None, :]
    return np.all(~has_image | (order >= mine), axis=0)


def _score_bases(bases: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The log likelihood ratio of each basis (t, 3, 3) on points."""
    index = points @ np.swapaxes(bases, 1, 2)  # (t, n, 3)
    delta = index - np.round(index)
    distance2 = np.sum((delta @ np.swapaxes(np.linalg.inv(bases), 1, 2)) ** 2, axis=2)
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
