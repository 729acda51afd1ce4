from __future__ import annotations

import numpy as np
import pytest

from xdp.reflections import Flag, ReflectionTable


def test_select_picks_rows_of_every_column(table):
    for which in (np.arange(11) % 2 == 0, np.arange(0, 11, 2), slice(0, None, 2), [0, 2, 4, 6, 8, 10]):
        picked = table.select(which)
        assert len(picked) == 6
        np.testing.assert_array_equal(picked["bbox"], table["bbox"][::2])
        np.testing.assert_array_equal(picked["shoebox"].bbox, table["shoebox"].bbox[::2])
        assert picked.identifiers == table.identifiers


def test_concatenate_undoes_select(table):
    parts = [table.select(slice(0, 4)), table.select(slice(4, 4)), table.select(slice(4, None))]
    assert ReflectionTable.concatenate(parts) == table


def test_concatenate_refuses_other_columns(table):
    other = table.with_columns(entering=np.zeros(11))
    with pytest.raises(ValueError, match="entering"):
        ReflectionTable.concatenate([table, other])


def test_concatenate_refuses_two_names_for_one_experiment():
    with pytest.raises(ValueError, match="two identifiers"):
        ReflectionTable.concatenate([ReflectionTable({}, {0: "a"}), ReflectionTable({}, {0: "b"})])


def test_a_column_of_another_length_is_refused(table):
    with pytest.raises(ValueError, match="must have 11 rows, got 3"):
        table["x"] = np.zeros(3)


def test_a_missing_column_is_named_with_those_there():
    with pytest.raises(KeyError, match="no column 'b'; there are a"):
        ReflectionTable({"a": [1]})["b"]


def test_flags_need_all_bits_and_any_flags_one():
    table = ReflectionTable({"flags": np.array([0x100, 0x300, 0], np.uint64)})
    assert table.flags(Flag.INTEGRATED).tolist() == [False, True, False]
    assert table.any_flags(Flag.INTEGRATED).tolist() == [True, True, False]


def test_with_columns_leaves_the_original_alone(table):
    extended = table.with_columns(**{"xyzcal.px": np.zeros((11, 3))})
    assert "xyzcal.px" in extended
    assert "xyzcal.px" not in table


def test_equality_sees_values_types_and_identifiers(table, make_table):
    assert table == make_table(11)
    assert table != make_table(11, seed=1)
    assert table != ReflectionTable(dict(table.items()), {0: "other"})


def test_nan_equals_itself():
    assert ReflectionTable({"d": [np.nan]}) == ReflectionTable({"d": [np.nan]})


def test_a_table_without_columns_keeps_its_rows():
    assert len(ReflectionTable(n_rows=4).select([0, 1])) == 2
    assert len(ReflectionTable()) == 0


def test_deleted_column_is_gone(table):
    del table["shoebox"]
    assert "shoebox" not in table
    assert "shoebox" not in repr(table)


def test_an_empty_list_picks_no_rows(table):
    assert len(table.select([])) == len(table.select(np.zeros(0, bool))) == 0
