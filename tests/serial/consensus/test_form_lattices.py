"""Each shot gets the lattices of its own crystal forms."""

import numpy as np
import pytest
from consensus_data import P21

from xdp.indexing.options import KnownSymmetry
from xdp.indexing.shots.options import ShotSearch
from xdp.indexing.shots.shot import find_shot_lattices
from xdp.serial.consensus.form_lattices import find_form_lattices
from xdp.simulation.models import LYSOZYME_CELL
from xdp.simulation.spot_lists import draw_crystal
from xdp.simulation.still_spots import make_still_spots

FORMS = [KnownSymmetry(unit_cell=LYSOZYME_CELL, space_group="P4"), KnownSymmetry(unit_cell=P21, space_group="P2")]


@pytest.fixture(scope="module")
def crystals():
    return [draw_crystal("tP", LYSOZYME_CELL, 3), draw_crystal("mP", P21, 4)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_shot_has_the_lattice_of_its_own_form(crystals, number):
    experiment, spots = make_still_spots(40, 10, 5, crystals=[crystals[number]])
    found = find_form_lattices(experiment, spots, FORMS)
    assert found.forms == (number,)
    # ten spurious spots may be indexed now and then
    assert np.count_nonzero(found.found.table["id"] == 0) >= 36


def test_both_forms_in_one_shot_are_found(crystals):
    experiment, spots = make_still_spots(40, 0, 5, crystals=crystals)
    found = find_form_lattices(experiment, spots, FORMS)
    assert sorted(found.forms) == [0, 1]
    true = spots["id"]
    for number, form in enumerate(found.forms):
        rows = found.found.lattices[number].rows
        assert np.mean(true[rows] == form) > 0.85
        assert np.array_equal(np.flatnonzero(found.found.table["id"] == number), np.sort(rows))


def test_the_number_of_lattices_is_that_of_all_forms(crystals):
    experiment, spots = make_still_spots(40, 0, 5, crystals=crystals)
    assert len(find_form_lattices(experiment, spots, FORMS, ShotSearch(max_lattices=1)).forms) == 1


def test_one_form_is_searched_as_a_known_cell(crystals):
    experiment, spots = make_still_spots(40, 10, 6, crystals=crystals[:1])
    one, other = find_form_lattices(experiment, spots, FORMS[:1]).found, find_shot_lattices(experiment, spots, FORMS[0])
    assert np.array_equal(one.table["miller_index"], other.table["miller_index"])
    assert one.lattices[0].crystal == other.lattices[0].crystal


def test_no_form_and_no_lattice_are_no_errors(crystals):
    experiment, spots = make_still_spots(40, 0, 5, crystals=crystals[:1])
    assert find_form_lattices(experiment, spots, []).forms == ()
    nothing = find_form_lattices(experiment, spots, [KnownSymmetry(unit_cell=(30, 40, 50, 90, 90, 90))])
    assert nothing.forms == ()
    assert nothing.found.reason
