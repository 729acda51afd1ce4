from __future__ import annotations

import numpy as np

from xdp.experiment.pixels import resolution_map
from xdp.simulation import make_beam, make_detector
from xdp.simulation.background import expect_background


def test_a_ring_at_the_water_distance():
    detector, beam = make_detector((400, 400), distance=60.0), make_beam()
    image = expect_background(detector, beam, 0, 10.0)
    d = resolution_map(detector, beam, 0)
    on_ring, inside, outside = (image[np.abs(d - at) < 0.05].mean() for at in (3.3, 6.5, 2.2))
    assert on_ring > 1.5 * inside
    assert on_ring > 1.5 * outside
    assert 0.0 < image.min() < image.max() < 11.0


def test_level_scales_all():
    detector, beam = make_detector((50, 40)), make_beam()
    one, two = (expect_background(detector, beam, 0, level) for level in (3.0, 6.0))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-12)
    assert not expect_background(detector, beam, 0, 0.0).any()
