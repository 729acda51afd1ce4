"""Values in CrystFEL geometries."""

from __future__ import annotations

import pytest

from xdp.images.geometry_files.crystfel_values import (
    parse_bits,
    parse_dimension,
    parse_direction,
    parse_finite,
    parse_members,
    parse_pixel,
    parse_quantity,
)


@pytest.mark.parametrize(("text", "wanted"), [
    ("x", (1, 0, 0)), ("-y", (0, -1, 0)), ("+1.0x", (1, 0, 0)), ("-0.5x +0.8y -1e-3z", (-0.5, 0.8, -1e-3)),
    ("0.999y+0.01x", (0.01, 0.999, 0)), ("- 1.0 x", (-1, 0, 0)), ("1.5*x", (1.5, 0, 0))])
def test_directions(text, wanted):
    assert parse_direction(text) == wanted


@pytest.mark.parametrize(("function", "text"), [
    (parse_direction, ""), (parse_direction, "1"), (parse_direction, "x y"), (parse_direction, "xx"),
    (parse_direction, "1e9x"), (parse_direction, "٣x"), (parse_finite, "1,5"), (parse_finite, "nan"),
    (parse_finite, "0x10"), (parse_finite, "٣"), (parse_pixel, "-3"), (parse_pixel, "3.5"), (parse_pixel, "1e3"),
    (parse_bits, "-1"), (parse_bits, "0x"), (parse_dimension, "slow"), (parse_dimension, "-1"), (parse_members, ""),
    (parse_members, "a,"), (lambda t: parse_quantity(t, "length"), "5 kg"),
    (lambda t: parse_quantity(t, "wavelength"), "0 m"), (lambda t: parse_quantity(t, "length"), "")])
def test_what_is_no_value_is_refused(function, text):
    with pytest.raises(ValueError, match=r"expected|not known|is there once|may be there|twice"):
        function(text)


def test_whole_numbers_may_have_a_point():
    assert parse_pixel("8.0") == 8
