"""Damaged and foreign .refl files, and those of newer DIALS."""

from __future__ import annotations

import struct

import msgpack
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.reflections import read_reflections


def file_of(tmp_path, parts, magic="dials::af::reflection_table", version=1):
    path = tmp_path / "t.refl"
    path.write_bytes(msgpack.packb([magic, version, parts]))
    return path


def data_of(kind: str, n_rows: int, raw: bytes) -> dict:
    return {"nrows": n_rows, "data": {"x": [kind, [n_rows, raw]]}}


@pytest.mark.parametrize(("parts", "message"), [
    (data_of("float128", 1, bytes(16)), "unknown type 'float128'"),
    (data_of("std::string", 1, bytes(32)), "holds text"),
    (data_of("double", 2, bytes(15)), "need 16 bytes, got 15"),
    (data_of("double", 2**61, bytes(16)), "got 16"),
    (data_of("Shoebox<>", 2**61, bytes(16)), "got 16"),
    (data_of("Shoebox<>", 1, struct.pack("<I6iB", 0, 0, 2**31 - 1, 0, 2**31 - 1, 0, 4, 1)), "shoebox 0 is damaged"),
    ({"nrows": 3, "data": {"x": ["int", [1, bytes(4)]]}}, "has 1 rows, the table 3"),
    ({"nrows": 2**63, "data": {}}, "no columns"),
    ({"nrows": 3}, "missing"),
    ({"nrows": 3, "date": {}}, "unknown part 'date'"),
])
def test_unsound_tables_are_refused(tmp_path, parts, message):
    with pytest.raises(FormatError, match=message):
        read_reflections(file_of(tmp_path, parts))


def test_another_version_and_another_kind_are_refused(tmp_path):
    with pytest.raises(FormatError, match="version 9"):
        read_reflections(file_of(tmp_path, {}, version=9))
    with pytest.raises(FormatError, match="not a reflection table"):
        read_reflections(file_of(tmp_path, {}, magic="something else"))
    (tmp_path / "old.refl").write_bytes(b"\x80\x02cdials_array_family_flex_ext\nreflection_table\n.")
    with pytest.raises(FormatError, match="old pickled ones"):
        read_reflections(tmp_path / "old.refl")


def test_version_2_of_newer_dials_is_read(tmp_path):
    raw = struct.pack("<I6iBfBf", 3, 0, 1, 0, 1, 0, 1, 2, 5.0, 13, 1.0)
    boxes = read_reflections(file_of(tmp_path, data_of("Shoebox<>", 1, raw), version=2))["x"]
    assert [float(values[0]) for values in (boxes.panel, boxes.data, boxes.mask, boxes.background)] == [3, 5, 13, 1]


def test_a_truth_value_of_2_is_true(tmp_path):
    column = read_reflections(file_of(tmp_path, data_of("bool", 2, b"\x02\x00")))["x"]
    assert column.view(np.uint8).tolist() == [1, 0]
