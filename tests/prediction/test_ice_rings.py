from __future__ import annotations

import numpy as np

from xdp.prediction.ice_rings import ICE_SPACINGS, RINGS, is_in_ice_ring, is_off_ice_rings


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


def test_spacings_follow_from_the_cell():
    a, c = 4.498, 7.338
    hkl = np.array([(1, 0, 0), (0, 0, 2), (1, 0, 1), (1, 0, 2), (1, 1, 0), (1, 0, 3), (2, 0, 0), (1, 1, 2), (2, 0, 1),
                    (2, 0, 2)])
    h, k, l = hkl.T  # noqa: E741
    d = 1.0 / np.sqrt(4.0 / 3.0 * (h * h + h * k + k * k) / a**2 + l * l / c**2)
    # tables round to 0.001, and cells of ice differ by 0.1 %
    assert np.allclose(np.sort(d)[::-1], ICE_SPACINGS, atol=0.005)


def test_width_is_one_in_reciprocal_space():
    d = 1.0 / np.sqrt(1.0 / ICE_SPACINGS[0] ** 2 + np.array([0.0, 0.0019, 0.0021]))
    assert is_off_ice_rings(d).tolist() == [False, False, True]
