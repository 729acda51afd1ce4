"""Kernels that turn a cell onto spots and score it, and their slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.indexing.shots._kernels_orient import invert_matrix, score_spreads, turn_onto_spots
from xdp.refinement.parameters.rotations import make_rotation

pytestmark = pytest.mark.kernels

BASIS = np.array([[40.0, 0.0, 0.0], [5.0, 50.0, 0.0], [-8.0, 4.0, 60.0]])


def score_slowly(basis: np.ndarray, points: np.ndarray, width2: np.ndarray, spurious: float) -> float:
    """The log likelihood ratio against chance."""
    index = np.round(points @ basis.T)
    r2 = np.sum((points - index @ np.linalg.inv(basis).T) ** 2, axis=1)
    density = np.exp(-0.5 * r2 / width2) / (np.linalg.det(basis) * (2.0 * np.pi * width2) ** 1.5)
    density[~index.any(axis=1)] = 0.0
    return float(np.log((1.0 - spurious) * density + spurious).sum())


def draw_points(n: int, error: float) -> np.ndarray:
    """Points near those of the lattice, the last three anywhere."""
    rng = np.random.default_rng(2)
    index = rng.integers(-8, 9, (n, 3))
    points = index @ np.linalg.inv(BASIS).T + rng.normal(0.0, error, (n, 3))
    points[-3:] = rng.uniform(-0.2, 0.2, (3, 3))
    return points


def test_inverse_and_determinant():
    matrix = np.random.default_rng(1).normal(size=(3, 3))
    inverse, determinant = invert_matrix(matrix)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix), rtol=1e-10)
    assert determinant == pytest.approx(np.linalg.det(matrix))


def test_scores_of_spreads_are_those_of_the_twin():
    points = draw_points(20, 5e-4)
    sigmas, angles, shares = np.array([2e-4, 1e-3]), np.array([1e-3, 5e-3]), np.array([0.1, 0.6])
    score, i, j, k = score_spreads(BASIS, points, sigmas, angles, shares)
    q2 = np.sum(points**2, axis=1)
    table = np.array([[[score_slowly(BASIS, points, s**2 + t**2 * q2, f) for f in shares] for t in angles]
                      for s in sigmas])
    assert score == pytest.approx(table.max())
    assert table[i, j, k] == table.max()


def test_a_turned_and_grown_cell_comes_back():
    points = draw_points(40, 1e-4)
    wrong = 1.004 * BASIS @ make_rotation(np.array([0.6, 0.0, 0.8]), 0.005).T
    bases, score = wrong[None].copy(), np.empty(1)
    angles = np.geomspace(0.008, 0.0005, 8)
    turn_onto_spots(bases, points, np.full(len(points), 3e-4), angles, score)
    np.testing.assert_allclose(bases[0], BASIS, atol=0.03)  # a turn of 1e-4 rad moves 60 Å by 0.006
    width2 = 3e-4**2 + angles[-1] ** 2 * np.sum(points**2, axis=1)
    # spots that are very far count the same but for what exp(-15) of the peak is
    assert score[0] == pytest.approx(score_slowly(bases[0], points, width2, 0.5), abs=0.1)
