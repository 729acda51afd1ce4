"""Tests of the table of shots on disk."""

import os
import sys

import numpy as np
import pytest

from xdp.errors import FormatError, XdpError
from xdp.serial.hits.table import (
    COLUMNS,
    ShotTableWriter,
    check_parquet,
    is_shot_table,
    iterate_parts,
    join_columns,
    read_shot_table,
    write_shot_parquet,
)


def make_rows(n, begin=0):
    columns = {name: np.arange(begin, begin + n).astype(object if kind == "text" else kind)
               for name, kind in COLUMNS.items()}
    return columns | {"message": np.array([f"line one\nline é {k}" for k in range(n)], object)}


def test_parts_come_back_in_order(tmp_path):
    writer = ShotTableWriter(tmp_path / "hits.zarr")
    writer.append(make_rows(3))
    # whoever looks while the run goes on sees whole parts
    assert len(read_shot_table(tmp_path / "hits.zarr")["index"]) == 3
    writer.append(make_rows(2, 3))
    table = read_shot_table(tmp_path / "hits.zarr")
    assert table["index"].tolist() == [0, 1, 2, 3, 4]
    assert table["id"].tolist() == ["0", "1", "2", "3", "4"]
    assert table["message"][1] == "line one line é 1"
    assert [len(part["index"]) for part in iterate_parts(tmp_path / "hits.zarr")] == [3, 2]
    assert not [name for name in os.listdir(tmp_path / "hits.zarr") if name.startswith(".part")]


def test_no_shots_make_a_table_without_rows(tmp_path):
    ShotTableWriter(tmp_path / "hits.zarr").append(join_columns([]))
    table = read_shot_table(tmp_path / "hits.zarr")
    assert set(table) == set(COLUMNS)
    assert all(len(column) == 0 for column in table.values())


def test_an_older_table_is_replaced_and_nothing_else(tmp_path):
    writer = ShotTableWriter(tmp_path / "hits.zarr")
    writer.append(make_rows(3))
    ShotTableWriter(tmp_path / "hits.zarr").append(make_rows(1))
    assert len(read_shot_table(tmp_path / "hits.zarr")["index"]) == 1
    (tmp_path / "data").mkdir()
    with pytest.raises(XdpError, match="is no table of shots"):
        ShotTableWriter(tmp_path / "data")


def test_an_interrupted_part_is_absent(tmp_path, monkeypatch):
    writer = ShotTableWriter(tmp_path / "hits.zarr")
    writer.append(make_rows(2))

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(XdpError):
        writer.append(make_rows(2))
    assert len(read_shot_table(tmp_path / "hits.zarr")["index"]) == 2


def test_damage_is_told(tmp_path):
    with pytest.raises(FormatError, match="no table of shots"):
        read_shot_table(tmp_path)
    ShotTableWriter(tmp_path / "hits.zarr").append(make_rows(2))
    (tmp_path / "hits.zarr" / "part-000000" / "index" / "zarr.json").write_text("{")
    with pytest.raises(FormatError, match="part-000000 is damaged"):
        read_shot_table(tmp_path / "hits.zarr")
    assert is_shot_table(tmp_path / "hits.zarr")
    assert not is_shot_table(tmp_path / "none")


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(XdpError, match="pip install pyarrow"):
        check_parquet()
    with pytest.raises(XdpError, match="pip install pyarrow"):
        write_shot_parquet(tmp_path / "hits.parquet", make_rows(2))


def test_parquet_has_the_same_columns(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_shot_parquet(tmp_path / "hits.parquet", make_rows(3))
    table = parquet.read_table(tmp_path / "hits.parquet")
    assert table.column_names == list(COLUMNS)
    assert table["index"].to_pylist() == [0, 1, 2]
