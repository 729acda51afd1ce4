from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.experiment import Beam

SOURCE = {"direction": [0.0, 0.1, -2.0], "wavelength": 0.97, "divergence": 0.01, "sigma_divergence": 0.02,
          "polarization_normal": [0.0, 1.0, 0.0], "polarization_fraction": 0.5, "flux": 1e12, "transmission": 0.3}


def test_s0_points_away_from_the_source_with_length_one_over_wavelength():
    beam = Beam((0.0, 0.0, 3.0), 0.5)
    np.testing.assert_allclose(beam.s0, [0.0, 0.0, -2.0])
    np.testing.assert_allclose(beam.unit_s0, [0.0, 0.0, -1.0])


def test_round_trip_keeps_all_keys_and_bits():
    source = SOURCE | {"wavelength": 0.1 + 0.2, "s0_at_scan_points": [[0, 0, -1.0]]}
    assert Beam.from_dict(source).to_dict() == source


def test_defaults_are_those_of_dials():
    beam = Beam.from_dict({"direction": [0, 0, 1], "wavelength": 1})
    assert beam.polarization_normal == (0.0, 1.0, 0.0)
    assert (beam.polarization_fraction, beam.flux, beam.transmission, beam.probe) == (0.999, 0.0, 1.0, "x-ray")


def test_negative_zero_is_kept():
    assert str(Beam.from_dict(SOURCE | {"direction": [-0.0, 0.0, 1.0]}).to_dict()["direction"][0]) == "-0.0"


def test_a_polychromatic_beam_needs_no_wavelength():
    source = {"__id__": "polychromatic", "direction": [0, 0, 1], "wavelength_range": [0.9, 1.3], "probe": "neutron"}
    beam = Beam.from_dict(source)
    assert beam.probe == "neutron"
    written = beam.to_dict()
    assert written["wavelength_range"] == [0.9, 1.3]
    assert "wavelength" not in written
    assert Beam.from_dict(written) == beam


@pytest.mark.parametrize(("change", "message"), [
    ({"wavelength": 0.0}, "wavelength"),
    ({"wavelength": -1.0}, "wavelength"),
    ({"wavelength": 1e-300}, "wavelength"),
    ({"wavelength": 1e300}, "wavelength"),
    ({"wavelength": float("nan")}, "finite"),
    ({"wavelength": "1.0"}, "finite number"),
    ({"wavelength": True}, "finite number"),
    ({"wavelength": None}, "'wavelength' is missing"),
    ({"direction": [0, 0, 0]}, "no length"),
    ({"direction": [0, 1]}, "3 finite numbers"),
    ({"direction": [0, 0, float("inf")]}, "3 finite numbers"),
    ({"direction": None}, "'direction' is missing"),
    ({"polarization_fraction": float("nan")}, "polarization_fraction"),
])
def test_bad_values_are_named(change, message):
    with pytest.raises(FormatError, match=f"^bad.expt: beam 3: .*{message}"):
        Beam.from_dict(SOURCE | change, "bad.expt: beam 3")


def test_something_that_is_no_object_is_refused():
    with pytest.raises(FormatError, match="expected a JSON object, got 'x'"):
        Beam.from_dict("x")  # type: ignore[arg-type]
