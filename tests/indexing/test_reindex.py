"""Changes of basis as users write them, on experiments and reflections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_data import sweep

from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.basis_change import parse_basis_change
from xdp.indexing.command_options import ReindexOptions
from xdp.indexing.lattice.symmetry import find_space_group, impose_symmetry
from xdp.indexing.reindex import find_unused_parts, reindex, reindex_experiments, reindex_reflections
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def make_table(*hkl: tuple[int, int, int]) -> ReflectionTable:
    """Indexed reflections."""
    n = len(hkl)
    return ReflectionTable({"miller_index": np.array(hkl, np.int32).reshape(-1, 3), "id": np.zeros(n, np.int32),
                            "flags": np.full(n, int(Flag.INDEXED), np.uint64)})


def test_offsets_leave_reflections_without_an_index_alone():
    table = reindex_reflections(make_table((1, 2, 3), (0, 0, 0)), np.eye(3), (1, 0, -1))
    assert table["miller_index"].tolist() == [[2, 2, 2], [0, 0, 0]]


def test_indices_that_are_not_whole_any_more_are_lost():
    result = reindex(None, make_table((2, 1, 0), (1, 1, 0)), change_of_basis_op="1/2a,b,c")
    table = result.reflections
    assert result.n_lost == 1
    assert table["id"].tolist() == [0, -1]
    assert table["miller_index"].tolist() == [[1, 1, 0], [0, 0, 0]]
    assert table.flags(Flag.INDEXED).tolist() == [True, False]


def test_experiments_get_the_group_that_is_named():
    one = ExperimentList([sweep()])
    moved = reindex_experiments(one, parse_basis_change("b,c,a"), "P222")
    a, b, c = one[0].crystal.unit_cell[:3]
    np.testing.assert_allclose(moved[0].crystal.unit_cell[:3], (b, c, a), rtol=1e-9)
    assert moved[0].crystal.space_group.hm == "P 2 2 2"
    assert reindex_experiments(one, np.eye(3)) is one
    with pytest.raises(XdpError, match="experiment 0 has no crystal"):
        reindex_experiments(ExperimentList([replace(one[0], crystal=None)]), np.eye(3))


def test_the_group_goes_with_the_axes():
    """It became P1 without a word."""
    one = ExperimentList([sweep()])
    hall = one[0].crystal.space_group_hall_symbol
    moved = reindex(one, None, change_of_basis_op="b,c,a").experiments
    assert moved[0].crystal.space_group.number == one[0].crystal.space_group.number
    back = reindex(moved, None, change_of_basis_op="c,a,b").experiments
    assert back[0].crystal.space_group_hall_symbol.strip() == hall.strip()


def test_a_change_that_breaks_the_symmetry_is_refused_unless_a_group_is_named():
    one = ExperimentList([sweep()])
    cubic = impose_symmetry(np.eye(3) * 78.0, find_space_group("I23"))
    one = ExperimentList([replace(one[0], crystal=cubic)])
    with pytest.raises(XdpError, match="does not have the symmetry of I 2 3"):
        reindex(one, None, change_of_basis_op="a+2*b+c,-b+c,a")
    moved = reindex(one, None, change_of_basis_op="a+2*b+c,-b+c,a", space_group="P1").experiments
    assert moved[0].crystal.space_group.number == 1


def test_crystals_that_are_shared_stay_shared():
    one = sweep()
    moved = reindex(ExperimentList([one, replace(one, identifier="b")]), None, change_of_basis_op="b,c,a").experiments
    assert moved[0].crystal is moved[1].crystal


def test_tables_without_indices_are_told():
    with pytest.raises(XdpError, match="reindex: the reflections have no column miller_index"):
        reindex(None, ReflectionTable({"id": [0], "flags": [0]}), change_of_basis_op="b,c,a")
    with pytest.raises(XdpError, match="reindex: the table of reflections has no rows"):
        reindex(None, make_table().select([]), change_of_basis_op="b,c,a")


def test_what_is_not_used_is_said(caplog):
    one, table = ExperimentList([sweep()]), make_table((1, 2, 3))
    lines = {
        "space_group=P4 is not used: it is for the crystals": (None, table, {"space_group": "P4"}),
        "hkl_offset=1,0,0 is not used: it is for the indices": (one, None, {"hkl_offset": (1, 0, 0)}),
        "Scaling models are not changed": (ExperimentList([replace(one[0], scaling_model={"__id__": "physical"})]),
                                           table, {"change_of_basis_op": "-a,-b,c"}),
        "The column asu_miller_index is not changed": (
            None, table.with_columns(asu_miller_index=np.array([[1, 2, 3]], np.int32)), {})}
    for line, (experiments, reflections, named) in lines.items():
        caplog.clear()
        with caplog.at_level("INFO", logger="xdp"):
            reindex(experiments, reflections, **named)
        assert [line in record.message for record in caplog.records] == [True], line
    chosen = ReindexOptions(change_of_basis_op="auto", space_group="P4")
    assert find_unused_parts(one, table, chosen) == [
        "space_group=P4 is not used: the crystals stay as they are"]
    assert find_unused_parts(one, table, ReindexOptions(space_group="P4", hkl_offset=(1, 0, 0))) == []
