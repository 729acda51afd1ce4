"""Units of header fields."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.units import find_unit_factor


@pytest.mark.parametrize(("unit", "kind", "factor"), [
    ("m", "length", 1000.0), ("mm", "length", 1.0), ("Millimeters", "length", 1.0), ("um", "length", 1e-3),
    ("microns", "length", 1e-3), ("deg", "angle", 1.0), ("degrees", "angle", 1.0), ("rad", "angle", 180.0 / np.pi),
    ("s", "time", 1.0), ("ms", "time", 1e-3), ("seconds", "time", 1.0), ("Angstroms", "wavelength", 1.0),
    ("nm", "wavelength", 10.0), ("m", "wavelength", 1e10), ("pm", "wavelength", 0.01), ("keV", "energy", 1000.0),
])  # fmt: skip
def test_units(unit, kind, factor):
    assert find_unit_factor(unit, kind, "here") == pytest.approx(factor, rel=1e-14)


@pytest.mark.parametrize(("unit", "kind"), [("deg", "length"), ("mm", "angle"), (None, "length"), ("", "time")])
def test_wrong_units_are_refused(unit, kind):
    with pytest.raises(FormatError, match="here: its units are"):
        find_unit_factor(unit, kind, "here")
