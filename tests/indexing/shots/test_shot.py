"""All lattices of a known cell in a shot: how many, where, and why no more."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.options import ShotSearch
from xdp.indexing.shots.shot import find_shot_lattices
from xdp.simulation.compare import compute_misorientation
from xdp.simulation.models import LYSOZYME_CELL, draw_rotation, make_crystal
from xdp.simulation.still_spots import make_still_spots

KNOWN = KnownSymmetry(unit_cell=LYSOZYME_CELL, space_group="P43212")


def test_a_lattice_is_found_refined_and_indexed():
    experiment, spots = make_still_spots(60, 10)
    found = find_shot_lattices(experiment, spots, KNOWN)
    assert len(found.lattices) == 1
    lattice = found.lattices[0]
    assert compute_misorientation(lattice.crystal, experiment.crystal) < 0.05
    assert lattice.crystal.unit_cell == pytest.approx(LYSOZYME_CELL, rel=0.003)
    own = spots["id"][lattice.rows] == 0
    assert own.all()
    assert lattice.n_explained >= 57
    assert lattice.false_alarm_probability < 1e-9
    assert lattice.rmsd_px < 0.6  # sigma_px is 0.3 along each axis
    assert "better than chance" in found.reason  # of the ten that belong to nothing


def test_two_lattices_are_counted():
    crystals = [make_crystal(orientation=draw_rotation(k)) for k in (1, 2)]
    experiment, spots = make_still_spots(80, crystals=crystals)
    found = find_shot_lattices(experiment, spots, KNOWN)
    assert len(found.lattices) == 2
    assert all(min(compute_misorientation(x.crystal, c) for c in crystals) < 0.05 for x in found.lattices)
    one = find_shot_lattices(experiment, spots, KNOWN, ShotSearch(max_lattices=1))
    assert len(one.lattices) == 1
    assert "max_lattices" in one.reason


def test_false_spots_have_no_lattice():
    experiment, spots = make_still_spots(n_spurious=40, crystals=[])
    found = find_shot_lattices(experiment, spots, KNOWN)
    assert not found.lattices
    assert "false-alarm probability" in found.reason
    assert (found.table["id"] == -1).all()


def test_a_wrong_cell_is_not_found():
    experiment, spots = make_still_spots(150)
    wrong = KnownSymmetry(unit_cell=tuple(1.06 * v for v in LYSOZYME_CELL[:3]) + LYSOZYME_CELL[3:], space_group="P4")
    assert not find_shot_lattices(experiment, spots, wrong).lattices


def test_few_spots():
    experiment, spots = make_still_spots(12)
    assert len(find_shot_lattices(experiment, spots, KNOWN).lattices) == 1
    none = find_shot_lattices(experiment, spots.select(np.arange(7)), KNOWN)
    assert none.reason == "7 spots, fewer than min_spots=8"


def test_a_cell_is_needed():
    with pytest.raises(OptionError, match="unit_cell is needed"):
        find_shot_lattices(*make_still_spots(), KnownSymmetry(space_group="P43212"))
