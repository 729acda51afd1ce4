from __future__ import annotations

import pytest

from xdp.errors import XdpError
from xdp.experiment.materials import KEV_ANGSTROM, attenuation_coefficient


def test_the_constant():
    assert pytest.approx(12.398419843320026, rel=1e-15) == KEV_ANGSTROM


@pytest.mark.parametrize(("material", "kev", "expected"), [("Si", 10, 33.89 * 0.233), ("CdTe", 20, 21.44 * 0.62),
                                                           ("GaAs", 15, 92.2 * 0.532)])
def test_at_tabulated_energies(material, kev, expected):
    assert attenuation_coefficient(material, KEV_ANGSTROM / kev) == pytest.approx(expected, rel=1e-12)


def test_the_wavelength_of_rot_dev():
    """The truth of shared/data/rot_dev was simulated with 3.9603861 per mm."""
    assert attenuation_coefficient("Si", 0.9795) == pytest.approx(3.9603861, abs=1e-7)


def test_an_edge_is_a_step():
    below, above = (attenuation_coefficient("GaAs", KEV_ANGSTROM / (11.8667 + d)) for d in (-1e-6, 1e-6))
    assert above / below == pytest.approx(168.5 / 88.99, rel=1e-5)


def test_other_materials_come_from_xraydb():
    # germanium at 11 keV lies just below its K edge (11.103 keV) and absorbs much more above it
    below, above = (attenuation_coefficient("Ge", KEV_ANGSTROM / kev) for kev in (11.0, 11.2))
    assert above > 5 * below > 0


@pytest.mark.parametrize("wavelength", [0.0, -1.0, float("nan"), 0.01, 20.0])
def test_wavelengths_outside_the_table(wavelength):
    with pytest.raises(XdpError, match="wavelength"):
        attenuation_coefficient("Si", wavelength)


def test_unknown_materials():
    with pytest.raises(XdpError, match="'kryptonite': unknown material"):
        attenuation_coefficient("kryptonite", 1.0)
