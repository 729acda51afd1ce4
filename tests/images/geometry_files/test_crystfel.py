"""Quantities of CrystFEL geometries in their units."""

from __future__ import annotations

import math

import pytest

from xdp.images.geometry_files.crystfel import Quantity, convert_clen, convert_to_energy


@pytest.mark.parametrize(("kind", "value", "unit", "energy"), [
    ("photon_energy", 9500.0, "", 9500.0), ("photon_energy", 9.5, "keV", 9500.0),
    ("photon_energy", 0.0095, "MeV", 9500.0), ("wavelength", 1e-10, "", 12398.42), ("wavelength", 1.0, "A", 12398.42),
    # Electrons of 300 kV have 0.019687 Å (relativistic).
    ("electron_voltage", 300.0, "kV", 12398.42 / 0.0196875), ("electron_voltage", 300e3, "", 12398.42 / 0.0196875)])
def test_energies(kind, value, unit, energy):
    assert convert_to_energy(kind, value, unit) == pytest.approx(energy, rel=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_energy_is_nan(value):
    assert math.isnan(convert_to_energy("photon_energy", value, ""))


@pytest.mark.parametrize(("quantity", "metres"), [
    (Quantity(80.0, None, "mm"), 0.08), (Quantity(80.0, None), 80.0), (Quantity(None, "/a"), 0.08),
    (Quantity(None, "/a", "m"), 80.0)])
def test_camera_lengths(quantity, metres):
    assert convert_clen(quantity, 80.0) == pytest.approx(metres)
