"""Scores of cells against a plain computation, and the division of multiple cells."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.indexing.search.combine import different_cells, evaluate, fit_likelihood, refine_basis, without_multiples
from xdp.indexing.search.max_cell import estimate_max_cell, outside_ice_rings


def points_on(basis: np.ndarray, n: int = 200, noise: float = 2e-4) -> np.ndarray:
    rng = np.random.default_rng(0)
    hkl = rng.integers(-8, 9, (n, 3))
    return hkl @ np.linalg.inv(basis).T + rng.normal(0, noise, (n, 3))


BASIS = np.diag([30.0, 42.0, 55.0])


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


@pytest.mark.parametrize("change", [np.diag([2, 1, 1]), np.diag([1, 1, 3]), [[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
                                    np.diag([2, 3, 1])])
def test_multiple_cells_are_divided(change):
    points = points_on(BASIS)
    large = evaluate(np.array(change) @ BASIS, points, 0.3)
    found = without_multiples(large, points, 25.0, 0.3)
    assert abs(np.linalg.det(found.basis)) == pytest.approx(np.linalg.det(BASIS), rel=1e-3)
    assert found.score > large.score


def test_the_true_cell_is_not_divided():
    points = points_on(BASIS)
    cell = evaluate(BASIS, points, 0.3)
    assert without_multiples(cell, points, 25.0, 0.3) is cell


def test_least_squares_ignores_what_does_not_belong():
    false = np.random.default_rng(3).uniform(-0.25, 0.25, (200, 3))
    points = np.concatenate([points_on(BASIS), false])
    start = BASIS * 1.003  # three times as far off as the tolerance below
    np.testing.assert_allclose(np.linalg.norm(refine_basis(start, points), axis=1), [30, 42, 55], rtol=1e-3)


def test_one_lattice_is_listed_once():
    points = points_on(BASIS)
    other = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ BASIS
    cells = [evaluate(b, points, 0.3) for b in (BASIS, other, np.diag([2, 1, 1]) @ BASIS)]
    assert [c.basis is BASIS for c in different_cells(cells)] == [True, False]


def test_ice_rings_are_left_out_of_the_longest_axis():
    d = np.array([3.895, 3.669, 3.60, 2.671, 8.0])
    assert outside_ice_rings(d).tolist() == [False, False, True, False, True]


def test_longest_axis_by_a_quantile():
    grid = points_on(np.diag([40.0, 60.0, 110.0]), 3000, 1e-5)
    phi = np.zeros(len(grid))
    low = estimate_max_cell(grid, phi, percentile=0.2, multiplier=1.0)
    assert low < estimate_max_cell(grid, phi, percentile=0.9, multiplier=1.0)
