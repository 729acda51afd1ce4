"""Rows that hold no numbers are left out, with one warning, wherever positions are computed with."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import ColumnError, XdpError
from xdp.reflections.sound import keep_sound_rows
from xdp.reflections.table import ReflectionTable


def make_table(n=4):
    return ReflectionTable({"id": np.arange(n, dtype=np.int32), "xyzobs.px.value": np.ones((n, 3)), "d": np.ones(n)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_rows_without_numbers_are_left_out(caplog, value):
    table = make_table()
    table["xyzobs.px.value"][2, 1] = value
    with caplog.at_level("WARNING"):
        assert keep_sound_rows(table)["id"].tolist() == [0, 1, 3]
    assert "1 of 4 reflections are left out" in caplog.text


def test_other_columns_and_sound_tables_stay_as_they_are(caplog):
    table = make_table()
    table["d"][0] = np.nan
    assert keep_sound_rows(table) is table
    assert keep_sound_rows(table, ["d", "absent"])["id"].tolist() == [1, 2, 3]
    assert len(keep_sound_rows(make_table(0))) == 0


def test_a_missing_column_is_an_error_for_the_user():
    with pytest.raises(ColumnError, match="no column 's1'; there are id") as caught:
        make_table()["s1"]
    assert isinstance(caught.value, XdpError)
    assert str(caught.value).startswith("the reflections have no column")
