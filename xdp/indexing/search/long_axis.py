"""Candidate vectors of a lattice with a very long axis: the short axes first, then the long one with their indices.

The grid of one transform holds the spots to a resolution that goes with the longest axis. Where that is very long, the
spots that tell the short axes lie outside; and the many vectors in the plane of the short axes crowd out the few that
leave it. Transforms for shorter longest axes reach all spots and give two short vectors a and b. With n the normal of
their plane the third one is c = L n + x a + y b. A spot q with the indices h and k along a and b has the phase
L q.n + x h + y k, so that a transform over q.n, h and k has its peaks at L, x and y. Two of its edges are short, and
the third one is long enough for all spots.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy import fft

from xdp.indexing.options import Fft3d
from xdp.indexing.search.fft3d import (
    PERIOD,
    Candidates,
    choose_resolution,
    find_candidates_fft3d,
    refine_vectors,
    select_candidates,
)
from xdp.options.model import Auto

# The numbers below are choices, tried on the random cells of benchmarks/indexing_axial.py (docs/indexing.md).
_SCALE = 4.0    # from one longest axis to the next shorter one: cells with axes between two of them are seen by both
_FINE = 1.2     # of the finest spots' resolution, which the grid for the shortest longest axis reaches
_LEAST_AXES = 3.0  # a longest axis must be so many times the shortest one to be worth a transform
_SHARE = 0.5    # of the best periodicity of their transform, that short vectors need
_PARALLEL = 0.26  # sine of the angle below which two vectors span no plane: 15 degrees
_SAME_PLANE = 0.998  # cosine between normals of planes that are one: 3.6 degrees
_PLANES = 4     # planes that are tried
_INDEXED = 0.2  # how far h and k may be from whole numbers
_FEWEST = 100   # spots: among fewer some third axis fits by chance
_NEEDED = 20    # spots with h and k that are needed
_WIDEST = 128   # indices h or k: with more, a or b is no short axis
_OVERSAMPLED = 2  # points of the transform in a period of x and y for each index
_MOST_POINTS = 1 << 25  # of a transform: 0.4 GB and 2 s; cells of 250 Å asked for 3 GB and minutes
_COARSER = 0.9  # of the resolution, at least, where the transform would have more
_PEAKS = 60     # peaks that are refined
_THIRD = 12     # vectors that leave a plane, which are kept
_IN_PLANE = 8   # short vectors that are kept


def find_candidates_with_long_axis(points: np.ndarray, max_cell: float, options: Fft3d | None = None, *,
                                   min_cell: float = 3.0, longest: float | None = None) -> Candidates:
    """Find candidate vectors of a lattice whose longest axis is many times as long as others.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    max_cell : float
        Longest axis to look for, Å.
    options : Fft3d, optional
        The grid, the damping and the height of peaks.
    min_cell : float
        Shortest axis to look for, Å.
    longest : float, optional
        Longest axis that leaves a plane, Å, where `max_cell` is an estimate; by default `max_cell`.

    Returns
    -------
    Candidates
        Short vectors and such that leave their planes. Empty if one transform for the longest axis reaches all spots,
        or the resolution is given: there is nothing that the usual search does not see.
    """
    options = options or Fft3d()
    short = _find_short_vectors(points, max_cell, options, min_cell) if len(points) >= _FEWEST else np.zeros((0, 3))
    planes = _list_planes(short)
    if not planes:
        return Candidates(np.zeros((0, 3)), np.zeros(0))
    third = [_find_third_axes(points, a, b, longest or max_cell) for a, b in planes]
    vectors = np.concatenate([*(np.stack(p) for p in planes), short[:_IN_PLANE], *third])
    vectors, height = refine_vectors(vectors, points, np.ones(len(points)))
    return select_candidates(vectors, height, min_cell, len(vectors))


def _find_short_vectors(points: np.ndarray, max_cell: float, options: Fft3d, min_cell: float) -> np.ndarray:
    """Vectors (n, 3) from transforms for shorter longest axes, the shortest first."""
    grid = options.reciprocal_space_grid
    finest = 1.0 / float(np.linalg.norm(points, axis=1).max())
    lengths = [max_cell]
    while choose_resolution(points, lengths[-1], grid.n_points) > _FINE * finest and isinstance(grid.d_min, Auto):
        if lengths[-1] < _SCALE * _LEAST_AXES * min_cell:
            break
        lengths.append(lengths[-1] / _SCALE)
    found = [np.zeros((0, 3))]
    for longest in lengths if len(lengths) > 1 else ():
        candidates = find_candidates_fft3d(points, longest, options, min_cell=min_cell)
        strong = candidates.periodicity >= _SHARE * candidates.periodicity.max(initial=0.0)
        found.append(candidates.vectors[strong])
    vectors = np.concatenate(found)
    return vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")]


def _list_planes(short: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of short vectors that span different planes, the pairs of the shortest first."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    normals: list[np.ndarray] = []
    # each with all shorter ones: pairs come nearly in order of their lengths
    for i, j in sorted(itertools.combinations(range(len(short)), 2), key=lambda pair: pair[1]):
        a, b = short[i], short[j]
        normal = np.cross(a, b)
        sine = float(np.linalg.norm(normal) / (np.linalg.norm(a) * np.linalg.norm(b)))
        if sine < _PARALLEL:
            continue
        normal = normal / np.linalg.norm(normal)
        if all(abs(float(normal @ n)) < _SAME_PLANE for n in normals):
            pairs.append((a, b))
            normals.append(normal)
        if len(pairs) == _PLANES:
            break
    return pairs


def _find_third_axes(points: np.ndarray, a: np.ndarray, b: np.ndarray, max_cell: float) -> np.ndarray:
    """Vectors (m, 3) that leave the plane of `a` and `b`, from the transform over q.n, h and k; the shortest first."""
    normal = np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    index = points @ np.stack([a, b], axis=1)
    hk = np.round(index).astype(np.int64)
    good = np.abs(index - hk).max(axis=1) < _INDEXED
    hk, along = hk[good], points[good] @ normal
    most = np.abs(hk).max(axis=0, initial=0)
    if len(hk) < _NEEDED or most.max() > _WIDEST:
        return np.zeros((0, 3))
    step = 1.0 / (PERIOD * max_cell)
    # each edge of the grid grows with the resolution of the spots: the coarser ones fit into it
    q = np.linalg.norm(points[good], axis=1)
    while len(hk) >= _NEEDED and (size := _count_grid_points(hk, along, step)) > _MOST_POINTS:
        near = q < q.max() * min(np.cbrt(_MOST_POINTS / size), _COARSER)
        hk, along, q = hk[near], along[near], q[near]
    if len(hk) < _NEEDED or not np.any(along):
        return np.zeros((0, 3))
    most = np.abs(hk).max(axis=0)
    shape = tuple(fft.next_fast_len(int(n), real=True) for n in (
        *(_OVERSAMPLED * (2 * most + 1)), _OVERSAMPLED * np.abs(along).max() / step + 1))
    grid = np.zeros(shape, dtype=np.float32)
    grid[hk[:, 0] % shape[0], hk[:, 1] % shape[1], np.round(along / step).astype(np.int64) % shape[2]] = 1.0
    spectrum = np.abs(fft.rfftn(grid, overwrite_x=True))
    # along the last axis a grid point is a length of 1 / (n step)
    length = np.arange(spectrum.shape[2]) / (shape[2] * step)
    spectrum[:, :, (length < 0.5 * PERIOD / np.abs(along).max()) | (length > max_cell)] = 0.0
    place = np.stack(np.unravel_index(_find_maxima(spectrum), spectrum.shape), axis=1)
    x, y = (place[:, k] / shape[k] - (place[:, k] > shape[k] // 2) for k in (0, 1))
    vectors = length[place[:, 2], None] * normal + x[:, None] * a + y[:, None] * b
    return vectors[np.argsort(length[place[:, 2]], kind="stable")][:_THIRD]


def _count_grid_points(hk: np.ndarray, along: np.ndarray, step: float) -> float:
    """How many points the transform of some spots has, before its edges are rounded up."""
    return float(np.prod(_OVERSAMPLED * (2.0 * np.abs(hk).max(axis=0) + 1.0))
                 * (_OVERSAMPLED * np.abs(along).max() / step + 1.0))


def _find_maxima(spectrum: np.ndarray) -> np.ndarray:
    """Flat places of the highest local maxima, none below half of the highest."""
    flat = spectrum.ravel()
    above = np.flatnonzero(flat > _SHARE * flat.max())
    index = np.stack(np.unravel_index(above, spectrum.shape), axis=1)
    is_maximum = np.ones(len(above), dtype=bool)
    for shift in itertools.product((-1, 0, 1), repeat=3):
        near = index + np.array(shift)
        near[:, :2] %= spectrum.shape[:2]
        near[:, 2] = np.clip(near[:, 2], 0, spectrum.shape[2] - 1)
        is_maximum &= flat[above] >= spectrum[near[:, 0], near[:, 1], near[:, 2]]
    maxima = above[is_maximum]
    return maxima[np.argsort(-flat[maxima], kind="stable")[:_PEAKS]]
