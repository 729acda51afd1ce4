"""What is printed of a search for symmetry."""

from __future__ import annotations

import json

from symmetry_data import TETRAGONAL, make_symmetric

from xdp.symmetry.find import find_symmetry
from xdp.symmetry.report import describe_verdict


def test_elements_groups_and_the_verdict_are_in_the_report():
    found = find_symmetry(*make_symmetric("P4", TETRAGONAL))
    report = found.report
    assert [table.name for table in report.tables] == ["elements", "groups", "axial"]
    assert len(report.tables[0].rows) == 8
    assert report.facts["Laue group"] == "P 4"
    assert report.facts["decided"]
    json.dumps(report.to_dict())
    lines = describe_verdict(found.verdict)
    assert lines[0].startswith("Laue group of P 4, probability")
    assert any("Written: P4" in line for line in lines)


def test_undecided_groups_are_named_with_what_is_written():
    found = find_symmetry(*make_symmetric("P422", TETRAGONAL, 3, counts=30.0))
    line = describe_verdict(found.verdict)[0]
    assert "undecided" in line
    assert "which all of them contain" in line
