"""Lattice vectors sought direction by direction: one-dimensional Fourier transforms, or the edges of a known cell.

References
----------
Steller, Bolotovsky & Rossmann (1997) J. Appl. Cryst. 30, 1036 (one-dimensional transforms);
Gildea et al. (2014) Acta Cryst. D70, 2652 (real-space grid search with a known cell).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.indexing.search.fft3d import Candidates, refine_vectors, select_candidates

_SAMPLE = 1000   # points that are scored in each direction: enough to see a period, and quick. A choice
_BATCH = 512     # directions at a time: their histograms take some tens of MB
_TOP = 150       # peaks that are refined: several times as many as candidates are kept
_BINS = 5.0      # bins of a histogram in the shortest period, 1 / max_cell: damps the transform there by 6 %


def make_directions(step: float) -> np.ndarray:
    """Make unit vectors (n, 3) about `step` radians apart over half of the sphere: a spiral of equal areas.

    Examples
    --------
    >>> make_directions(0.5).shape
    (26, 3)
    >>> bool((make_directions(0.5)[:, 2] > 0).all())
    True
    """
    n = max(int(np.ceil(2.0 * np.pi / step**2)), 1)
    z = (np.arange(n) + 0.5) / n
    around = np.pi * (1.0 + 5.0**0.5) * np.arange(n)  # golden angle
    across = np.sqrt(1.0 - z**2)
    return np.column_stack([across * np.cos(around), across * np.sin(around), z])


def find_candidates_fft1d(points: np.ndarray, max_cell: float, *, min_cell: float = 3.0, step: float = 0.029,
                          max_candidates: int = 40) -> Candidates:
    """Find candidate lattice vectors from Fourier transforms of the points' projections on many directions.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    max_cell : float
        Longest axis to look for, Å.
    min_cell : float
        Shortest axis to look for, Å.
    step : float
        Distance of neighbouring directions, radians.
    max_candidates : int
        Candidates that are kept at most.
    """
    used = _sample_points(points)
    reach = float(np.linalg.norm(used, axis=1).max())
    width = 1.0 / (_BINS * max_cell)                    # of a bin: 1/Å
    n = int(2 ** np.ceil(np.log2(2.0 * reach / width + 2)))
    length = np.arange(n // 2 + 1) / (n * width)        # Å
    allowed = (length >= min_cell) & (length <= max_cell)
    found, heights = [], []
    directions = make_directions(step)
    for start in range(0, len(directions), _BATCH):
        part = directions[start : start + _BATCH]
        # one histogram after the other in a single count
        place = np.floor((part @ used.T + reach) / width).astype(np.int64) + n * np.arange(len(part))[:, None]
        histogram = np.bincount(place.ravel(), minlength=n * len(part)).reshape(len(part), n)
        power = np.abs(np.fft.rfft(histogram, axis=1)) * allowed
        best = np.argmax(power, axis=1)
        found.append(part * length[best][:, None])
        heights.append(power[np.arange(len(part)), best])
    return _refine_highest(np.concatenate(found), np.concatenate(heights), used, min_cell, max_candidates)


def find_candidates_by_edges(points: np.ndarray, lengths: Sequence[float] | np.ndarray, *, step: float = 0.02,
                             max_candidates: int = 30) -> Candidates:
    """Find candidate vectors with the lengths of a known cell's edges, in the directions where the points repeat so.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    lengths : sequence of float
        Of the edges, Å.
    step : float
        Distance of neighbouring directions, radians.
    max_candidates : int
        Candidates that are kept at most.
    """
    used = _sample_points(points)
    directions, periods = make_directions(step), np.unique(np.round(lengths, 3))
    height = np.empty((len(periods), len(directions)))
    for start in range(0, len(directions), _BATCH):
        along = directions[start : start + _BATCH] @ used.T
        for k, length in enumerate(periods):
            # single precision is enough to choose directions, and four times as quick
            phase = (2.0 * np.pi * length * along).astype(np.float32)
            height[k, start : start + _BATCH] = np.cos(phase).sum(axis=1)
    top = np.argsort(-height, axis=1, kind="stable")[:, :_TOP]
    found = [directions[rows] * length for rows, length in zip(top, periods, strict=True)]
    heights = np.take_along_axis(height, top, axis=1)
    # twice as many: several lengths share the peaks. A centred cell's reduced edges may differ from the known ones.
    return _refine_highest(np.concatenate(found), np.concatenate(heights), used, 0.5 * min(lengths), max_candidates,
                           2 * _TOP)


def _refine_highest(vectors: np.ndarray, heights: np.ndarray, points: np.ndarray, min_cell: float, most: int,
                    n: int = _TOP) -> Candidates:
    """The highest of the vectors, moved to the maximum of the points' periodicity, repeats dropped."""
    top = np.argsort(-heights, kind="stable")[:n]
    vectors, periodicity = refine_vectors(vectors[top], points, np.ones(len(points)))
    return select_candidates(vectors, periodicity, min_cell, most)


def _sample_points(points: np.ndarray) -> np.ndarray:
    """At most a thousand of the points, always the same."""
    if len(points) <= _SAMPLE:
        return points
    return points[np.random.default_rng(0).choice(len(points), _SAMPLE, replace=False)]
