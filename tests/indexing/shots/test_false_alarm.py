"""The false-alarm probability: small for lattices, and as large as it says for what is none."""

from __future__ import annotations

import numpy as np
from lattice_points import points_of

from xdp.indexing.shots.cell_vectors import CellVectors, make_cell_vectors
from xdp.indexing.shots.false_alarm import estimate_false_alarm, list_other_cells
from xdp.indexing.shots.orientations import search_orientations

CELL = make_cell_vectors(np.diag([40.0, 40.0, 55.0]))


def draw_anywhere(n: int, rng: np.random.Generator) -> np.ndarray:
    """Points of 3 to 20 Å in all directions."""
    points = rng.normal(size=(n, 3))
    return points * rng.uniform(0.05, 0.33, (n, 1)) / np.linalg.norm(points, axis=1, keepdims=True)


def judge(points: np.ndarray, cell: CellVectors = CELL, share: float = 1.0) -> float:
    """The false-alarm probability of the best orientation."""
    score = float(search_orientations(points, cell).score[0])
    return estimate_false_alarm(score, points, list_other_cells(cell), share)


def test_other_cells_differ_and_keep_the_symmetry():
    others = list_other_cells(CELL)
    assert len(others) == 20
    for other in others:
        assert len(other.rotations) == len(CELL.rotations)
        edges = np.linalg.norm(other.basis, axis=1) / np.linalg.norm(CELL.basis, axis=1)
        assert np.abs(edges - 1.0).min() > 0.03
        assert np.abs(edges - 1.0).max() < 0.15


def test_other_cells_are_always_the_same():
    first, second = list_other_cells(CELL), list_other_cells(CELL)
    assert all(np.array_equal(a.basis, b.basis) for a, b in zip(first, second, strict=True))


def test_a_lattice_is_no_false_alarm():
    points, _ = points_of((40.0, 40.0, 55.0, 90.0, 90.0, 90.0), 15, 3.0)
    assert judge(points) < 1e-6


def test_spots_anywhere_have_probabilities_as_they_say():
    rng = np.random.default_rng(7)
    found = np.array([judge(draw_anywhere(15, rng)) for _ in range(30)])
    # fifteen are expected below one half; 5 to 25 with a certainty of 0.9999
    assert 5 <= np.count_nonzero(found < 0.5) <= 25
    assert found.min() > 1e-4


def test_spots_of_another_cell_agree_with_any_cell_equally():
    points, _ = points_of((40.0, 40.0, 55.0, 90.0, 90.0, 90.0), 150, 2.5)
    wrong = make_cell_vectors(np.diag([42.6, 42.6, 58.4]))
    assert judge(points, wrong, share=0.2) > 1e-3
