from __future__ import annotations

import numpy as np
import pytest

from xdp.cli.main import main
from xdp.experiment import Beam, Detector, Experiment, Panel, write_experiments
from xdp.reflections import ReflectionTable, write_reflections

PANEL = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-5.0, 4.0, -50.0), (100, 80), (0.1, 0.1), (0.0, 65535.0))


@pytest.fixture
def files(tmp_path):
    write_experiments(tmp_path / "a.expt", [Experiment("abc", Beam((0.0, 0.0, 1.0), 1.0), Detector((PANEL,)))] * 2)
    table = ReflectionTable({"id": np.zeros(3, np.int32), "flags": np.full(3, 32, np.uint64),
                             "d": np.array([1.0, 2.0, 3.0])}, {0: "abc"})
    write_reflections(tmp_path / "a.refl", table)
    return tmp_path


def test_models_and_tables(files, capsys):
    assert main(["show", str(files / "a.expt"), str(files / "a.refl")]) == 0
    out = capsys.readouterr().out
    assert "Experiment 1:" in out
    assert "Max resolution (at corners):" in out
    assert "Reflection list contains 3 reflections" in out
    assert "Reflection flags" not in out


@pytest.mark.parametrize(("option", "text"), [
    ("show_flags=True", "| strong "), ("show_identifiers=True", "id:0 -> experiment identifier:abc"),
    ("show_profile_fit=True", "Printing 3 of 3 reflections"), ("show_intensities=True", "Printing 3 of 3"),
    ("show_centroids=True", "Printing 3 of 3"), ("show_all_reflection_data=True", "Printing 3 of 3"),
    ("show_shared_models=True", "Experiment / Models"),
])
def test_each_option_shows_something_more(files, capsys, option, text):
    paths = [str(files / "a.expt"), str(files / "a.refl")]
    assert main(["show", *paths]) == 0
    assert text not in capsys.readouterr().out
    assert main(["show", *paths, option]) == 0
    assert text in capsys.readouterr().out


def test_rows_are_limited(files, capsys):
    assert main(["show", str(files / "a.refl"), "show_all_reflection_data=True", "max_reflections=2"]) == 0
    assert "Printing 2 of 3 reflections" in capsys.readouterr().out


def test_nothing_given(capsys):
    assert main(["show"]) == 1
    assert "show needs" in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["show", str(tmp_path / "none.expt")]) == 1
    assert "none.expt: cannot be read" in capsys.readouterr().err


def test_rows_of_a_table_without_rows(tmp_path, capsys):
    write_reflections(tmp_path / "none.refl", ReflectionTable({
        "id": np.zeros(0, np.int32), "flags": np.zeros(0, np.uint64), "xyzobs.px.value": np.zeros((0, 3)),
        "miller_index": np.zeros((0, 3), np.int32)}))
    assert main(["show", str(tmp_path / "none.refl"), "show_all_reflection_data=True", "show_flags=True",
                 "show_centroids=True"]) == 0
    assert "Printing 0 of 0 reflections" in capsys.readouterr().out
