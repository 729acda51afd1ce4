"""Cycles of assignment and refinement bring a disturbed crystal back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from indexing_data import make_state

from xdp.errors import XdpError
from xdp.indexing.crystals import make_basis_crystal
from xdp.indexing.cycles import correct_offset, refine_cycles
from xdp.indexing.options import CheckMisindexing, Indexing, RefinementProtocol
from xdp.indexing.spots import ReciprocalSpots
from xdp.refinement.options import Refinement

QUICK = Refinement().simplify()


def test_cycles_correct_a_crystal_that_is_off():
    state, spots = make_state()
    true = state.crystals[0]
    off = replace(state, crystals=[make_basis_crystal(1.004 * true.real_space_matrix)])
    refined = refine_cycles(off, Indexing(), QUICK)
    np.testing.assert_allclose(refined.crystals[0].unit_cell, true.unit_cell, rtol=2e-3)
    indexed = refined.spots.table["id"] == 0
    assert indexed.mean() > 0.95
    assert np.array_equal(refined.spots.table["miller_index"][indexed], spots.miller_index[indexed])
    kept = refine_cycles(off, Indexing(refinement_protocol=RefinementProtocol(mode=None)), QUICK)
    assert kept.crystals == off.crystals


def test_too_few_indexed_spots_are_an_error():
    state, _ = make_state()
    few = replace(state, spots=ReciprocalSpots(state.spots.table.select(np.arange(4))))
    with pytest.raises(XdpError, match="too few to refine"):
        refine_cycles(few, Indexing(), QUICK)


def test_right_indices_are_not_shifted():
    state, _ = make_state()
    refined = refine_cycles(state, Indexing(), QUICK)
    assert correct_offset(refined, Indexing(), QUICK) is refined
    unchecked = Indexing(check_misindexing=CheckMisindexing(grid_search_scope=0))
    assert correct_offset(refined, unchecked, QUICK) is refined
