"""Scores of cells against a plain computation, and their refinement."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import BASIS, points_on

from xdp.indexing.search.cells import (
    Cell,
    drop_repeated_cells,
    fit_likelihood,
    is_possible,
    pick_different_bases,
    refine_basis,
    score_cell,
)


def test_likelihood_is_that_of_the_mixture():
    distance2 = np.random.default_rng(1).uniform(0, 1e-5, (1, 50))
    fit = fit_likelihood(distance2, np.array([5e4]))
    s, f = fit.sigma[0], fit.outliers[0]
    normal = np.exp(-0.5 * distance2[0] / s**2) / ((2 * np.pi) ** 1.5 * s**3)
    assert fit.score[0] == pytest.approx(np.log((1 - f) * normal / 5e4 + f).sum())


def test_outlier_fraction_follows_the_spurious_spots():
    good = points_on(BASIS, 100)
    false = np.random.default_rng(2).uniform(-0.25, 0.25, (300, 3))
    volume = np.array([np.linalg.det(BASIS)])
    fractions = []
    for points in (good, np.concatenate([good, false])):
        index = points @ BASIS.T
        distance2 = np.sum(((index - np.round(index)) @ np.linalg.inv(BASIS).T) ** 2, axis=1)
        fractions.append(fit_likelihood(distance2[None], volume).outliers[0])
    assert fractions == [0.1, 0.75]


def test_least_squares_ignores_what_does_not_belong():
    false = np.random.default_rng(3).uniform(-0.25, 0.25, (200, 3))
    points = np.concatenate([points_on(BASIS), false])
    start = BASIS * 1.003  # three times as far off as the tolerance below
    np.testing.assert_allclose(np.linalg.norm(refine_basis(start, points), axis=1), [30, 42, 55], rtol=1e-3)


def test_one_lattice_is_listed_once():
    points = points_on(BASIS)
    other = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ BASIS
    cells = [score_cell(b, points, 0.3) for b in (BASIS, other, np.diag([2, 1, 1]) @ BASIS)]
    assert [c.basis is BASIS for c in drop_repeated_cells(cells)] == [True, False]


def test_cells_without_room_are_not_possible():
    assert is_possible(np.diag([5.0, 6.0, 7.0]), 25.0)
    assert not is_possible(np.diag([0.01, 130.0, 130.0]), 25.0)
    assert not is_possible(np.diag([2.5, 2.5, 2.5]), 25.0)


def test_chance_is_not_counted_for_a_lattice():
    """Of 1000 random spots 216 lie within 0.3 of whole indices: what is above them belongs to the lattice."""
    cell = Cell(BASIS, 3920.0, 216 + 392, 1000, 1e-3)
    assert cell.likelihood_per_spot(0.3) == pytest.approx(3920.0 / (392 / (1 - 0.216)))
    assert cell.fraction == 0.608
    assert cell.is_convincing(4.0)
    assert not Cell(BASIS, 20.0, 3, 10, 1e-3).is_convincing(4.0)  # chance reaches such a score


def test_first_of_equal_lattices_are_picked():
    same, other = BASIS[[1, 2, 0]], 1.1 * BASIS
    assert np.array_equal(pick_different_bases(np.stack([BASIS, same, other]), 5), np.stack([BASIS, other]))
    assert len(pick_different_bases(np.stack([BASIS, other]), 1)) == 1
