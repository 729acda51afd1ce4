"""Orientations of a known cell, from few spots, some of which belong to nothing."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import points_of

from xdp.indexing.lattice.basis import span_same_lattice
from xdp.indexing.shots.cell_vectors import make_cell_vectors
from xdp.indexing.shots.orientations import search_orientations


@pytest.mark.parametrize("cell", [(31.0, 42.0, 55.0, 85.0, 97.0, 104.0), (79.0, 79.0, 38.0, 90.0, 90.0, 90.0),
                                  (93.0, 93.0, 130.0, 90.0, 90.0, 120.0), (96.0, 96.0, 96.0, 90.0, 90.0, 90.0)])
@pytest.mark.parametrize(("n_spots", "n_spurious"), [(15, 0), (20, 20)])
def test_the_orientation_is_found_with_few_spots(cell, n_spots, n_spurious):
    points, a = points_of(cell, n_spots, 3.0)
    rng = np.random.default_rng(3)
    false = rng.normal(size=(n_spurious, 3))
    false *= rng.uniform(0.05, 0.33, (n_spurious, 1)) / np.linalg.norm(false, axis=1, keepdims=True)
    found = search_orientations(np.concatenate([points, false]), make_cell_vectors(np.linalg.inv(a)))
    assert span_same_lattice(found.bases[:1], np.linalg.inv(a))[0]
    assert found.score[0] > 40.0 > 2.0 * 12.0  # chance reaches 12 to 25


def test_no_spots_near_a_lattice_give_a_low_score():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(30, 3))
    points *= rng.uniform(0.05, 0.3, (30, 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    found = search_orientations(points, make_cell_vectors(np.diag([40.0, 50.0, 60.0])))
    assert found.score[0] < 27.0
