"""The lattice's symmetry is found within the error of the cell, and no symmetry that the cell breaks."""

from dataclasses import replace

import numpy as np
import pytest
from consensus_data import map_still, pool_stills

from xdp.serial.consensus.common_cell import refine_common_cell
from xdp.serial.consensus.find import find_consensus
from xdp.serial.consensus.placement import Placement
from xdp.serial.consensus.pool import merge_pools
from xdp.serial.consensus.symmetry import find_cell_symmetry, measure_alignment
from xdp.simulation.models import LYSOZYME_CELL
from xdp.simulation.spot_lists import draw_crystal

CELLS = {
    "aP": (42.0, 55.0, 71.0, 82.0, 104.0, 95.0), "mC": (90.0, 45.0, 60.0, 90.0, 112.0, 90.0),
    "oP": (60.0, 61.0, 90.0, 90.0, 90.0, 90.0), "oI": (60.0, 80.0, 110.0, 90.0, 90.0, 90.0),
    "hP": (62.0, 62.0, 110.0, 90.0, 90.0, 120.0), "hR": (80.0, 80.0, 130.0, 90.0, 90.0, 120.0),
    "cI": (78.0,) * 3 + (90.0,) * 3,
}


@pytest.mark.parametrize("lattice", CELLS)
def test_the_bravais_lattice_and_cell_are_found(lattice):
    form, = find_consensus(merge_pools(pool_stills(lattice, CELLS[lattice], range(4), n_spots=50))).forms
    assert form.lattice == lattice
    if lattice not in ("aP", "mC"):  # these have other choices of axes
        assert np.abs(np.array(form.unit_cell) / CELLS[lattice] - 1.0).max() < 0.003


def test_a_nearly_higher_symmetry_is_not_taken():
    """A monoclinic cell with beta = 91 is not orthorhombic."""
    cell = (50.0, 65.0, 90.0, 90.0, 91.0, 90.0)
    form, = find_consensus(merge_pools(pool_stills("mP", cell, range(4), n_spots=50))).forms
    assert form.lattice == "mP"
    assert form.unit_cell[4] == pytest.approx(91.0, abs=0.1)


def test_numbers_that_symmetry_fixes_have_no_error():
    form, = find_consensus(merge_pools(pool_stills("oP", CELLS["oP"], range(4), n_spots=50))).forms
    assert np.all(np.array(form.error[:3]) > 0.0)
    assert np.allclose(form.error[3:], 0.0, atol=1e-9)


@pytest.fixture(scope="module")
def one_orientation():
    """Shots of one crystal in one orientation, mapped with a distance that is wrong by 0.8 %."""
    crystal, placements = draw_crystal("tP", LYSOZYME_CELL, 3), []
    for seed in range(5):
        shot = map_still(crystal, 3, n_spots=60)
        beam = np.array([0.0, 0.0, -1.0])
        across = shot.rays - np.outer(shot.rays @ beam, beam)
        rays = across * 1.008 + np.outer(shot.rays @ beam, beam)
        rays /= np.linalg.norm(rays, axis=1)[:, None]
        shot = replace(shot, key=str(seed), points=(rays - beam) / 1.3, rays=rays)
        placements.append(Placement(shot, crystal.U))
    return refine_common_cell(placements, crystal.B)


def test_a_strain_along_the_beam_hides_no_symmetry(one_orientation):
    assert measure_alignment(one_orientation) > 0.6
    assert find_cell_symmetry(one_orientation).setting.lattice == "tP"


def test_random_orientations_are_not_alike():
    crystals = [draw_crystal("tP", LYSOZYME_CELL, seed) for seed in range(12)]
    placements = [Placement(map_still(c, k, n_spots=40), c.U) for k, c in enumerate(crystals)]
    # of 12 random directions the largest eigenvalue is about 0.15
    assert measure_alignment(refine_common_cell(placements, crystals[0].B)) < 0.35
