"""Models that are the same to a tolerance."""

from __future__ import annotations

import dataclasses

import pytest

from xdp.experiment import Beam, Detector, Goniometer, Panel
from xdp.images.importing.options import BeamTolerance, DetectorTolerance, GoniometerTolerance
from xdp.images.importing.similar import are_similar_beams, are_similar_detectors, are_similar_goniometers

BEAM = Beam((0.0, 0.0, 1.0), 1.0)
PANEL = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-1.0, 1.0, -100.0), (20, 10), (0.1, 0.1), (0.0, 1000.0))


@pytest.mark.parametrize(("change", "expected"), [
    ({"wavelength": 1.0 + 0.9e-6}, True), ({"wavelength": 1.0 + 1.1e-6}, False),
    ({"direction": (0.9e-6, 0.0, 1.0)}, True), ({"direction": (1.1e-6, 0.0, 1.0)}, False),
    ({"polarization_fraction": 0.5}, False),
])
def test_beams(change, expected):
    assert are_similar_beams(BEAM, dataclasses.replace(BEAM, **change), BeamTolerance()) is expected


@pytest.mark.parametrize(("change", "expected", "is_same_kind"), [
    ({"origin": (-1.04, 1.0, -100.0)}, True, True), ({"origin": (-1.06, 1.0, -100.0)}, False, True),
    ({"trusted_range": (0.0, 999.0)}, False, True), ({"image_size": (10, 20)}, False, False),
    ({"pixel_size": (0.1, 0.2)}, False, False), ({"name": "other"}, True, True),
])
def test_detectors(change, expected, is_same_kind):
    one, other = Detector((PANEL,)), Detector((dataclasses.replace(PANEL, **change),))
    assert are_similar_detectors(one, other, DetectorTolerance()) is expected
    assert are_similar_detectors(one, other, DetectorTolerance(), static_only=True) is is_same_kind
    assert not are_similar_detectors(one, Detector((PANEL, PANEL)), DetectorTolerance())


def test_goniometers():
    one, other = Goniometer((1.0, 0.0, 0.0)), Goniometer((0.0, 1.0, 0.0))
    assert are_similar_goniometers(one, Goniometer((1.0, 0.0, 0.0)), GoniometerTolerance())
    assert not are_similar_goniometers(one, other, GoniometerTolerance())
    assert are_similar_goniometers(one, other, GoniometerTolerance(rotation_axis=1.0))


@pytest.mark.parametrize("compare", [are_similar_beams, are_similar_detectors, are_similar_goniometers])
def test_no_model_is_like_no_model_only(compare):
    models = {are_similar_beams: (BEAM, BeamTolerance()),
              are_similar_detectors: (Detector((PANEL,)), DetectorTolerance()),
              are_similar_goniometers: (Goniometer(), GoniometerTolerance())}
    model, tolerance = models[compare]
    assert compare(None, None, tolerance)
    assert not compare(model, None, tolerance)
