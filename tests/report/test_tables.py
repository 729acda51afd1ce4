"""Tables and reports as text, JSON, XML and HTML."""

from __future__ import annotations

import json
import xml.etree.ElementTree

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.report.tables import Report, Table

CELLS = Table("cells", "Unit cells", {"name": "name", "a": "a\n(A)"}, (("x", "79.34"), ("long", "8")))


def test_numbers_are_aligned_to_the_right_and_heads_have_two_lines():
    assert CELLS.text().splitlines() == [
        " Unit cells",
        "+------+-------+",
        "| name |     a |",
        "|      |   (A) |",
        "|------+-------|",
        "| x    | 79.34 |",
        "| long |     8 |",
        "+------+-------+"]


def test_a_table_as_data():
    assert CELLS.to_dict() == {"title": "Unit cells", "cols": {"name": "name", "a": "a\n(A)"},
                               "rows": [{"name": "x", "a": "79.34"}, {"name": "long", "a": "8"}]}


def test_reports_add_up():
    both = Report((CELLS,), facts={"spots": 5}) + Report(arrays={"p": ("Profile", np.eye(2))}, facts={"d_min": 1.5})
    assert both.text().splitlines()[:2] == ["spots: 5", "d_min: 1.5"]
    content = both.to_dict()
    assert list(content["tables"]) == ["cells"]
    assert content["arrays"]["p"] == {"title": "Profile", "shape": [2, 2], "data": [1.0, 0.0, 0.0, 1.0]}
    assert content["facts"] == {"spots": 5, "d_min": 1.5}
    assert "facts" not in Report((CELLS,)).to_dict()


def test_json_and_xml_hold_the_same(tmp_path):
    report = Report((Table("t", "a < b", {"0": "&"}, (("1",),)),))
    report.write(tmp_path / "r.json")
    report.write(tmp_path / "r.xml")
    assert json.loads((tmp_path / "r.json").read_text()) == report.to_dict()
    root = xml.etree.ElementTree.parse(tmp_path / "r.xml").getroot()
    assert root.find("tables/t/title").text == "a < b"
    assert root.find("tables/t/rows/_0/_0").text == "1"  # XML's names begin with a letter


def test_another_ending_is_refused_and_html_is_escaped(tmp_path):
    with pytest.raises(OptionError, match=r"r\.txt: the name must end in \.json or \.xml"):
        Report().write(tmp_path / "r.txt")
    assert "<script>" not in Report(facts={"<script>": 1})._repr_html_()
