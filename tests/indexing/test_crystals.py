"""Crystals that are found, known already, or not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import CELL, make_state

import xdp
from xdp.errors import XdpError
from xdp.indexing.crystals import NoFurtherLattice, find_crystals, has_spots_left, is_known, make_basis_crystal
from xdp.indexing.options import Fft3d, Indexing, ReciprocalSpaceGrid
from xdp.indexing.spots import ReciprocalSpots
from xdp.indexing.state import assign_spots
from xdp.refinement.parameters.rotations import make_rotation

SMALL = Indexing(fft3d=Fft3d(reciprocal_space_grid=ReciprocalSpaceGrid(n_points=128)))


def test_first_crystal_is_found_in_the_geometry_as_it_is():
    state, _ = make_state(600)
    changed, (crystal,) = find_crystals(replace(state, crystals=[]), 90.0, SMALL)
    assert changed.sweeps is state.sweeps
    np.testing.assert_allclose(sorted(crystal.unit_cell[:3]), sorted(CELL[:3]), rtol=3e-3)


def test_only_the_first_crystal_must_be_found():
    state, _ = make_state()
    few = replace(state, spots=ReciprocalSpots(state.spots.table.select(np.arange(5))))
    with pytest.raises(NoFurtherLattice, match="5 spots are too few"):
        find_crystals(few, 90.0, SMALL)
    with pytest.raises(XdpError, match="indexing: 5 spots are too few"):
        find_crystals(replace(few, crystals=[]), 90.0, SMALL)


def test_spots_without_an_index_may_have_another_lattice():
    state, _ = make_state()
    assert has_spots_left(state, Indexing())
    indexed = assign_spots(state, Indexing(), None)
    assert not has_spots_left(indexed, Indexing())
    part = replace(state, spots=ReciprocalSpots(indexed.spots.table.with_columns(
        id=np.where(np.arange(len(indexed.spots)) % 4, 0, -1).astype(np.int32))))
    assert has_spots_left(part, Indexing())  # a quarter, where a tenth is enough
    assert not has_spots_left(part, Indexing(), 3.0)


def test_a_crystal_with_other_axes_is_the_same():
    crystal = make_basis_crystal(np.diag([40.0, 50.0, 60.0]))
    turn = make_rotation(np.array([0.0, 0.6, 0.8]), np.radians(2.0))
    same = make_basis_crystal(np.diag([40.0, 50.0, 60.0])[[1, 2, 0]] @ turn.T)
    assert is_known(same, [crystal], Indexing())  # two degrees apart, five are wanted
    turn = make_rotation(np.array([0.0, 0.6, 0.8]), np.radians(20.0))
    other = make_basis_crystal(np.diag([40.0, 50.0, 60.0]) @ turn.T)
    assert not is_known(other, [crystal], Indexing())
    assert not is_known(crystal, [], Indexing())


def test_a_still_has_the_known_cell_itself_and_no_distorted_one(shared_data):
    # two orientations index all 76 spots; one of them only with a cell of 77.2 77.2 41.0
    still = shared_data / "image_examples" / "simtbx_FormatSMVJHSim_001.img.gz"
    found = xdp.find_spots(xdp.import_images(str(still)).experiments)
    found = xdp.index(found.experiments, found.reflections, unit_cell=(78.84, 78.84, 38.29, 90, 90, 90),
                      space_group="P43212")
    crystal = found.experiments[0].crystal
    # a tenth of what the wrong one is off
    np.testing.assert_allclose(crystal.unit_cell[:3], (78.84, 78.84, 38.29), rtol=0.002)
    assert np.count_nonzero(found.reflections["id"] >= 0) == 76
