"""Fields in names of files."""

from __future__ import annotations

import pytest

from xdp.errors import OptionError
from xdp.serial.path_fields import fill_path_fields


@pytest.mark.parametrize(("text", "wanted"), [
    ("{experiment!l}_avg-r{run:04d}", "cxi49812_avg-r0069"), ("{experiment!u}", "CXI49812"), ("{{run}}", "{run}"),
    ("{stream}-{chunk}", "-1--1"), ("{user}{run}", "69"), ("plain", "plain")])
def test_fields(text, wanted):
    assert fill_path_fields(text, {"experiment": "Cxi49812", "run": 69, "user": None}) == wanted


@pytest.mark.parametrize("text", ["{wrong}", "{run.__class__}", "{run[0]}", "{0}", "{}", "{run", "{experiment:04d}"])
def test_what_is_no_field_is_an_error(text):
    with pytest.raises(OptionError, match=r"field"):
        fill_path_fields(text, {"experiment": "a", "run": 1})
