from __future__ import annotations

import numpy as np

from xdp.prediction.ice_rings import RINGS, is_in_ice_ring


def test_the_strongest_rings_of_ice_are_found():
    # the first three of hexagonal ice, and the strong ones at 2.25 and 2.07 Å
    assert is_in_ice_ring([3.90, 3.67, 3.44, 2.25, 2.07]).all()


def test_between_the_rings_nothing_is():
    assert not is_in_ice_ring([50.0, 4.2, 3.1, 2.4, 1.0]).any()


def test_limits_belong_to_their_rings():
    for low, high in RINGS:
        inside = np.array([low * (1 + 1e-9), high * (1 - 1e-9)])
        assert is_in_ice_ring(inside**-0.5).all()
    low, high = RINGS[0]
    assert not is_in_ice_ring(np.array([low * (1 - 1e-9), high * (1 + 1e-9)]) ** -0.5).any()


def test_shape_is_kept():
    assert is_in_ice_ring(np.full((2, 3), 3.9)).shape == (2, 3)
