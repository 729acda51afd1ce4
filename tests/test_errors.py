"""Errors are messages for the user."""

from __future__ import annotations

import pytest

from xdp import errors
from xdp.errors import ColumnError, FormatError, NoGeometryError, XdpError


@pytest.mark.parametrize("name", [name for name in vars(errors) if name.endswith("Error")])
def test_each_error_is_one_of_ours_and_prints_its_message(name):
    error = getattr(errors, name)("a.cbf: is empty")
    assert isinstance(error, XdpError)
    assert str(error) == "a.cbf: is empty"


def test_kinds_that_callers_may_catch_by_their_base():
    assert isinstance(ColumnError("no column id"), KeyError)
    assert issubclass(NoGeometryError, FormatError)
