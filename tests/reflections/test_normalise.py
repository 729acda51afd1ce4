"""What tables of old programs leave out is added when they are read."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.reflections import Flag, ReflectionTable, read_reflections, write_reflections
from xdp.reflections.normalise import check_indexed, normalise_table

HKL = np.array([[1, 2, 3], [0, 0, 0], [-1, 0, 2], [4, 4, 4]], np.int32)


def make_table(flag: int = 0, **columns) -> ReflectionTable:
    """Three spots with an index, the last of them of no experiment, and one without."""
    return ReflectionTable({"miller_index": HKL, "id": [0, 0, 0, -1], "flags": np.full(4, flag, np.uint64),
                            "xyzobs.px.value": np.ones((4, 3))} | columns)


@pytest.mark.parametrize("flag", [0, Flag.USED_IN_REFINEMENT, Flag.STRONG | Flag.OBSERVED])
def test_indices_without_a_flag_count_as_indexed(flag, caplog):
    """As in multi_stills and multi_narrow_wedges of DIALS' test data: flags 8 or 0."""
    with caplog.at_level(logging.INFO, logger="xdp"):
        table = normalise_table(make_table(flag), "old.refl")
    assert table.flags(Flag.INDEXED).tolist() == [True, False, True, False]
    assert (table["flags"] & ~np.uint64(Flag.INDEXED) == flag).all()
    assert "old.refl: no reflection is flagged as indexed; the 2 of 4 that have Miller indices" in caplog.text


@pytest.mark.parametrize("table", [
    make_table(Flag.INDEXED), make_table(Flag.PREDICTED), make_table(Flag.INTEGRATED_SUM),
    ReflectionTable({"miller_index": HKL, "id": np.zeros(4, np.int32), "flags": np.zeros(4, np.uint64)}),
    make_table(miller_index=np.zeros((4, 3), np.int32)), ReflectionTable(), make_table().select([])],
    ids=["indexed", "predicted", "integrated", "no observation", "no index", "no columns", "no rows"])
def test_tables_that_say_what_they_are_stay(table):
    assert normalise_table(table) is table


def test_flags_are_made_of_other_columns():
    columns = {"id": [0, 0], "xyzobs.px.value": np.ones((2, 3)), "intensity.sum.variance": [4.0, -1.0]}
    spots = normalise_table(ReflectionTable(columns))
    assert spots["flags"].tolist() == [Flag.STRONG] * 2
    integrated = normalise_table(ReflectionTable(columns | {"lp": [1.0, 1.0], "miller_index": HKL[[0, 2]]}))
    assert integrated.flags(Flag.INTEGRATED_SUM).tolist() == [True, False]
    assert not integrated.any_flags(Flag.INDEXED | Flag.INTEGRATED_PRF).any()


def test_a_table_without_numbers_is_of_experiment_0():
    assert normalise_table(ReflectionTable({"d": [1.0, 2.0]}))["id"].tolist() == [0, 0]


def test_it_is_done_on_reading(tmp_path):
    write_reflections(tmp_path / "a.refl", make_table(8))
    assert read_reflections(tmp_path / "a.refl").flags(Flag.INDEXED).sum() == 2


@pytest.mark.parametrize(("table", "message"), [
    (ReflectionTable({"id": [0]}), "export: the reflections have no column miller_index; give those of xdp index"),
    (make_table().select([]), "export: the table of reflections has no rows"),
    (make_table(miller_index=np.zeros((4, 3), np.int32)), "export: none of 4 reflections is indexed; index first")])
def test_tables_without_indices_are_told(table, message):
    with pytest.raises(XdpError, match=message):
        check_indexed(table, "export")
