"""Tables of the integration report, as text, JSON and XML."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment import Experiment, ExperimentList
from xdp.integration.results.report import make_integration_report, make_profile_report, make_validation_report
from xdp.reflections import Flag, ReflectionTable
from xdp.report.tables import Report, Table
from xdp.simulation import make_scan


def integrated(n_experiments=1):
    """Ten reflections of each experiment, on four images."""
    rng = np.random.default_rng(1)
    n = 10 * n_experiments
    return ReflectionTable({
        "id": np.repeat(np.arange(n_experiments), 10), "d": rng.uniform(2, 20, n),
        "flags": np.full(n, int(Flag.INTEGRATED), np.uint64), "partiality": np.ones(n),
        "xyzcal.px": rng.uniform(0, 4, (n, 3)), "intensity.sum.value": np.full(n, 30.0),
        "intensity.sum.variance": np.full(n, 9.0), "intensity.prf.value": np.full(n, 40.0),
        "intensity.prf.variance": np.full(n, 4.0)})


def experiments(n=1):
    """Of four images each."""
    return ExperimentList([Experiment(identifier=str(i), scan=make_scan(4, 1.0)) for i in range(n)])


def test_tables_have_dials_names_and_columns():
    content = make_integration_report(experiments(), integrated(), 5).to_dict()["tables"]
    assert list(content) == ["integration.image.summary", "integration.resolution.summary",
                             "integration.overall.summary"]
    images = content["integration.image.summary"]
    assert len(images["rows"]) == 4
    assert images["rows"][2]["image"] == "3"
    assert images["cols"]["ios_prf"] == "I/sigI\n (prf)"
    assert len(content["integration.resolution.summary"]["rows"]) == 5
    overall = {row["item"]: row["overall"] for row in content["integration.overall.summary"]["rows"]}
    assert overall["number processed with summation"] == "10"
    assert (overall["i/sigi (summation)"], overall["i/sigi (profile fitting)"]) == ("10.00", "20.00")


def test_each_experiment_has_its_rows():
    content = make_integration_report(experiments(2), integrated(2), 3).to_dict()["tables"]
    assert {row["id"] for row in content["integration.image.summary"]["rows"]} == {"0", "1"}
    assert {"integration.overall.summary.0", "integration.overall.summary.1"} <= set(content)


def test_text_is_a_box_with_numbers_to_the_right():
    text = Table("t", "Title", {"a": "Name", "b": "I/sigI\n (sum)"}, (("x", "1.5"), ("longer", "10"))).text()
    assert text.splitlines() == [
        " Title", "+--------+--------+", "| Name   | I/sigI |", "|        |  (sum) |", "|--------+--------|",
        "| x      |    1.5 |", "| longer |     10 |", "+--------+--------+"]


def test_profiles_are_listed_and_their_arrays_kept():
    report = make_profile_report([(0, 0, True, (10.0, 20.0, 5.0), 33), (0, 1, False, (30.0, 20.0, 5.0), 0)],
                                 {(0, 0): np.ones((2, 2, 2))})
    assert "|  0 |       1 | False   |" in report.text()
    array = report.to_dict()["arrays"]["profile.model.0.0"]
    assert (array["shape"], sum(array["data"])) == ([2, 2, 2], 8.0)


def test_validation_averages_each_partition():
    table = ReflectionTable({"id": np.zeros(3, np.int32), "profile.index": np.array([0, 0, 1]),
                             "profile.correlation": np.array([0.5, 0.7, 0.9])})
    rows = make_validation_report(table, 1, 3).to_dict()["tables"]["validation.summary"]["rows"]
    assert [(r["n_valid"], r["cc"]) for r in rows] == [("2", "0.60"), ("1", "0.90"), ("0", "0.00")]


def test_files_are_json_or_xml_by_their_names(tmp_path):
    report = make_integration_report(experiments(), integrated(), 3) + make_profile_report([], {})
    report.write(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == report.to_dict()
    report.write(tmp_path / "a.xml")
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert root.tag == "DIALS"
    assert root.find("tables/integration.image.summary/title").text == "Summary vs image number"
    with pytest.raises(OptionError, match=r"\.json or \.xml"):
        report.write(tmp_path / "a.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.xml"]


def test_reports_join():
    first, second = make_profile_report([]), make_integration_report(experiments(), integrated())
    assert (first + second).tables[0].name == "profile.summary"
    assert Report().text() == ""
