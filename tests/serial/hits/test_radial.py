"""Tests of peaks that stand out of their rings, on whole images."""

import numpy as np
from hit_data import draw_shot, make_models

from xdp.serial.hits._kernels_radial import PeakRules
from xdp.serial.hits.radial import find_peaks, measure_rings, top_value
from xdp.serial.hits.rings import make_ring_map

RULES = PeakRules(5.0, 2, 50, 3, np.inf)


def look(image, factor=5.0, lowest=-np.inf):
    models = make_models(shape=image.shape)
    rings = make_ring_map(models.detector, models.beam)
    statistics = measure_rings([image], rings, factor=factor, lowest=lowest)
    return statistics, find_peaks([image], rings, statistics.mean, statistics.mean + 8 * statistics.spread, RULES)


def test_background_is_that_of_the_rings_whatever_the_spots():
    empty, with_spots = draw_shot(3), draw_shot(3, 30)
    alone, _ = look(empty)
    beside, peaks = look(with_spots)
    # a spot in a small ring is not wholly left out
    np.testing.assert_allclose(beside.mean, alone.mean, atol=1.1)
    assert np.median(np.abs(beside.mean - alone.mean)) < 0.02
    assert len(peaks.ring) > 15
    assert len(look(empty)[1].ring) == 0


def test_peaks_move_with_gain_and_pedestal():
    image = draw_shot(3, 30)
    plain, scaled = look(image)[1], look(image * 0.1 + 20.0)[1]
    assert np.array_equal(plain.pixel, scaled.pixel)
    assert np.array_equal(plain.area, scaled.area)
    np.testing.assert_allclose(scaled.signal, plain.signal * 0.1, rtol=1e-5)
    np.testing.assert_allclose(scaled.level, plain.level * 0.1 + 20.0, rtol=1e-6)


def test_the_highest_value_of_an_unsigned_type_is_no_count():
    image = draw_shot(3).astype(np.uint16)
    image[50:60, 50:60] = 65535
    statistics, peaks = look(image)
    assert statistics.mean.max() < 20
    assert len(peaks.ring) == 0
    assert top_value(np.dtype("uint16")) == 65534
    assert top_value(np.dtype("int32")) == np.inf


def test_values_below_the_trusted_range_are_no_background():
    image = draw_shot(3)
    image[::2] = -5
    assert look(image, lowest=0.0)[0].mean.min() > 0 > look(image)[0].mean.min()


def test_several_panels():
    from xdp.experiment import Detector

    models, image = make_models(), draw_shot(3, 30)
    detector = Detector((models.detector[0], models.detector[0]))
    rings = make_ring_map(detector, models.beam)
    statistics = measure_rings([image, image], rings, factor=5.0)
    peaks = find_peaks([image, image], rings, statistics.mean, statistics.mean + 8 * statistics.spread, RULES)
    assert np.array_equal(peaks.pixel[peaks.panel == 0], peaks.pixel[peaks.panel == 1])
    part = peaks.take(peaks.panel == 1)
    assert len(part.ring) * 2 == len(peaks.ring) > 0
