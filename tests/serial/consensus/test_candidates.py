"""Candidates of single shots: the right cell is among them, for cells of any shape and size."""

import numpy as np
import pytest
from consensus_data import P21, pool_stills

from xdp.indexing.lattice.basis import span_same_lattice
from xdp.indexing.lattice.symmetry import find_primitive_change
from xdp.simulation.spot_lists import draw_crystal

CELLS = {
    "aP": (42.0, 55.0, 71.0, 82.0, 104.0, 95.0), "mP": P21, "mC": (90.0, 45.0, 60.0, 90.0, 112.0, 90.0),
    "oF": (60.0, 80.0, 110.0, 90.0, 90.0, 90.0), "hP": (62.0, 62.0, 110.0, 90.0, 90.0, 120.0),
    "hR": (80.0, 80.0, 130.0, 90.0, 90.0, 120.0), "cI": (78.0,) * 3 + (90.0,) * 3, "cF": (110.0,) * 3 + (90.0,) * 3,
}


@pytest.mark.parametrize("lattice", CELLS)
def test_the_right_cell_comes_first(lattice):
    shot, = pool_stills(lattice, CELLS[lattice], [3], n_spots=60)
    crystal = draw_crystal(lattice, CELLS[lattice], 3)
    truth = find_primitive_change(crystal.space_group) @ crystal.real_space_matrix
    assert span_same_lattice(shot.bases[:1], truth)[0]
    assert np.all(np.diff(shot.scores) <= 0.0)


def test_rays_are_unit_vectors_of_the_points():
    shot, = pool_stills("mP", P21, [1])
    assert np.allclose(np.linalg.norm(shot.rays, axis=1), 1.0)
    # s1 = s0 + q on the sphere about -s0
    s0 = shot.rays / 1.3 - shot.points
    assert np.allclose(s0, [0.0, 0.0, -1.0 / 1.3], atol=1e-9)


def test_the_same_shot_gives_the_same_bytes():
    one, = pool_stills("mP", P21, [5], n_spots=30, n_spurious=10)
    other, = pool_stills("mP", P21, [5], n_spots=30, n_spurious=10)
    assert one.bases.tobytes() == other.bases.tobytes()
