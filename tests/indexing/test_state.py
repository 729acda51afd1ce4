"""Indices are assigned anew, and models taken from a refinement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from indexing_data import make_state

from xdp.experiment.experiment import ExperimentList
from xdp.indexing.options import IndexAssignment, Indexing
from xdp.indexing.spots import ReciprocalSpots
from xdp.indexing.state import assign_spots, make_experiments, take_models
from xdp.refinement.options import Refinement
from xdp.refinement.refine import refine_models
from xdp.reflections.flags import Flag


def test_true_crystals_give_true_indices():
    state, spots = make_state()
    assigned = assign_spots(state, Indexing(), None)
    table = assigned.spots.table
    indexed = table["id"] == 0
    assert assigned.count_spots(0) == indexed.sum() > 0.95 * len(table)
    assert np.array_equal(table["miller_index"][indexed], spots.miller_index[indexed])
    assert np.array_equal(table.flags(Flag.INDEXED), indexed)
    local = assign_spots(state, Indexing(index_assignment=IndexAssignment(method="local")), None)
    assert local.count_spots(0) > 0.9 * len(table)


def test_spots_beyond_the_resolution_have_no_index():
    state, _ = make_state()
    table = assign_spots(state, Indexing(), 4.0).spots.table
    assert not np.any(table["id"][state.spots.d <= 4.0] >= 0)
    assert not table["miller_index"][state.spots.d <= 4.0].any()
    assert np.any(table["id"] >= 0)


def test_flags_of_a_refinement_hold_while_the_index_does():
    state, _ = make_state()
    table = assign_spots(state, Indexing(), None).spots.table
    used = table.with_columns(flags=table["flags"] | np.uint64(Flag.USED_IN_REFINEMENT))
    again = assign_spots(replace(state, spots=ReciprocalSpots(used)), Indexing(), 4.0).spots.table
    assert np.array_equal(again.flags(Flag.USED_IN_REFINEMENT), again["id"] == table["id"])


def test_each_crystal_gets_an_experiment_for_each_sweep():
    state, _ = make_state()
    two = replace(state, sweeps=ExperimentList([state.sweeps[0]] * 2), crystals=state.crystals * 2)
    table = state.spots.table.with_columns(id=np.where(np.arange(len(state.spots)) % 2, 1, -1).astype(np.int32))
    experiments, table = make_experiments(replace(two, spots=ReciprocalSpots(table)))
    assert len(experiments) == 4
    assert experiments[0].crystal is experiments[1].crystal
    assert set(table["id"]) == {-1, 2}  # of the second crystal in the first sweep


def test_refined_models_replace_those_of_the_state():
    state, _ = make_state()
    assigned = assign_spots(state, Indexing(), None)
    experiments, table = make_experiments(assigned)
    result = refine_models(experiments, table.select(table["id"] >= 0), Refinement().simplify())
    taken = take_models(assigned, result)
    assert taken.crystals == [result.experiments[0].crystal]
    assert taken.sweeps[0].detector == result.experiments[0].detector
    assert taken.sweeps[0].crystal is None
    assert taken.rms < 0.1  # mm; the errors are 0.034 mm in x and y
    used = taken.spots.table.flags(Flag.USED_IN_REFINEMENT)
    assert used.sum() == result.steps[-1].n_reflections
