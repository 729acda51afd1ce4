"""Rings of equal resolution."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Detector
from xdp.experiment.pixels import resolution
from xdp.pictures.rings import choose_rings, find_beam_centre, trace_ring


def test_automatic_rings_are_on_the_detector(experiment):
    corners = resolution(experiment.detector, experiment.beam, 0, np.array([[0, 0], [80, 0], [0, 60], [80, 60]], float))
    rings = choose_rings(experiment)
    assert rings == sorted(rings, reverse=True)
    # Rounded to two digits: up to 5 % off.
    assert corners.min() * 0.95 <= rings[-1] <= rings[0] <= corners.max() * 1.05


def test_points_of_a_ring_have_its_resolution(experiment):
    d = choose_rings(experiment)[0]
    (panel, lines), = trace_ring(experiment, d)
    assert panel == 0
    for line in lines:
        assert (line >= 0.0).all()
        assert (line <= (80, 60)).all()
        # The sensor's parallax moves a point by less than a pixel of some thousandths of its resolution.
        np.testing.assert_allclose(resolution(experiment.detector, experiment.beam, 0, line), d, rtol=2e-3)


def test_rings_that_no_ray_can_make_are_empty(experiment):
    assert trace_ring(experiment, 0.49 * experiment.beam.wavelength) == []


@pytest.mark.parametrize(("origin", "expected"), [((-3.0, 2.25, -165.0), (40.0, 30.0)), ((50.0, 2.25, -165.0), None)])
def test_beam_centre_is_found_where_there_is_one(experiment, origin, expected):
    panel = dataclasses.replace(experiment.detector[0], fast_axis=(1.0, 0.0, 0.0), origin=origin)
    found = find_beam_centre(dataclasses.replace(experiment, detector=Detector((panel,))))
    if expected is None:
        assert found is None
    else:
        assert found[0] == 0
        np.testing.assert_allclose(found[1], expected, atol=1e-6)
