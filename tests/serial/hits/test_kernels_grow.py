"""Tests of the kernels that make spots of scored pixels, against slow twins."""

import numpy as np
import pytest
from distl_twins import CUT, OVERLOAD, UNDERLOAD, draw_image, make_levels, pairs_twin, peaks_twin, spots_twin

from xdp.serial.hits import _kernels_grow as kernels

pytestmark = pytest.mark.kernels


def make_marks(image):
    return kernels.SpotMarks(np.zeros(image.shape, np.int32), np.zeros(image.shape, np.uint8))


def grow(image, scores, peaks, rings, icy, levels):
    """Grown spots; the marks are as they were."""
    marks = make_marks(image)
    grown = kernels.grow_spots(image, scores, peaks, rings, icy, levels, marks)
    assert not marks.owner.any()
    assert not marks.is_listed.any()
    return grown


@pytest.mark.parametrize("n_neighbours", [0, 2, 4])
def test_peaks_equal_the_twin(n_neighbours):
    image = draw_image(4)
    scores = ((image - 12.0) / 3.5).astype(np.float32)
    levels = make_levels(image, n_neighbours=n_neighbours)
    found = kernels.list_peaks(image, scores, levels).tolist()
    assert found == peaks_twin(image, scores, levels.first, levels.last, CUT, n_neighbours, UNDERLOAD, OVERLOAD)
    assert 70 * image.shape[1] + 70 in found


def test_spots_equal_the_twin():
    image = draw_image(5)
    image[70, 70] = 12
    scores = ((image - 12.0) / 3.5).astype(np.float32)
    scores[:2], scores[-2:], scores[:, :2], scores[:, -2:] = 0, 0, 0, 0
    levels, rings = make_levels(image), np.zeros(image.shape, np.int32)
    peaks = kernels.list_peaks(image, scores, levels)
    grown = grow(image, scores, peaks, rings, np.zeros(2, bool), levels)
    assert sorted(grown.area.tolist()) == spots_twin(scores, peaks, CUT)
    assert np.all(image.reshape(-1)[grown.peak] > 12)
    assert not grown.on_ice.any()


def test_a_spot_is_named_by_its_highest_peak_and_ice_at_its_border_is_seen():
    image = np.full((40, 40), 10, np.int32)
    image[10, 10:16] = [100, 90, 120, 95, 110, 90]
    scores = (image - 10).astype(np.float32)
    levels, rings = make_levels(image), np.zeros((40, 40), np.int32)
    rings[9, 13] = 3
    peaks = kernels.list_peaks(image, scores, levels)
    for icy, on_ice in ((np.zeros(4, bool), False), (np.arange(4) == 3, True)):
        grown = grow(image, scores, peaks, rings, icy, levels)
        assert grown.peak.tolist() == [10 * 40 + 12]
        assert grown.area.tolist() == [6]
        assert grown.on_ice.tolist() == [on_ice]


def test_an_overloaded_peak_begins_no_spot_unless_asked():
    image = np.full((40, 40), 10, np.int32)
    image[10:12, 10:12] = 5000
    scores = (image - 10).astype(np.float32)
    rings = np.zeros((40, 40), np.int32)
    for use_overloads, n in ((False, 0), (True, 1)):
        levels = make_levels(image, use_overloads=use_overloads)
        grown = grow(image, scores, kernels.list_peaks(image, scores, levels), rings, np.zeros(2, bool),
                                   levels)
        assert grown.area.size == n


@pytest.mark.parametrize("seed", range(4))
def test_pairs_equal_the_twin(seed):
    owner = np.zeros((12, 12), np.int32)
    owner[np.random.default_rng(seed).random((12, 12)) < 0.4] = 3
    body = np.array([kernels.pack(i, j) for i, j in np.argwhere(owner)])
    assert kernels.unpack(kernels.pack(7, 11)) == (7, 11)
    assert kernels.count_pairs(body, owner, 3) == pairs_twin(np.argwhere(owner))
