"""From candidate vectors to a cell: which three explain the spots best, for their volume.

A cell of volume V puts one lattice point in each 1/V of reciprocal space. For a spot at distance e from its lattice
point the likelihood that the cell explains it, against chance, is (1 - f) N(e; s) / V + f with N the normal density of
width s and f the fraction of spots that belong to nothing. A doubled cell thus loses log 2 a spot, a halved one loses
all spots it leaves out: no further weights are needed to choose between cells of different volume.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from xdp.indexing.fft3d import Candidates
from xdp.indexing.lattice import reduced_basis

_POINTS = 1000     # spots on which all triples are tried
_OUTLIERS = 0.1    # prior fraction of spots that belong to nothing
_TRIAL = 3000      # spots on which the best triples are refined
_BEST = 20         # triples that are refined
_LAST = 5          # cells that are refined on all spots


@dataclass(frozen=True)
class Cell:
    """A primitive cell: rows a, b, c in Å (right-handed, reduced), its score and what it indexes."""

    basis: np.ndarray
    score: float
    n_indexed: int
    n_spots: int
    rms: float  # of the index residuals' distance, 1/Å

    @property
    def fraction(self) -> float:
        """The fraction of the spots that it indexes."""
        return self.n_indexed / max(self.n_spots, 1)


def log_likelihood(distance2: np.ndarray, volume: np.ndarray | float, sigma: np.ndarray | float) -> np.ndarray:
    """Log likelihood ratio against chance, summed over spots (last axis of squared distances in 1/Å^2)."""
    density = np.exp(-0.5 * distance2 / np.square(sigma)) / ((2.0 * np.pi) ** 1.5 * np.power(sigma, 3) * volume)
    return np.log((1.0 - _OUTLIERS) * density + _OUTLIERS).sum(axis=-1)


def best_cells(candidates: Candidates, points: np.ndarray, *, min_volume: float = 25.0, max_cell: float = 2000.0,
               tolerance: float = 0.3, max_vectors: int = 30) -> list[Cell]:
    """Cells made of three candidate vectors each, the likeliest first.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points in 1/Å.
    tolerance : float
        A spot is indexed where no index is further than this from a whole number.
    """
    vectors = candidates.vectors[:max_vectors]
    if len(vectors) < 3:
        return []
    sample, trial = _sample(points, _POINTS), _sample(points, _TRIAL)
    triples = np.array(list(itertools.combinations(range(len(vectors)), 3)))
    bases = vectors[triples]
    volume = np.abs(np.linalg.det(bases))
    lengths = np.linalg.norm(bases, axis=2)
    # three vectors in a plane span no cell
    keep = (volume > min_volume) & (volume > 0.05 * lengths.prod(axis=1))
    scores = _score_triples(vectors, triples[keep], sample)
    found: list[Cell] = []
    open_bases, order = bases[keep], np.argsort(-scores, kind="stable")
    is_open = np.isfinite(scores) & (np.linalg.norm(open_bases, axis=2).max(axis=1) < 2.0 * max_cell)
    for k in order:
        if len(found) >= _BEST:
            break
        if not is_open[k]:
            continue
        basis = reduced_basis(open_bases[k])
        is_open &= ~_spans_same(open_bases, basis)
        if np.linalg.norm(basis[2]) <= max_cell:
            found.append(evaluate(refine_basis(basis, trial, tolerance), trial, tolerance))
    best = sorted(found, key=lambda cell: -cell.score)[:_LAST]
    final = [evaluate(refine_basis(cell.basis, points, tolerance), points, tolerance) for cell in best]
    return sorted(final, key=lambda cell: -cell.score)


def _sample(points: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the points, always the same."""
    if len(points) <= most:
        return points
    return points[np.random.default_rng(0).choice(len(points), most, replace=False)]


def _score_triples(vectors: np.ndarray, triples: np.ndarray, points: np.ndarray, chunk: int = 256) -> np.ndarray:
    """Log likelihood of each triple on a sample of the points, its width from the triple's own residuals."""
    index = vectors @ points.T
    residual = (index - np.round(index)).astype(np.float32)
    scores = np.full(len(triples), -np.inf)
    for start in range(0, len(triples), chunk):
        part = triples[start : start + chunk]
        bases = vectors[part]
        inverse = np.linalg.inv(bases).astype(np.float32)  # columns a*, b*, c*
        delta = residual[part]  # (t, 3, n)
        distance2 = np.sum((inverse @ delta) ** 2, axis=1)
        volume = np.abs(np.linalg.det(bases))[:, None]
        sigma = _width(distance2, volume[:, 0])[:, None]
        scores[start : start + chunk] = log_likelihood(distance2, volume, sigma)
    return scores


def _width(distance2: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """Robust width in 1/Å of the residuals' distribution: from the median, within what the cell allows."""
    # the median of chi square with three degrees of freedom is 2.366
    sigma = np.sqrt(np.median(distance2, axis=-1) / 2.366)
    edge = np.power(volume, -1.0 / 3.0)
    return np.clip(sigma, 0.005 * edge, 0.12 * edge)


def residual_distances(basis: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances (n,) in 1/Å^2 to the lattice points, and the index residuals (n, 3)."""
    index = points @ basis.T
    delta = index - np.round(index)
    return np.sum((delta @ np.linalg.inv(basis).T) ** 2, axis=1), delta


def evaluate(basis: np.ndarray, points: np.ndarray, tolerance: float) -> Cell:
    """Score a cell on all points."""
    distance2, delta = residual_distances(basis, points)
    volume = abs(float(np.linalg.det(basis)))
    sigma = float(_width(distance2[None], np.array([volume]))[0])
    good = np.abs(delta).max(axis=1) < tolerance
    rms = float(np.sqrt(distance2[good].mean())) if good.any() else np.inf
    return Cell(basis, float(log_likelihood(distance2, volume, sigma)), int(good.sum()), len(points), rms)


def refine_basis(basis: np.ndarray, points: np.ndarray, tolerance: float = 0.3, n_cycles: int = 5) -> np.ndarray:
    """Least squares of the cell on the points it indexes, tolerance narrowing, low resolution first; reduced again."""
    order = np.linalg.norm(points, axis=1)
    for cycle in range(n_cycles):
        reach = np.quantile(order, min(1.0, 0.4 + 0.6 * (cycle + 1) / n_cycles))
        near = points[order <= reach]
        index = near @ basis.T
        whole = np.round(index)
        good = np.abs(index - whole).max(axis=1) < tolerance
        if good.sum() < 6 or np.linalg.matrix_rank(whole[good]) < 3:
            break
        a = np.linalg.lstsq(whole[good], near[good], rcond=None)[0]  # rows a*, b*, c*
        if abs(np.linalg.det(a)) < 1e-12:
            break
        basis = np.linalg.inv(a).T
    return reduced_basis(basis)


def _spans_same(bases: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Which of `bases` (t, 3, 3) span nearly the lattice of `basis`, bool (t,)."""
    transform = bases @ np.linalg.inv(basis)
    whole = np.round(transform)
    return (np.abs(transform - whole).max(axis=(1, 2)) < 0.05) & (np.abs(np.abs(np.linalg.det(whole)) - 1.0) < 1e-6)
