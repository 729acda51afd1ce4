"""Selections by text, and where files are written."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import run
from stills_data import make_shots

from xdp.errors import OptionError
from xdp.integration.results.debug import select_rows
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
