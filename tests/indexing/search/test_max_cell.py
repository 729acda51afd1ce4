"""The longest axis from nearest neighbours, spots on ice rings left out."""

from __future__ import annotations

import numpy as np
import pytest
from lattice_points import lattice_points, points_on

from xdp.errors import XdpError
from xdp.indexing.options import MaxCellEstimation
from xdp.indexing.search.max_cell import estimate_max_cell
from xdp.prediction.ice_rings import is_off_ice_rings


def test_max_cell_is_the_longest_axis_times_the_margin():
    points, _ = lattice_points((40.0, 60.0, 110.0, 90, 90, 90), 3, n=3000, d_min=3.0)
    found = estimate_max_cell(points, np.zeros(len(points)))
    assert 110.0 < found < 2.0 * 110.0


def test_max_cell_needs_spots():
    with pytest.raises(XdpError, match="max_cell"):
        estimate_max_cell(np.eye(3), np.zeros(3))


def test_ice_rings_are_left_out_of_the_longest_axis():
    d = np.array([3.895, 3.669, 3.60, 2.671, 8.0])
    assert is_off_ice_rings(d).tolist() == [False, False, True, False, True]


def test_longest_axis_by_a_quantile():
    grid = points_on(np.diag([40.0, 60.0, 110.0]), 3000, 1e-5)
    phi = np.zeros(len(grid))
    low, high = (estimate_max_cell(grid, phi, MaxCellEstimation(nearest_neighbor_percentile=p, multiplier=1.0))
                 for p in (0.2, 0.9))
    assert low < high
