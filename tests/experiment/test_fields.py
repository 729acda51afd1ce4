"""Checked reading of the dictionaries of an .expt file."""

from __future__ import annotations

import math

import pytest

from xdp.errors import FormatError
from xdp.experiment._fields import Fields, axis

SOURCE = {"n": 3, "x": 1.5, "name": "Si", "v": [1, 2, 3], "rows": [[1, 2], [3, 4]], "nothing": None, "yes": True,
          "nan": math.nan, "inf": math.inf, "whole": 3.0}


def fields() -> Fields:
    return Fields(SOURCE, "file.expt: beam 0")


def test_values_have_their_types():
    f = fields()
    assert (f.integer("n"), f.number("x"), f.text("name"), f.integer("whole")) == (3, 1.5, "Si", 3)
    assert (f.vector("v"), f.rows("rows", 2)) == ((1.0, 2.0, 3.0), ((1.0, 2.0), (3.0, 4.0)))
    assert f.number("inf", infinite=True) == math.inf


def test_what_nobody_took_is_left():
    f = fields()
    for key in ("n", "x", "name", "v", "rows", "nan", "inf", "whole"):
        f.take(key)
    assert f.rest() == {"nothing": None, "yes": True}
    assert f.others().take("yes") is True
    assert "yes" in f, "a copy leaves the original as it is"


def test_null_counts_as_missing():
    assert fields().number("nothing", 7.0) == 7.0
    with pytest.raises(FormatError, match=r"file\.expt: beam 0: 'nothing' is missing"):
        fields().number("nothing")


@pytest.mark.parametrize(("method", "key", "arguments", "wanted"), [
    ("number", "nan", (), "a finite number"), ("number", "inf", (), "a finite number"),
    ("number", "yes", (), "a finite number"), ("integer", "x", (), "a whole number"),
    ("text", "n", (), "a string"), ("vector", "v", (2,), "2 finite numbers"),
    ("vector", "name", (None,), "finite numbers"),
    ("integers", "v", (4,), "4 whole numbers"), ("rows", "rows", (3,), "a list of lists of 3 finite numbers"),
    ("mapping", "v", (), "a JSON object")])
def test_values_of_another_kind_are_refused(method, key, arguments, wanted):
    with pytest.raises(FormatError, match=f"'{key}' must be {wanted}, got"):
        getattr(fields(), method)(key, *arguments)


def test_only_objects_have_fields():
    with pytest.raises(FormatError, match="expected a JSON object, got \\[1\\]"):
        Fields([1], "here")


@pytest.mark.parametrize("vector", [[0, 0, 0], [1e200, 0, 0]])
def test_an_axis_has_a_sensible_length(vector):
    with pytest.raises(FormatError, match="'a' has no length or no sensible one"):
        axis(Fields({"a": vector}, "here"), "a")
