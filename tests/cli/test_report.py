"""xdp report from end to end."""

from __future__ import annotations

import json

import pytest
from report_data import make_clean, plant_blank

from xdp.cli.main import main
from xdp.experiment import write_experiments
from xdp.reflections import write_reflections

pytestmark = pytest.mark.kernels


@pytest.fixture
def files(folder):
    experiments, table = make_clean()
    write_experiments("imported.expt", experiments)
    write_reflections("strong.refl", plant_blank(table))
    return folder


def test_page_json_and_pictures_are_written(files, capsys):
    assert main(["report", "imported.expt", "strong.refl", "json=r.json", "plots=p"]) == 0
    said = capsys.readouterr().out
    assert "!!  Blank: images 21 to 34" in said
    assert "Wrote xdp.report.html, r.json, p" in said
    found = json.loads((files / "r.json").read_text())
    assert found["verdict"][0]["check"] == "blank"
    assert "Blank: images 21 to 34" in (files / "xdp.report.html").read_text()
    assert {path.suffix for path in (files / "p").iterdir()} == {".png", ".svg"}
    assert {path.stem for path in (files / "p").iterdir()} == {plot["name"] for plot in found["plots"]}


@pytest.mark.parametrize("words", [["strong.refl"], ["imported.expt"]])
def test_one_file_is_enough(files, words):
    assert main(["report", *words]) == 0
    assert (files / "xdp.report.html").exists()


@pytest.mark.parametrize(("words", "message"), [
    ([], "report needs"), (["gone.refl"], "gone.refl"),
    (["imported.expt", "strong.refl", "html=strong.refl"], "strong.refl")])
def test_mistakes_are_named(files, capsys, words, message):
    assert main(["report", *words]) == 1
    assert message in capsys.readouterr().err
