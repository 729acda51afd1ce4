"""Tests of rings of ice."""

import numpy as np

from xdp.serial.hits.distl import FlatGeometry, find_distl_spots
from xdp.serial.hits.distl_options import CXI_SETTINGS
from xdp.serial.hits.ice_rings import number_rings

GEOMETRY = FlatGeometry(0.1, 100.0, 1.0, (8.0, 8.0), 5000.0)


def draw_image(places=(), mean=20.0, shape=(160, 160), height=300):
    image = np.random.default_rng(1).poisson(mean, shape).astype(np.int32)
    for i, j in places:
        image[i - 1:i + 2, j - 1:j + 2] += height // 2
        image[i, j] += height // 2
    return image


def test_spots_that_touch_ice_are_dropped():
    image = draw_image([(80, 140), (80, 110)])
    slow, fast = np.mgrid[:160, :160]
    radius = np.hypot(slow - 80, fast - 80)
    geometry = GEOMETRY._replace(distance=20.0)
    assert ICE_AT_60 < geometry.resolution(60.0**2) < 8
    image[(radius >= 56) & (radius < 64)] += 30
    spots = find_distl_spots(image, geometry, CXI_SETTINGS, tiles=[(0, 0, 160, 160)])
    found = list(zip(spots.slow, spots.fast, strict=True))
    assert (80, 110) in found
    assert (80, 140) not in found


ICE_AT_60 = 1.0


def test_rings_have_twice_their_number_and_one_more_on_their_inner_edge():
    rings = number_rings((21, 31), (10, 10))
    assert rings[10, 10] == 1  # the beam itself is the inner edge of the first
    assert rings[10, 13] == 0
    assert rings[10, 14] == 3  # four pixels away
    assert rings[10, 15] == 2
    assert rings[7, 14] == 2  # five away, by Pythagoras
