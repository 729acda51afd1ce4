"""Changes of basis as users write them, on experiments and reflections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_data import sweep

from xdp.errors import OptionError, XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.reindex import parse_basis_change, reindex, reindex_experiments, reindex_reflections
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable


def make_table(*hkl: tuple[int, int, int]) -> ReflectionTable:
    """Indexed reflections."""
    n = len(hkl)
    return ReflectionTable({"miller_index": np.array(hkl, np.int32), "id": np.zeros(n, np.int32),
                            "flags": np.full(n, int(Flag.INDEXED), np.uint64)})


@pytest.mark.parametrize(("text", "rows"), [
    ("a,b,c", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    ("h+k, -h+k, l", [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]),
    ("1/2a-1/2b,1/2a+1/2b,2*c", [[0.5, -0.5, 0], [0.5, 0.5, 0], [0, 0, 2]]),
])
def test_letters_are_read(text: str, rows: list):
    assert parse_basis_change(text).tolist() == rows


@pytest.mark.parametrize("text", ["a,b", "a,b,x", "a b,c,a", "b,a,c", "a,a,c", "1/0a,b,c", "a,,c"])
def test_what_is_no_change_of_basis_is_refused(text: str):
    with pytest.raises(OptionError, match="change_of_basis_op="):
        parse_basis_change(text)


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
