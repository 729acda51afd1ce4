from __future__ import annotations

import numpy as np

from xdp.reflections import Flag, ReflectionTable, Shoeboxes
from xdp.report import reflection_text as text


def table() -> ReflectionTable:
    boxes = Shoeboxes(panel=np.zeros(2, np.uint64), bbox=np.array([[0, 2, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1]], np.int32),
                      offsets=np.array([0, 2, 3]), data=np.array([5, 7, 9], np.float32),
                      mask=np.array([5, 1, 13], np.uint8), background=np.array([1, 1, 2], np.float32))
    return ReflectionTable({
        "id": np.zeros(2, np.int32),
        "flags": np.array([Flag.STRONG, Flag.STRONG | Flag.INTEGRATED_SUM], np.uint64),
        "xyzobs.px.value": np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]),
        "miller_index": np.array([[1, -2, 3], [10, 0, 0]], np.int32),
        "d": np.array([1.234, 5.678]),
        "shoebox": boxes,
        "entering": np.array([True, False]),
    }, {0: "abc"})


def cells(described: str) -> dict[str, list[str]]:
    """Rows of a boxed table by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in described.splitlines() if " | " in line]
    return {row[0]: row[1:] for row in rows}


def test_ranges_by_hand():
    described = text.describe_reflections(table())
    assert "Reflection list contains 2 reflections" in described
    rows = cells(described)
    assert rows["Column"] == ["min", "max", "mean"]
    assert rows["d"] == ["1.23", "5.68", "3.46"]
    assert rows["xyzobs.px.value"] == ["1.00, 2.00, 1.00", "3.00, 2.00, 3.00", "2.00, 2.00, 2.00"]
    assert rows["miller_index"] == ["1, -2, 0", "10, 0, 3", "6, -1, 2"]
    # valid foreground pixels have bits 1 and 4: the first of box one (5 - 1), the one of box two (9 - 2)
    assert rows["summed I"] == ["4.0", "7.0", "5.5"]
    assert rows["N pix"] == ["1.0", "2.0", "1.5"]
    assert rows["N valid foreground pix"] == ["1.0", "1.0", "1.0"]
    assert "entering" not in rows


def test_an_empty_table():
    assert text.describe_reflections(ReflectionTable({"id": np.zeros(0, np.int32)})).splitlines() == [
        "", "Reflection list contains 0 reflections"]


def test_flags():
    rows = cells(text.describe_flags(table()))
    assert rows["strong"] == ["2", "100.0"]
    assert rows["integrated_sum"] == ["1", "50.0"]
    assert rows["integrated"] == ["1", "50.0"]
    assert rows["indexed"] == ["0", "0.0"]
    assert len(rows) == len(set(Flag.__members__.values())) + 1


def test_identifiers():
    assert "id:0 -> experiment identifier:abc" in text.describe_identifiers(table())


def test_rows():
    names = text.choose_columns(table(), intensities=True, profiles=False, centroids=True, all_data=False)
    assert names == ["miller_index", "d", "xyzobs.px.value"]
    lines = text.describe_rows(table(), names, 1).splitlines()
    assert lines[1] == "Printing 1 of 2 reflections:"
    assert lines[3].split() == ["1,", "-2,", "3", "1.23", "1.00,", "2.00,", "3.00"]
    assert len(text.describe_rows(table(), names).splitlines()) == 5


def test_all_columns_can_be_printed():
    names = text.choose_columns(table(), intensities=False, profiles=False, centroids=False, all_data=True)
    assert set(names) == set(table())
    lines = text.describe_rows(table(), names).splitlines()
    assert len({len(line) for line in lines[2:]}) == 1  # in columns
