"""Tables with values that are no numbers: the rows are left out with a warning, and the result is that without them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from refinement_data import write_indexed_sweep

from xdp.cli.main import main
from xdp.logs import stop_log
from xdp.reflections.refl import read_reflections, write_reflections


@pytest.fixture
def indexed(tmp_path, monkeypatch):
    """Indexed spots of a sweep in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_indexed_sweep()
    yield tmp_path
    stop_log()


def run(*words: str) -> int:
    """The exit status of a command that warns of nothing but in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return main(list(words))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("column", ["xyzobs.px.value", "xyzobs.px.variance"])
def test_a_refinement_is_that_without_the_row(indexed, capsys, column, value):
    table = read_reflections("indexed.refl")
    keep = np.arange(len(table)) != 100
    write_reflections("without.refl", table.select(keep))
    table[column][100, 2] = value
    write_reflections("bad.refl", table)
    assert run("refine", "indexed.expt", "without.refl", "scan_varying=False", "output.experiments=a.expt") == 0
    assert run("refine", "indexed.expt", "bad.refl", "scan_varying=False", "output.experiments=b.expt") == 0
    assert "1 of 250 reflections are left out" in capsys.readouterr().out
    assert Path("a.expt").read_bytes() == Path("b.expt").read_bytes()


@pytest.mark.parametrize("command", ["refine", "refine_bravais_settings", "index", "search_beam_position", "export"])
@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_tables_without_any_number_end_in_one_line(indexed, capsys, command, value):
    table = read_reflections("indexed.refl")
    table["xyzobs.px.value"][:] = value
    write_reflections("bad.refl", table)
    words = ["format=json"] if command == "export" else []
    assert run(command, "indexed.expt", "bad.refl", *words) == (0 if command == "export" else 1)
    said = capsys.readouterr()
    assert "250 of 250 reflections are left out" in said.out
    assert said.err.count("\n") == (0 if command == "export" else 1)


@pytest.mark.parametrize("words", ["show {} show_all_reflection_data=True max_reflections=2", "reindex {}"])
def test_commands_that_do_not_compute_take_them_as_they_are(indexed, words):
    table = read_reflections("indexed.refl")
    for name in ("xyzobs.px.value", "xyzobs.px.variance"):
        table[name][3] = np.nan
        table[name][4] = 1e300
    write_reflections("bad.refl", table)
    assert run(*words.format("bad.refl").split()) == 0


@pytest.mark.parametrize(("change", "message"), [
    ({"miller_index": None}, "miller_index"),
    ({"xyzobs.px.value": np.zeros(250)}, "'xyzobs.px.value' must hold 3 numbers a row"),
    ({"id": np.zeros(250)}, "'id' must hold single whole numbers a row"),
    ({"panel": np.zeros((250, 3))}, "'panel' must hold single whole numbers a row"),
])
@pytest.mark.parametrize("command", ["refine", "export", "integrate", "refine_bravais_settings"])
def test_missing_and_mistyped_columns_end_in_one_line(indexed, capsys, command, change, message):
    table = read_reflections("indexed.refl")
    for name, column in change.items():
        del table[name]
        if column is not None:
            table[name] = column
    write_reflections("bad.refl", table)
    assert run(command, "indexed.expt", "bad.refl") == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error or command in ("export", "integrate")


def test_rows_without_an_id_are_of_the_only_experiment(indexed):
    table = read_reflections("indexed.refl")
    del table["id"]
    write_reflections("bad.refl", table)
    assert run("refine", "indexed.expt", "bad.refl") == 0


@pytest.mark.parametrize("words", ["refine indexed.expt {}", "export indexed.expt {} format=json",
                                   "export indexed.expt {}", "integrate indexed.expt {}", "index indexed.expt {}"])
def test_panels_that_are_not_there(indexed, capsys, words):
    table = read_reflections("indexed.refl")
    table["panel"][7] = 2**63
    write_reflections("bad.refl", table)
    assert run(*words.format("bad.refl").split()) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "bad.refl: one is on panel 9223372036854775808, but the detector has 1" in error
