"""Lattice vectors sought direction by direction: one-dimensional Fourier transforms, or the edges of a known cell.

References
----------
Steller, Bolotovsky & Rossmann (1997) J. Appl. Cryst. 30, 1036 (one-dimensional transforms);
Gildea et al. (2014) Acta Cryst. D70, 2652 (real-space grid search with a known cell).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.indexing.search.fft3d import Candidates, distinct_candidates, refine_vectors

_SAMPLE = 1000   # points that are scored in each direction
_BATCH = 512     # directions at a time
_TOP = 150       # peaks that are refined


def hemisphere(step: float) -> np.ndarray:
    """Unit vectors (n, 3) about `step` radians apart over half of the sphere: a spiral of equal areas."""
    n = max(int(np.ceil(2.0 * np.pi / step**2)), 1)
    z = (np.arange(n) + 0.5) / n
    around = np.pi * (1.0 + 5.0**0.5) * np.arange(n)  # golden angle
    across = np.sqrt(1.0 - z**2)
    return np.column_stack([across * np.cos(around), across * np.sin(around), z])


def fft1d_candidates(points: np.ndarray, max_cell: float, *, min_cell: float = 3.0, step: float = 0.029,
                     max_candidates: int = 40) -> Candidates:
    """Candidate lattice vectors from the Fourier transforms of the points' projections on many directions.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    max_cell : float
        Longest axis to look for, Å.
    step : float
        Distance of neighbouring directions, radians.
    """
    used = _sample(points)
    reach = float(np.linalg.norm(used, axis=1).max())
    width = 1.0 / (5.0 * max_cell)                      # of a bin: 1/Å
    n = int(2 ** np.ceil(np.log2(2.0 * reach / width + 2)))
    length = np.arange(n // 2 + 1) / (n * width)        # Å
    allowed = (length >= min_cell) & (length <= max_cell)
    found, heights = [], []
    directions = hemisphere(step)
    for start in range(0, len(directions), _BATCH):
        part = directions[start : start + _BATCH]
        place = np.floor((part @ used.T + reach) / width).astype(np.int64) + n * np.arange(len(part))[:, None]
        histogram = np.bincount(place.ravel(), minlength=n * len(part)).reshape(len(part), n)
        power = np.abs(np.fft.rfft(histogram, axis=1)) * allowed
        best = np.argmax(power, axis=1)
        found.append(part * length[best][:, None])
        heights.append(power[np.arange(len(part)), best])
    return _refined(np.concatenate(found), np.concatenate(heights), used, min_cell, max_candidates)


def grid_search_candidates(points: np.ndarray, lengths: Sequence[float], *, step: float = 0.02, max_candidates: int = 30
                           ) -> Candidates:
    """Candidate vectors with the lengths (Å) of a known cell's edges, in the directions where the points repeat so."""
    used = _sample(points)
    directions = hemisphere(step)
    found, heights = [], []
    for length in np.unique(np.round(lengths, 3)):
        scores = [np.cos(2.0 * np.pi * length * (directions[s : s + _BATCH] @ used.T)).sum(axis=1)
                  for s in range(0, len(directions), _BATCH)]
        height = np.concatenate(scores)
        top = np.argsort(-height, kind="stable")[:_TOP]
        found.append(directions[top] * length)
        heights.append(height[top])
    return _refined(np.concatenate(found), np.concatenate(heights), used, 0.5 * min(lengths), max_candidates,
                    2 * _TOP)


def _refined(vectors: np.ndarray, heights: np.ndarray, points: np.ndarray, min_cell: float, most: int, n: int = _TOP
             ) -> Candidates:
    """The highest of the vectors, moved to the maximum of the points' periodicity, repeats dropped."""
    top = np.argsort(-heights, kind="stable")[:n]
    vectors, periodicity = refine_vectors(vectors[top], points, np.ones(len(points)))
    return distinct_candidates(vectors, periodicity, min_cell, most)


def _sample(points: np.ndarray) -> np.ndarray:
    if len(points) <= _SAMPLE:
        return points
    return points[np.random.default_rng(0).choice(len(points), _SAMPLE, replace=False)]
