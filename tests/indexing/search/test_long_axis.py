"""A very long axis: the third vector comes from the indices along the two short ones."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import is_same_lattice, points_of

from xdp.indexing.options import Fft3d, ReciprocalSpaceGrid
from xdp.indexing.search.cells import CellLimits
from xdp.indexing.search.combine import find_best_cells
from xdp.indexing.search.fft3d import find_candidates_fft3d
from xdp.indexing.search.long_axis import find_candidates_with_long_axis

SMALL = Fft3d(reciprocal_space_grid=ReciprocalSpaceGrid(n_points=128))


@pytest.mark.parametrize("cell", [(5.87, 5.87, 153.8, 90, 90, 120), (9.0, 14.0, 310.0, 84, 97, 101),
                                  (7.0, 35.0, 120.0, 90, 98, 90)])
def test_a_very_long_axis_is_found(cell: tuple):
    points, a = points_of(cell, 2000, 1.0)
    points = np.concatenate([points, np.random.default_rng(1).uniform(-0.6, 0.6, (500, 3))])  # a fifth is spurious
    # the estimate of the longest axis is off by a fourth to either side, or by half
    for estimate in (1.25, 0.6):
        vectors = find_candidates_with_long_axis(points, estimate * cell[2], SMALL, longest=3.0 * cell[2])
        found = find_best_cells(vectors, points, CellLimits(25.0, 3.0 * cell[2], 0.3))
        assert is_same_lattice(found[0].basis, a)


def test_where_one_transform_reaches_all_spots_there_is_nothing_to_add():
    points, _ = points_of((31.0, 42.0, 55.0, 85.0, 97.0, 104.0), 600, 3.0)
    assert len(find_candidates_fft3d(points, 70.0, SMALL).vectors)
    assert not len(find_candidates_with_long_axis(points, 70.0, SMALL).vectors)


def test_noise_has_no_long_axis():
    points = np.random.default_rng(0).uniform(-0.9, 0.9, size=(800, 3))
    vectors = find_candidates_with_long_axis(points, 150.0, SMALL)
    cells = find_best_cells(vectors, points)
    assert not cells or cells[0].score < 55.0


def test_a_grid_that_would_be_too_large_ends_at_coarser_spots(monkeypatch):
    """With cells of 250 Å the transform asked for 3 GB; with a part of the spots the third axis is still found."""
    import xdp.indexing.search.long_axis as module

    rng = np.random.default_rng(2)
    hkl = rng.integers(-12, 13, (1500, 3)) * [1, 1, 4] + rng.integers(0, 4, (1500, 1)) * [0, 0, 1]
    points = hkl / np.array([10.0, 12.0, 150.0])
    a, b = np.array([10.0, 0.0, 0.0]), np.array([0.0, 12.0, 0.0])
    sizes, original = [], module.fft.rfftn
    monkeypatch.setattr(module.fft, "rfftn", lambda grid, **k: sizes.append(grid.size) or original(grid, **k))
    for most in (1 << 25, 1 << 16):
        monkeypatch.setattr(module, "_MOST_POINTS", most)
        found = module._find_third_axes(points, a, b, 200.0)
        assert np.min(np.linalg.norm(found - [0.0, 0.0, 150.0], axis=1)) < 3.0
    # edges are rounded up to fast lengths
    assert sizes[1] < 1.2 * (1 << 16) < sizes[0]
