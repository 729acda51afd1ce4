"""Selections by text, and where files are written."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import options, run
from stills_data import make_shots

from xdp.errors import OptionError
from xdp.integration.results.debug import check_selection, select_rows
from xdp.reflections.refl import read_reflections
from xdp.reflections.table import ReflectionTable

TABLE = ReflectionTable({"d": np.array([1.0, 2.0, 3.0]), "id": np.array([0, 1, 1], np.int32),
                         "intensity.sum.value": np.array([10.0, 10.0, -4.0]),
                         "intensity.sum.variance": np.array([100.0, 4.0, 0.0]), "s1": np.zeros((3, 3))})


@pytest.mark.parametrize(("text", "expected"), [
    (None, [1, 1, 1]), ("d<2", [1, 0, 0]), ("d <= 2", [1, 1, 0]), ("d>=2", [0, 1, 1]), ("d>2", [0, 0, 1]),
    ("id==1", [0, 1, 1]), ("id!=1", [1, 0, 0]), ("intensity.sum.i_over_sigma>1", [0, 1, 0]),
    ("intensity.sum.i_over_sigma==0", [0, 0, 1])])
def test_rows_are_selected_by_columns_and_ratios(text, expected):
    assert select_rows(TABLE, text).tolist() == [bool(e) for e in expected]


@pytest.mark.parametrize(("text", "words"), [
    ("d", "must be COLUMN<VALUE"), ("d=1", "must be COLUMN<VALUE"), ("d<one", "no number"), ("s1>0", "no column"),
    ("colour==1", "no column"), ("__import__('os')>1", "must be COLUMN<VALUE")])
def test_other_texts_are_refused(text, words):
    with pytest.raises(OptionError, match=words):
        select_rows(TABLE, text)


@pytest.mark.kernels
def test_from_python_files_lie_beside_the_output(series, tmp_path):
    table = run(series, "debug.output=True", "debug.reference.output=True",
                f"output.reflections={tmp_path / 'integrated.refl'}").reflections
    assert {path.name for path in tmp_path.iterdir()} == {"shoeboxes_0_0.refl", "reference_profiles.refl"}
    assert len(read_reflections(tmp_path / "shoeboxes_0_0.refl")) >= len(table)  # those not integrated too


@pytest.mark.kernels
def test_from_python_files_of_stills_lie_beside_the_output(tmp_path):
    (tmp_path / "out").mkdir()
    shots = make_shots(tmp_path, ((1,),), size=(200, 200))
    table = shots.integrate("debug.output=True",
                            f"output.reflections={tmp_path / 'out' / 'integrated.refl'}").reflections
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"shoeboxes_0_0.refl"}
    assert len(read_reflections(tmp_path / "out" / "shoeboxes_0_0.refl")) >= len(table)


def is_accepted(name: str, *words: str, are_stills: bool = False) -> bool:
    """Whether a selection by this column passes before the work begins."""
    chosen = options("debug.output=True", f"debug.select={name}>0", *words)
    try:
        check_selection(chosen, are_stills=are_stills)
    except OptionError:
        return False
    return True


@pytest.mark.kernels
def test_columns_that_are_accepted_are_those_that_are_there(series, tmp_path):
    """What is refused at the start is what the tables of shoeboxes do not have."""
    for words in ((), ("debug.during=modelling",), ("background.algorithm=simple",)):
        run(series, "debug.output=True", *words, f"output.reflections={tmp_path / 'integrated.refl'}")
        table = read_reflections(tmp_path / "shoeboxes_0_0.refl")
        for name in table:
            column = table[name]
            is_number = isinstance(column, np.ndarray) and column.ndim == 1
            assert is_accepted(name, *words) == is_number, name
        for name in ("intensity.sum.i_over_sigma", "intensity.prf.i_over_sigma", "background.sum.i_over_sigma"):
            there = name.replace("i_over_sigma", "value") in table
            assert is_accepted(name, *words) == there, name


@pytest.mark.kernels
def test_columns_of_stills_that_are_accepted_are_there(tmp_path):
    (tmp_path / "out").mkdir()
    shots = make_shots(tmp_path, ((1,),), size=(200, 200))
    shots.integrate("debug.output=True", f"output.reflections={tmp_path / 'out' / 'integrated.refl'}")
    table = read_reflections(tmp_path / "out" / "shoeboxes_0_0.refl")
    for name in table:
        column = table[name]
        assert is_accepted(name, are_stills=True) == (isinstance(column, np.ndarray) and column.ndim == 1), name
    for name in ("zeta", "intensity.prf.i_over_sigma", "partial_id"):
        assert name.replace("i_over_sigma", "value") not in table
        assert not is_accepted(name, are_stills=True)
