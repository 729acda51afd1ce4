"""Lattice search on made-up reciprocal lattice points: the cell comes back, noise does not become a cell."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment.crystal import b_matrix, cell_of
from xdp.indexing.assign.assign import assign_indices
from xdp.indexing.lattice.basis import are_multiples, reduced_basis, rotation_between
from xdp.indexing.search.combine import best_cells
from xdp.indexing.search.fft3d import fft3d_candidates
from xdp.indexing.search.max_cell import estimate_max_cell
from xdp.refinement.parameters.rotations import make_rotation


def lattice_points(cell: tuple, seed: int, *, d_min: float = 2.0, n: int = 800, noise: float = 3e-4,
                   spurious: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Points near the Ewald sphere swept through 30 degrees, with position errors and random others; and A."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    a = make_rotation(axis / np.linalg.norm(axis), rng.uniform(0, np.pi)) @ b_matrix(cell)
    limit = [int(length / d_min) + 1 for length in cell[:3]]
    grids = np.meshgrid(*[np.arange(-m, m + 1) for m in limit], indexing="ij")
    hkl = np.stack([g.ravel() for g in grids], axis=1)
    q = hkl @ a.T
    s0 = np.array([0.0, 0.0, -1.0])
    d_star = np.linalg.norm(q, axis=1)
    swept = np.zeros(len(q), dtype=bool)
    for angle in np.radians(np.arange(0, 30, 0.5)):
        r = q @ make_rotation(np.array([1.0, 0, 0]), angle).T
        swept |= np.abs(np.linalg.norm(r + s0, axis=1) - 1.0) < 0.004
    points = q[swept & (d_star < 1 / d_min) & (d_star > 0)]
    points = points[rng.permutation(len(points))[:n]]
    points = points + rng.normal(0, noise, points.shape)
    extra = rng.normal(size=(int(spurious * len(points)), 3))
    extra *= (rng.random(len(extra)) ** (1 / 3) / d_min / np.linalg.norm(extra, axis=1))[:, None]
    return np.concatenate([points, extra]), a


@pytest.mark.parametrize(("cell", "spurious"), [
    ((79.3, 79.3, 37.8, 90, 90, 90), 0.0),
    ((79.3, 79.3, 37.8, 90, 90, 90), 0.6),
    ((31.0, 42.0, 55.0, 85, 97, 104), 0.3),
    ((8.1, 12.0, 15.4, 90, 99, 90), 0.2),
    ((150.0, 150.0, 150.0, 90, 90, 90), 0.2),
])
def test_search_finds_the_cell(cell: tuple, spurious: float):
    points, a = lattice_points(cell, 11, d_min=0.9 if max(cell[:3]) < 20 else 2.5, spurious=spurious)
    candidates = fft3d_candidates(points, 1.6 * max(cell[:3]), n_points=128 if max(cell[:3]) < 100 else 256)
    best = best_cells(candidates, points)[0]
    truth = reduced_basis(np.linalg.inv(a))
    # noise of 3e-4 1/Å on hundreds of spots: cell edges to a few parts in ten thousand
    np.testing.assert_allclose(np.sort(cell_of(best.basis)[:3]), np.sort(cell_of(truth)[:3]), rtol=2e-3)
    transform = best.basis @ np.linalg.inv(truth)
    assert np.abs(transform - np.round(transform)).max() < 0.02
    assert abs(round(np.linalg.det(np.round(transform)))) == 1


def test_noise_has_no_likely_cell():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.3, 0.3, size=(500, 3))
    cells = best_cells(fft3d_candidates(points, 80.0, n_points=96), points)
    assert not cells or cells[0].score < 25  # a real lattice of 500 spots scores thousands


def test_max_cell_is_the_longest_axis_times_the_margin():
    points, _ = lattice_points((40.0, 60.0, 110.0, 90, 90, 90), 3, n=3000, d_min=3.0)
    found = estimate_max_cell(points, np.zeros(len(points)))
    assert 110.0 < found < 2.0 * 110.0


def test_max_cell_needs_spots():
    with pytest.raises(XdpError, match="max_cell"):
        estimate_max_cell(np.eye(3), np.zeros(3))


def test_assignment_takes_the_nearest_lattice_and_one_spot_an_index():
    first, second = np.eye(3) / 50.0, make_rotation(np.array([0, 0, 1.0]), 0.3) / 40.0
    hkl = np.array([[1, 2, 3], [4, -1, 2], [2, 2, -5]])
    points = np.concatenate([hkl @ first.T, hkl @ second.T, hkl[:1] @ first.T + 1e-3, [[0.0, 0.0, 0.0]]])
    found = assign_indices(points, np.zeros(len(points)), [first, second])
    np.testing.assert_array_equal(found.crystal, [0, 0, 0, 1, 1, 1, -1, -1])
    np.testing.assert_array_equal(found.hkl[:3], hkl)
    np.testing.assert_array_equal(found.hkl[3:6], hkl)
    assert not found.hkl[6:].any()


def test_reflections_seen_twice_far_apart_in_angle_both_keep_their_index():
    a = np.eye(3) / 50.0
    points = np.array([[1, 2, 3], [1, 2, 3]]) @ a.T
    found = assign_indices(points, np.radians([10.0, 100.0]), [a])
    np.testing.assert_array_equal(found.crystal, [0, 0])


def test_reduction_gives_the_shortest_vectors():
    basis = np.diag([30.0, 40.0, 50.0])
    unimodular = np.array([[1, 3, -2], [0, 1, 5], [0, 0, 1]])
    reduced = reduced_basis(unimodular @ basis)
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), [30, 40, 50])
    assert np.linalg.det(reduced) > 0


def test_multiples_and_rotations():
    v = np.array([10.0, 5.0, 0.0])
    assert are_multiples(np.stack([-2 * v, 1.5 * v, v]), v).tolist() == [True, False, False]
    a = b_matrix((40, 50, 60, 90, 90, 90))
    assert rotation_between(a, make_rotation(np.array([0, 1.0, 0]), 0.1) @ a) == pytest.approx(np.degrees(0.1))
