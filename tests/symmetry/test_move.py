"""Data sets on common axes."""

from __future__ import annotations

import numpy as np
from symmetry_data import TETRAGONAL, make_wedges

from xdp.indexing.lattice.symmetry import find_space_group
from xdp.symmetry.move import join_rows, move_data_sets


def test_sets_move_by_their_own_change_and_some_are_left_out():
    experiments, table, _ = make_wedges("P4", TETRAGONAL, "k,h,-l", n=3)
    law = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    models, rows = move_data_sets(experiments, table, [law, None, np.eye(3)], np.eye(3), find_space_group("P4"))
    ids = np.asarray(table["id"])
    assert len(models) == 2
    assert np.array_equal(np.asarray(rows["id"]), np.repeat([0, 1], [np.sum(ids == 0), np.sum(ids == 2)]))
    assert np.array_equal(rows["miller_index"][np.asarray(rows["id"]) == 0], table["miller_index"][ids == 0] @ law.T)
    assert np.array_equal(rows["miller_index"][np.asarray(rows["id"]) == 1], table["miller_index"][ids == 2])
    assert {m.crystal.space_group.short_name() for m in models} == {"P4"}
    # A h is the same place in reciprocal space
    before, after = (np.linalg.inv(m.crystal.real_space_matrix) for m in (experiments[0], models[0]))
    assert np.allclose(before @ law.T, after, atol=1e-4)


def test_one_table_is_not_copied():
    _, table, _ = make_wedges("P4", TETRAGONAL, "k,h,-l", n=3)
    assert join_rows([table]) is table
    assert len(join_rows([table.select(slice(0, 5)), table.select(slice(5, 9))])) == 9
