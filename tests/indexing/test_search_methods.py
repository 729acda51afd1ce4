"""The other search methods find the same lattice as the three-dimensional transform."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment.crystal import b_matrix, cell_of
from xdp.indexing.options import CandidateSpots, Indexing, LowResSpotMatch
from xdp.indexing.search.combine import best_cells
from xdp.indexing.search.directions import fft1d_candidates, grid_search_candidates, hemisphere
from xdp.indexing.search.lattice_search import find_candidates
from xdp.indexing.search.spot_match import match_spots
from xdp.simulation.models import random_rotation

CELL = (31.0, 42.0, 55.0, 85.0, 97.0, 104.0)


def points_of(cell: tuple, n: int, d_min: float, noise: float = 3e-4) -> tuple[np.ndarray, np.ndarray]:
    """A random choice of a lattice's points with errors, and its A matrix."""
    rng = np.random.default_rng(2)
    a = random_rotation(3) @ b_matrix(cell)
    reach = [int(edge / d_min) + 1 for edge in cell[:3]]
    hkl = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    q = hkl @ a.T
    size = np.linalg.norm(q, axis=1)
    q = q[(size > 0) & (size < 1 / d_min)]
    return q[rng.permutation(len(q))[:n]] + rng.normal(0, noise, (min(n, len(q)), 3)), a


def is_same_lattice(basis: np.ndarray, a: np.ndarray) -> bool:
    """Whether the rows of `basis` span the lattice of A."""
    change = basis @ a
    return bool(np.abs(change - np.round(change)).max() < 0.05 and abs(round(np.linalg.det(change))) == 1)


def test_directions_cover_the_hemisphere_evenly():
    directions = hemisphere(0.1)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    cosine = np.abs(directions @ directions.T)
    np.fill_diagonal(cosine, 0.0)
    nearest = np.arccos(np.clip(cosine.max(axis=1), -1, 1))
    assert nearest.min() > 0.05
    assert nearest.max() < 0.2


def test_transforms_along_directions_find_the_cell():
    points, a = points_of(CELL, 600, 3.0)
    assert is_same_lattice(best_cells(fft1d_candidates(points, 90.0), points)[0].basis, a)


def test_known_edges_find_the_cell_with_few_spots():
    points, a = points_of(CELL, 60, 3.0)
    candidates = grid_search_candidates(points, CELL[:3])
    assert is_same_lattice(best_cells(candidates, points)[0].basis, a)


def test_innermost_spots_match_a_known_small_cell():
    cell = (7.1, 9.3, 12.2, 90.0, 90.0, 90.0)
    points, a = points_of(cell, 25, 1.5, noise=1e-3)
    best = match_spots(points, cell, " P 1", 1e-3, LowResSpotMatch())[0]
    assert is_same_lattice(best.basis, a)
    # the axes come in the order of the known cell
    np.testing.assert_allclose(cell_of(best.basis), cell, rtol=0.01)


def test_resolution_limit_of_the_matched_spots():
    cell = (7.1, 9.3, 12.2, 90.0, 90.0, 90.0)
    points, _ = points_of(cell, 25, 1.5)
    nothing = LowResSpotMatch(candidate_spots=CandidateSpots(limit_resolution_by="d_min", d_min=50.0))
    assert match_spots(points, cell, " P 1", 1e-3, nothing) == []  # no spot is so far in


def test_methods_that_need_a_cell_say_so():
    with pytest.raises(OptionError, match="needs the known cell"):
        find_candidates(np.eye(3), 50.0, Indexing(method="real_space_grid_search"))
