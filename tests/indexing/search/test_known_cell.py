"""A known cell is found from few spots, cells of other shapes are not looked at, and chance does not pass for it."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import is_same_lattice

from xdp.experiment.crystal import b_matrix, cell_of
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.search.known_cell import agree_with_cell, find_known_cells, orient_known_cell
from xdp.simulation.models import draw_rotation

CELLS = [(96.4, 96.4, 96.4, 90.0, 90.0, 90.0), (78.84, 78.84, 38.29, 90.0, 90.0, 90.0),
         (41.0, 52.0, 63.0, 82.0, 97.0, 104.0)]


def still_points(cell: tuple, n: int, d_min: float, *, n_spurious: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of a lattice near the Ewald sphere of 1 Å, with errors, some spurious ones on the sphere, and A."""
    rng = np.random.default_rng(4)
    a = draw_rotation(7) @ b_matrix(cell)
    most = [int(edge / d_min) + 1 for edge in cell[:3]]
    hkl = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in most], indexing="ij"), axis=-1).reshape(-1, 3)
    q = hkl @ a.T
    off = np.abs(np.linalg.norm(q - np.array([0.0, 0.0, 1.0]), axis=1) - 1.0)
    size = np.linalg.norm(q, axis=1)
    q = q[(size > 0) & (size < 1.0 / d_min)][np.argsort(off[(size > 0) & (size < 1.0 / d_min)])[:n]]
    points = q + rng.normal(0.0, 2e-4, q.shape)
    return np.concatenate([points, on_sphere(n_spurious, 1.0 / d_min, rng)]), a


def on_sphere(n: int, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Points anywhere on the Ewald sphere of 1 Å, no further than `reach` (1/Å) from the origin."""
    size, angle = reach * np.sqrt(rng.random(n)), rng.uniform(0.0, 2.0 * np.pi, n)
    z = 0.5 * size**2
    across = np.sqrt(size**2 - z**2)
    return np.column_stack([across * np.cos(angle), across * np.sin(angle), z])


def reduced(cell: tuple) -> np.ndarray:
    return reduce_basis(np.linalg.inv(b_matrix(cell)))


@pytest.mark.parametrize("cell", CELLS)
def test_the_orientation_is_found_from_few_spots_of_a_still(cell: tuple):
    points, a = still_points(cell, 60, 3.0, n_spurious=30)
    found = find_known_cells(points, np.zeros((0, 3)), reduced(cell), KnownSymmetry(unit_cell=cell))
    assert is_same_lattice(found[0].basis, a)
    assert found[0].score > 2.0 * found[1].score
    np.testing.assert_allclose(np.sort(cell_of(found[0].basis)[:3]), np.sort(cell[:3]), rtol=0.01)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("n", [25, 80, 300])
def test_random_spots_do_not_pass_for_a_known_cell(cell: tuple, n: int):
    points = on_sphere(n, 0.35, np.random.default_rng(n))
    found = find_known_cells(points, np.zeros((0, 3)), reduced(cell), KnownSymmetry(unit_cell=cell))
    assert not found or found[0].score < 25.0  # what the search asks of a known cell


def test_cells_agree_in_any_choice_of_axes_and_within_the_tolerances():
    target, known = reduced(CELLS[2]), KnownSymmetry()
    other = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1]]) @ target @ draw_rotation(2).T
    assert agree_with_cell(np.stack([other, 1.05 * other]), target, known).all()
    assert not agree_with_cell(np.stack([np.diag([2.0, 1.0, 1.0]) @ other, 1.3 * other]), target, known).any()


def test_fewer_than_three_spots_have_no_orientation():
    assert find_known_cells(np.eye(3)[:2], np.zeros((0, 3)), np.diag([10.0, 20.0, 30.0]), KnownSymmetry()) == []


def test_orientations_that_the_cells_symmetry_makes_equal_are_tried_once():
    """Three candidate vectors along the edges of a cube: 24 rotations of it give one lattice."""
    cube, known = np.diag([50.0] * 3), KnownSymmetry(unit_cell=(50.0, 50.0, 50.0, 90.0, 90.0, 90.0))
    vectors = cube @ draw_rotation(3).T
    turns = orient_known_cell(vectors, cube, known)
    same = [is_same_lattice(cube @ t.T, np.linalg.inv(vectors)) for t in turns]
    assert len(turns) == 3  # one of each pair of vectors
    assert all(same)
    # without any symmetry of the cell but the inversion, which is no rotation, each sign counts
    skew = reduced(CELLS[2])
    assert len(orient_known_cell(skew @ draw_rotation(3).T, skew, KnownSymmetry(unit_cell=CELLS[2]))) >= 3 * 2
