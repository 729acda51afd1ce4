"""Low-resolution spots matched to the indices of a known cell: for few spots of a small cell, such as one still.

Each of the innermost spots may have any index whose spacing agrees. Two spots whose indices agree also in the distance
between them fix an orientation. The orientations that explain all spots best are the solutions.
"""

from __future__ import annotations

import numpy as np

from xdp.experiment.crystal import Crystal, b_matrix
from xdp.indexing.options import LowResSpotMatch
from xdp.indexing.search.cells import (
    Cell,
    drop_repeated_cells,
    fit_likelihood,
    measure_residuals,
    pick_different_bases,
    refine_basis,
    score_cell,
)
from xdp.prediction.indices import list_miller_indices

# The numbers below are choices.
_CALIBRATION = 0.01  # relative error of distance, wavelength and known cell that is reckoned with
_REFINED = 20  # different lattices that are refined
_CHUNK = 256   # lattices that are scored at a time: their residuals stay in the processor's cache
_ERRORS = 4.0  # errors of a point by which a lattice vector may lie outside the innermost spots
# Sines of the angle between two vectors, and between two spots, below which the pair is too near to parallel to fix an
# orientation.
_PARALLEL, _PARALLEL_SPOTS = 0.2, 0.1


def match_spots(points: np.ndarray, cell: tuple[float, ...], hall: str, sigma: float, options: LowResSpotMatch, *,
                tolerance: float = 0.3) -> list[Cell]:
    """Find lattices with the known cell that explain the points.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    cell : six floats
        The cell, Å and degrees; the axes of the result are its own, not reduced.
    hall : str
        The Hall symbol of the space group: absent indices are not tried.
    sigma : float
        Error of a point, 1/Å.
    options : LowResSpotMatch
        The spots that are matched, and how many orientations are tried.
    tolerance : float
        A spot is indexed if no index is further than this from a whole number.

    Returns
    -------
    list of Cell
        Different lattices, the likeliest first; empty if no pair of spots agrees with the cell.
    """
    spots = _select_innermost(points, options)
    if len(spots) < 2:
        return []
    b = b_matrix(tuple(cell))
    axis_a, axis_b, axis_c = (tuple(float(v) for v in row) for row in np.linalg.inv(b))
    reach = np.linalg.norm(spots, axis=1).max() * (1.0 + _CALIBRATION) + _ERRORS * sigma
    vectors = list_miller_indices(Crystal(axis_a, axis_b, axis_c, hall), 1.0 / reach) @ b.T
    tolerated = options.candidate_spots.d_star_tolerance * sigma
    turns = _find_orientations(spots, vectors, tolerated, options.max_pairs)
    if not len(turns):
        return []
    bases = np.linalg.inv(turns @ b)                      # rows a, b, c
    scores = np.concatenate([_score_bases(bases[s : s + _CHUNK], points) for s in range(0, len(bases), _CHUNK)])
    best = pick_different_bases(bases[np.argsort(-scores, kind="stable")[: options.max_triplets]], _REFINED)
    cells = [score_cell(refine_basis(basis, points, tolerance, reduce=False), points, tolerance) for basis in best]
    return drop_repeated_cells(sorted(cells, key=lambda c: -c.score))


def _select_innermost(points: np.ndarray, options: LowResSpotMatch) -> np.ndarray:
    """The spots that are matched: so many of lowest resolution, or all up to a limit."""
    length = np.linalg.norm(points, axis=1)
    if options.candidate_spots.limit_resolution_by == "d_min":
        return points[length <= 1.0 / options.candidate_spots.d_min]
    return points[np.argsort(length, kind="stable")[: options.candidate_spots.n_spots]]


def _find_orientations(spots: np.ndarray, vectors: np.ndarray, tolerance: float, most: int) -> np.ndarray:
    """Rotations (m, 3, 3) that bring two lattice vectors onto two spots, for all pairs that agree, closest first."""
    length, size = np.linalg.norm(spots, axis=1), np.linalg.norm(vectors, axis=1)
    turns, misfits = [], []
    for i in range(len(spots)):
        for j in range(i):
            first, second = (np.flatnonzero(np.abs(size - length[k]) < tolerance + _CALIBRATION * length[k])
                             for k in (i, j))
            apart = np.linalg.norm(spots[i] - spots[j])
            distance = np.linalg.norm(vectors[first][:, None] - vectors[second][None], axis=2)
            off = np.abs(distance - apart)
            p, q = np.nonzero(off < tolerance + _CALIBRATION * apart)
            u, v = vectors[first[p]], vectors[second[q]]
            sine = np.linalg.norm(np.cross(u, v), axis=1) / np.maximum(size[first[p]] * size[second[q]], 1e-12)
            good = sine > _PARALLEL
            across = np.linalg.norm(np.cross(spots[i], spots[j]))
            if good.any() and across > _PARALLEL_SPOTS * length[i] * length[j]:
                turns.append(make_triads(spots[i][None], spots[j][None])
                             @ np.swapaxes(make_triads(u[good], v[good]), 1, 2))
                misfits.append(off[p[good], q[good]])
    if not turns:
        return np.zeros((0, 3, 3))
    order = np.argsort(np.concatenate(misfits), kind="stable")[: most * len(spots)]
    return np.concatenate(turns)[order]


def make_triads(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Make right-handed orthonormal frames (n, 3, 3) of pairs of vectors.

    The columns lie along the sum of the unit vectors, across it in their plane, and along the normal.
    """
    # of unit vectors, so that errors of either length turn the frame no further than those of the other
    first = u / np.linalg.norm(u, axis=1, keepdims=True) + v / np.linalg.norm(v, axis=1, keepdims=True)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    normal = np.cross(u, v)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.stack([first, np.cross(normal, first), normal], axis=2)


def _score_bases(bases: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The log likelihood ratio of each basis (t, 3, 3) on all points."""
    distance2 = np.stack([measure_residuals(basis, points)[0] for basis in bases])
    return fit_likelihood(distance2, np.abs(np.linalg.det(bases)), fine=False).score
