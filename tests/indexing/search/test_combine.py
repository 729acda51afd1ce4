"""Cells of made-up points come back, multiples are divided, noise does not become a cell."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import BASIS, lattice_points, points_on

from xdp.experiment.crystal import cell_of
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.options import Fft3d, ReciprocalSpaceGrid
from xdp.indexing.search import combine
from xdp.indexing.search.cells import CellLimits, score_cell
from xdp.indexing.search.combine import divide_multiple, find_best_cells, rank_triples
from xdp.indexing.search.fft3d import Candidates, find_candidates_fft3d


@pytest.mark.parametrize("change", [np.diag([2, 1, 1]), np.diag([1, 1, 3]), [[1, 1, 0], [-1, 1, 0], [0, 0, 1]],
                                    np.diag([2, 3, 1])])
def test_multiple_cells_are_divided(change):
    points = points_on(BASIS)
    large = score_cell(np.array(change) @ BASIS, points, 0.3)
    found = divide_multiple(large, points, CellLimits())
    assert abs(np.linalg.det(found.basis)) == pytest.approx(np.linalg.det(BASIS), rel=1e-3)
    assert found.score > large.score


def test_the_true_cell_is_not_divided():
    points = points_on(BASIS)
    cell = score_cell(BASIS, points, 0.3)
    assert divide_multiple(cell, points, CellLimits()) is cell


@pytest.mark.parametrize(("cell", "spurious"), [
    ((79.3, 79.3, 37.8, 90, 90, 90), 0.0),
    ((79.3, 79.3, 37.8, 90, 90, 90), 0.6),
    ((31.0, 42.0, 55.0, 85, 97, 104), 0.3),
    ((8.1, 12.0, 15.4, 90, 99, 90), 0.2),
    ((150.0, 150.0, 150.0, 90, 90, 90), 0.2),
])
def test_search_finds_the_cell(cell: tuple, spurious: float):
    points, a = lattice_points(cell, 11, d_min=0.9 if max(cell[:3]) < 20 else 2.5, spurious=spurious)
    grid = ReciprocalSpaceGrid(n_points=128 if max(cell[:3]) < 100 else 256)
    candidates = find_candidates_fft3d(points, 1.6 * max(cell[:3]), Fft3d(reciprocal_space_grid=grid))
    best = find_best_cells(candidates, points)[0]
    truth = reduce_basis(np.linalg.inv(a))
    # noise of 3e-4 1/Å on hundreds of spots: cell edges to a few parts in ten thousand
    np.testing.assert_allclose(np.sort(cell_of(best.basis)[:3]), np.sort(cell_of(truth)[:3]), rtol=2e-3)
    transform = best.basis @ np.linalg.inv(truth)
    assert np.abs(transform - np.round(transform)).max() < 0.02
    assert abs(round(np.linalg.det(np.round(transform)))) == 1


def test_noise_has_no_likely_cell():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.3, 0.3, size=(500, 3))
    options = Fft3d(reciprocal_space_grid=ReciprocalSpaceGrid(n_points=96))
    cells = find_best_cells(find_candidates_fft3d(points, 80.0, options), points)
    assert not cells or cells[0].score < 25  # a real lattice of 500 spots scores thousands


@pytest.mark.parametrize("change", [np.diag([7, 1, 1]), [[17, 4, 0], [0, 1, 0], [0, 0, 1]], np.diag([5, 2, 3])])
def test_large_multiples_are_divided_too(change):
    points = points_on(BASIS, 600)
    large = score_cell(np.array(change) @ BASIS, points, 0.3)
    found = divide_multiple(large, points, CellLimits())
    assert abs(np.linalg.det(found.basis)) == pytest.approx(np.linalg.det(BASIS), rel=1e-3)


def test_a_layer_of_spots_is_no_multiple():
    """Nine tenths of the spots have l = 0, which obeys l = 0 with any modulus."""
    points = points_on(BASIS, 400)
    index = np.round(points @ BASIS.T)
    index[40:, 2] = 0.0
    index[:40, 2] = np.where(index[:40, 2] == 0.0, 1.0, index[:40, 2])
    flat = index @ np.linalg.inv(BASIS).T + np.random.default_rng(1).normal(0, 2e-4, points.shape)
    cell = score_cell(BASIS, flat, 0.3)
    assert divide_multiple(cell, flat, CellLimits()) is cell


def test_the_likeliest_cell_is_divided_on_all_points(monkeypatch):
    """On a sample a long axis may come out too far off for its indices to obey a rule."""
    seen, points = [], points_on(BASIS, 2000)

    def note(cell, points, limits):
        seen.append(len(points))
        return divide_multiple(cell, points, limits)

    monkeypatch.setattr(combine, "divide_multiple", note)
    find_best_cells(Candidates(np.diag([1.0, 1.0, 2.0]) @ BASIS, np.ones(3)), points)
    assert len(seen) > 1
    assert seen[-1] == len(points) > max(seen[:-1])


def test_triples_of_the_lattice_come_first():
    """Of five vectors, three of them of the lattice, the cell of these three is the likeliest."""
    vectors = np.concatenate([BASIS, [[33.3, 21.0, 5.0], [7.7, -18.2, 40.1]]])
    bases, scores = rank_triples(Candidates(vectors, np.ones(5)), points_on(BASIS))
    assert np.array_equal(bases[0], BASIS)
    assert np.all(np.diff(scores) <= 0.0)
    assert scores[0] > 5.0 * scores[1]
    assert len(rank_triples(Candidates(vectors[:2], np.ones(2)), points_on(BASIS))[0]) == 0
