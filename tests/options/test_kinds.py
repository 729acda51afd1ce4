"""Python annotations to PHIL types."""

from __future__ import annotations

from typing import Literal

import pytest

from xdp.options import Auto, FilePath, SpaceGroup, UnitCell
from xdp.options.kinds import Kind, describe_kind, format_type, read_kind


@pytest.mark.parametrize(
    ("annotation", "bounds", "text"),
    [
        (int, {}, "int"),
        (int, {"ge": 1}, "int(value_min=1)"),
        (int | None, {"ge": 1}, "int(value_min=1, allow_none=True)"),
        (int | None | Auto, {"ge": 1}, "int(value_min=1, allow_none=True)"),
        (float | None, {"ge": 0, "le": 1}, "float(value_min=0, value_max=1, allow_none=True)"),
        (bool, {}, "bool"),
        (str | None, {}, "str"),
        (FilePath | None, {}, "path"),
        (tuple[int, int] | None, {"ge": 0}, "ints(size=2, value_min=0)"),
        (tuple[int, ...] | None, {"ge": 0}, "ints(value_min=0)"),
        (tuple[float, float, float], {}, "floats(size=3)"),
        (tuple[str, ...], {}, "strings"),
        (UnitCell, {}, "unit_cell"),
        (SpaceGroup | None, {}, "space_group"),
        (Literal["a", "b"], {}, "choice"),
        (tuple[Literal["a", "b"], ...], {}, "choice(multi=True)"),
    ],
)
def test_type_text_is_the_one_of_phil(annotation, bounds, text):
    assert format_type(read_kind(annotation), bounds) == text


@pytest.mark.parametrize("annotation", [dict, int | str, tuple[int, str], list[int], tuple[bytes, ...]])
def test_what_phil_cannot_say_is_refused(annotation):
    with pytest.raises(TypeError, match="no PHIL type"):
        read_kind(annotation)


def test_description_says_type_bounds_and_words():
    assert describe_kind(read_kind(int | None | Auto), {"ge": 1}) == "an integer >= 1, None or Auto"
    assert describe_kind(read_kind(tuple[int, int] | None), {}) == "2 integers or None"
    assert describe_kind(Kind("choice", choices=("a", "b")), {}) == "one of: a b"
    assert describe_kind(read_kind(float), {"gt": 0, "le": 2}) == "a number > 0 and <= 2"
