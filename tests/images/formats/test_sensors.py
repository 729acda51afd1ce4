"""Sensors at wavelengths inside and outside of the tables."""

import pytest

from xdp.images.formats.sensors import build_sensor_fields


def test_silicon_is_corrected_for_parallax():
    found = build_sensor_fields("Si", 0.32, 0.9795)
    # NIST's table between 10 and 15 keV.
    assert found["mu"] == pytest.approx(3.9603861351765324, rel=1e-12)
    assert found["px_mm_strategy"] == "ParallaxCorrectedPxMmStrategy"


@pytest.mark.parametrize(("material", "wavelength"), [("Si", 0.0251), ("Si", 1e9), ("", 1.0)])
def test_without_attenuation_there_is_no_correction(material, wavelength):
    assert build_sensor_fields(material, 0.3, wavelength) == {"material": material, "thickness": 0.3}
