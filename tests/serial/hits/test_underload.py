"""Tests of dark borders and round images."""

import numpy as np

from xdp.serial.hits.distl import FlatGeometry, find_distl_spots
from xdp.serial.hits.distl_options import CXI_SETTINGS
from xdp.serial.hits.underload import find_underload, is_round

GEOMETRY = FlatGeometry(0.1, 100.0, 1.0, (8.0, 8.0), 5000.0)


def draw_image(places=(), mean=20.0, shape=(160, 160), height=300):
    image = np.random.default_rng(1).poisson(mean, shape).astype(np.int32)
    for i, j in places:
        image[i - 1:i + 2, j - 1:j + 2] += height // 2
        image[i, j] += height // 2
    return image


def find(image, tiles=True, **changes):
    options = CXI_SETTINGS.model_copy(update=changes)
    return find_distl_spots(image, GEOMETRY, options, tiles=[(0, 0, *image.shape)] if tiles else None)


def test_underload_of_plain_images():
    image = draw_image(shape=(300, 300))
    assert find_underload(image) < 20
    image[:40] = 0
    assert find_underload(image) >= 0
    # never more than a tenth of the pixels
    assert (image <= find_underload(image)).mean() < 0.25
    assert find_underload(image[:90, :90]) == 0


def test_round_images_are_known_by_their_corner():
    image = draw_image(shape=(300, 300))
    assert not is_round(image)
    image[:110, :110] = 3
    assert is_round(image)
    assert len(find(image, tiles=False).slow) >= 0
