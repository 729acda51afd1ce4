"""Searches direction by direction find the same lattice as the three-dimensional transform."""

from __future__ import annotations

import numpy as np
from lattice_points import is_same_lattice, points_of

from xdp.indexing.search.combine import find_best_cells
from xdp.indexing.search.directions import find_candidates_by_edges, find_candidates_fft1d, make_directions

CELL = (31.0, 42.0, 55.0, 85.0, 97.0, 104.0)


def test_directions_cover_the_hemisphere_evenly():
    directions = make_directions(0.1)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    cosine = np.abs(directions @ directions.T)
    np.fill_diagonal(cosine, 0.0)
    nearest = np.arccos(np.clip(cosine.max(axis=1), -1, 1))
    assert nearest.min() > 0.05
    assert nearest.max() < 0.2


def test_transforms_along_directions_find_the_cell():
    points, a = points_of(CELL, 600, 3.0)
    assert is_same_lattice(find_best_cells(find_candidates_fft1d(points, 90.0), points)[0].basis, a)


def test_known_edges_find_the_cell_with_few_spots():
    points, a = points_of(CELL, 60, 3.0)
    candidates = find_candidates_by_edges(points, CELL[:3])
    assert is_same_lattice(find_best_cells(candidates, points)[0].basis, a)
