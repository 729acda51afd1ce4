"""Options of hot and dead pixels."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from xdp.integration.hot_pixels.options import HotPixelOptions


@pytest.mark.parametrize(("name", "value"), [("min_ratio", 1.0), ("min_sigma", -1.0), ("min_fraction", 0.0),
                                             ("min_fraction", 1.5), ("min_widths", -0.1), ("dead_probability", 1.0)])
def test_values_that_make_no_sense_are_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        HotPixelOptions(**{name: value})
    assert HotPixelOptions(**{name: 1.0 if name == "min_fraction" else 0.5 + (name == "min_ratio")})
