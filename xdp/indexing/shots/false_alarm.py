"""The probability that a cell which is not the crystal's gives a lattice as good as the one that was found.

The score of the best orientation is a log likelihood ratio against spots anywhere. Real spots are not anywhere: ice,
satellites, and above all the lattice of another cell make some of them agree with any cell. Therefore the same spots
are searched for other cells too, of the same symmetry, whose axes differ by several percent. In the tail, the best
score of a cell that is not the crystal's follows P(score > s) = 1 - 2^(-exp(-(s - m) / b)), where m is the median of
these searches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xdp.indexing.shots.cell_vectors import CellVectors, make_cell_vectors
from xdp.indexing.shots.orientations import search_orientations
from xdp.refinement.parameters.metric import b_from_metric, find_invariant_metrics

# b: of 1,000 shots of random spots (10 to 80 each; benchmarks/serial_indexing.py) 3.8, 1.0, 0.4 and 0.1 % had a
# probability below 3, 1, 0.3 and 0.1 %. With 1.15, the slope of one shot's tail, they were 4.9, 1.7, 0.8 and 0.4 %: the
# median's own error widens the tail.
_SLOPE = 1.35
# The medians of shots of 8 to 100 random spots and of four cells (30 to 150 Å, triclinic to cubic) were 11.9 to 18.3.
_LOWEST_MEDIAN, _HIGHEST_MEDIAN = 10.0, 20.0
_BEYOND_DOUBT = 1e-9    # such a probability, with the highest median, needs no other cells
_DRAWS = 20             # other cells: the median's error is then a factor of 1.4 of the probability
# Searches of first cells, and the probability above which more are not worth their time: half of all shots without a
# lattice are given up after one.
_FIRST = ((1, 0.2), (2, 0.15), (5, 0.05))
_FROM, _TO = 0.08, 0.25  # relative changes of the metric's elements: axes differ by 4 to 12 %
# A slope that the draws show is used where it is so much larger than the usual one: the quartiles of 20 draws are
# 1.57 b apart, with an error of a fourth.
_QUARTILES, _CLEARLY = 1.57, 1.5
_MANY = 0.3  # share of the spots that a lattice explains to be beyond doubt: the cell of another crystal explained 0.2


def list_other_cells(cell: CellVectors) -> list[CellVectors]:
    """List cells of the same symmetry whose axes differ by 4 to 12 % from those of `cell`; always the same ones."""
    metrics = find_invariant_metrics(np.round(np.linalg.inv(cell.basis).T @ cell.rotations @ cell.basis.T).astype(int))
    reciprocal = np.linalg.inv(cell.basis)
    metric = reciprocal.T @ reciprocal
    elements = np.linalg.lstsq(metrics.reshape(len(metrics), 9).T, metric.ravel(), rcond=None)[0]
    rng, others = np.random.default_rng(0), list[CellVectors]()
    while len(others) < _DRAWS:
        change = rng.uniform(_FROM, _TO, len(elements)) * rng.choice([-1.0, 1.0], len(elements))
        try:
            b = b_from_metric(np.einsum("k,kij->ij", elements * (1.0 + change), metrics))
        except np.linalg.LinAlgError:
            continue  # a change of the angles that no cell has
        others.append(make_cell_vectors(np.linalg.inv(b)))
    return others


def estimate_false_alarm(score: float, points: np.ndarray, others: Sequence[CellVectors], share: float) -> float:
    """Estimate the false-alarm probability of the best score that a search gave.

    Only doubtful scores cost time: of others a bound is given, which is below 1e-9 or above 0.05.

    Parameters
    ----------
    score : float
        Of :func:`search_orientations`.
    points : (n, 3)
        Reciprocal lattice points of the spots that were searched, 1/Å.
    others : sequence of CellVectors
        Cells that are not the crystal's.
    share : float
        The share of the spots that the lattice explains. A lattice that explains few is compared with other cells in
        any case.

    Returns
    -------
    float
        0 to 1.
    """
    sure = _compute_tail(score, _HIGHEST_MEDIAN, _SLOPE)
    if sure < _BEYOND_DOUBT and share > _MANY:
        return sure
    if (hopeless := _compute_tail(score, _LOWEST_MEDIAN, _SLOPE)) > _FIRST[0][1]:
        return hopeless
    scores = np.zeros(0)
    for n, enough in _FIRST:
        scores = np.concatenate([scores, _search_others(points, others[len(scores) : n])])
        if (first := _compute_tail(score, float(np.median(scores)), _SLOPE)) > enough:
            return first
    scores = np.concatenate([scores, _search_others(points, others[len(scores) :])])
    low, median, high = np.quantile(scores, [0.25, 0.5, 0.75])
    slope = (high - low) / _QUARTILES
    return _compute_tail(score, float(median), slope if slope > _CLEARLY * _SLOPE else _SLOPE)


def _search_others(points: np.ndarray, others: Sequence[CellVectors]) -> np.ndarray:
    """The best scores of some cells."""
    found = [search_orientations(points, other, enough=np.inf).score for other in others]
    return np.array([float(score[0]) if score.size else 0.0 for score in found])


def _compute_tail(score: float, median: float, slope: float) -> float:
    """The probability of a higher score than `score`."""
    return float(-np.expm1(-np.log(2.0) * np.exp(-(score - median) / slope)))
