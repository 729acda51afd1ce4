"""Consensus over shots: cells, forms, weak shots; order and groups change nothing."""

from dataclasses import replace

import numpy as np
import pytest
from consensus_data import P21, pool_stills

from xdp.serial.consensus.find import find_consensus
from xdp.serial.consensus.options import ConsensusOptions
from xdp.serial.consensus.pool import CandidatePool, merge_pools
from xdp.simulation.models import LYSOZYME_CELL


@pytest.fixture(scope="module")
def mixture():
    return [*pool_stills("tP", LYSOZYME_CELL, range(10), n_spots=40, name="tetragonal"),
            *pool_stills("mP", P21, range(20, 26), n_spots=40, name="monoclinic")]


def test_two_forms_are_found_each_with_its_shots(mixture):
    found = find_consensus(merge_pools(mixture))
    assert [f.lattice for f in found.forms] == ["tP", "mP"]
    truth = ((LYSOZYME_CELL, "tetragonal", 10), (P21, "monoclinic", 6))
    for form, (cell, name, n) in zip(found.forms, truth, strict=True):
        assert np.abs(np.array(form.unit_cell) / cell - 1.0).max() < 0.003
        assert len(form.shots) == n
        assert all(key.startswith(name) for key in form.shots)
    assert found.without_form == ()


def test_forms_that_differ_by_two_percent_are_two():
    """An axis that is 2 % longer: the one form explains the other's spots by half."""
    longer = (79.34, 79.34, 38.6, 90.0, 90.0, 90.0)
    shots = [*pool_stills("tP", LYSOZYME_CELL, range(6), n_spots=40, name="short"),
             *pool_stills("tP", longer, range(50, 55), n_spots=40, name="long")]
    forms = find_consensus(merge_pools(shots)).forms
    assert [f.unit_cell[2] for f in forms] == pytest.approx([37.81, 38.6], rel=0.001)
    assert [len(f.shots) for f in forms] == [6, 5]
    assert all(key.startswith("short") for key in forms[0].shots)


def test_the_order_of_shots_changes_nothing(mixture):
    expected = find_consensus(merge_pools(mixture))
    half = merge_pools(mixture[::2])
    assert find_consensus(merge_pools([*mixture[:0:-2], half])) == expected


def test_weak_shots_are_indexed_by_the_cell_of_the_others():
    """Shots of 14 spots and 14 false ones, of which hardly any tells the cell by itself."""
    shots = [*pool_stills("tP", LYSOZYME_CELL, range(5), n_spots=40, name="good"),
             *pool_stills("tP", LYSOZYME_CELL, range(30, 36), n_spots=14, n_spurious=14, name="weak")]
    form, = find_consensus(merge_pools(shots)).forms
    assert sum(key.startswith("weak") for key in form.shots) >= 5


def test_one_good_shot_is_enough_to_find_the_cell_of_weak_ones():
    """Where only one shot has the right cell among its candidates, it is searched for in the others."""
    shots = [*pool_stills("tP", LYSOZYME_CELL, [1], n_spots=40, name="good"),
             *pool_stills("tP", LYSOZYME_CELL, range(30, 34), n_spots=14, n_spurious=14, name="weak")]
    # without their candidates the weak ones are sure to tell nothing by themselves
    shots = [shots[0], *(replace(s, bases=s.bases[:0], scores=s.scores[:0]) for s in shots[1:])]
    form, = find_consensus(merge_pools(shots)).forms
    assert form.lattice == "tP"
    assert len(form.shots) >= 4


def test_false_spots_have_no_form():
    shots = pool_stills("tP", LYSOZYME_CELL, range(8), n_spots=0, n_spurious=40)
    found = find_consensus(merge_pools(shots))
    assert found.forms == ()
    assert len(found.without_form) == 8


def test_too_few_shots_have_no_form():
    shots = pool_stills("tP", LYSOZYME_CELL, range(2))
    assert find_consensus(merge_pools(shots)).forms == ()
    assert len(find_consensus(merge_pools(shots), ConsensusOptions(min_shots=2)).forms) == 1
    assert find_consensus(CandidatePool()).forms == ()


def test_the_number_of_forms_is_limited(mixture):
    found = find_consensus(merge_pools(mixture), ConsensusOptions(max_forms=1))
    assert len(found.forms) == 1
    assert len(found.without_form) == 6
