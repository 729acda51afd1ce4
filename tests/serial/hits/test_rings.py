"""Tests of rings about the beam."""

import pickle

import numpy as np
import pytest
from hit_data import SHAPE, make_models

from xdp.experiment import Detector
from xdp.serial.hits.rings import LEAST_PIXELS, SAMPLE, RingMaps, compute_radii, make_ring_map


def test_radius_of_a_flat_detector_is_the_distance_from_the_beam():
    models = make_models()
    slow, fast = np.mgrid[:SHAPE[0], :SHAPE[1]] + 0.5
    wanted = np.hypot(slow - 80, fast - 80)
    np.testing.assert_allclose(compute_radii(models.detector, models.beam)[0], wanted, atol=1e-9)


def test_radius_goes_on_growing_behind_the_sample():
    models = make_models(distance=-60.0)
    assert compute_radii(models.detector, models.beam)[0].min() > 60.0 / 0.1


def test_each_pixel_has_a_ring_with_enough_pixels():
    models = make_models()
    valid = [np.ones(SHAPE, bool)]
    valid[0][:10] = False
    rings = make_ring_map(models.detector, models.beam, valid, (5.0, 70.0))
    ring = rings.rings[0]
    radius = compute_radii(models.detector, models.beam)[0]
    assert np.array_equal(ring >= 0, valid[0] & (radius >= 5) & (radius < 70))
    n = np.bincount(ring[ring >= 0])
    assert n.min() >= LEAST_PIXELS
    assert len(n) == len(rings.radius)
    assert np.all(np.diff(rings.radius) > 0)


def test_samples_are_spread_over_their_ring():
    models = make_models(shape=(400, 400))
    rings = make_ring_map(models.detector, models.beam)
    numbers = rings.sample_values([rings.rings[0]])
    n = np.bincount(rings.rings[0].ravel())
    for ring in range(len(rings.radius)):
        part = numbers[rings.first[ring]:rings.first[ring + 1]]
        assert len(part) == min(SAMPLE, n[ring])
        assert np.all(part == ring)
    assert len(np.unique(rings.samples[0])) == len(rings.samples[0])


def test_maps_are_made_once_for_a_geometry_and_moving_along_the_beam_is_none():
    maps = RingMaps()
    near, far = make_models(60.0), make_models(75.0)
    first = maps.find(near.detector, near.beam)
    assert maps.find(far.detector, far.beam) is first
    other = make_models(60.0, shape=(160, 170))
    assert maps.find(other.detector, other.beam) is not first
    mask = [np.ones(SHAPE, bool)]
    masked = maps.find(near.detector, near.beam, mask)
    assert masked is not first
    assert maps.find(near.detector, near.beam, [mask[0].copy()]) is masked
    copy = pickle.loads(pickle.dumps(maps))
    assert np.array_equal(copy.find(near.detector, near.beam).rings[0], first.rings[0])


def test_several_panels_share_their_rings():
    left, right = make_models().detector[0], make_models(shape=(160, 100)).detector[0]
    models = make_models()
    rings = make_ring_map(Detector((left, right)), models.beam)
    assert len(rings.rings) == 2
    assert rings.rings[1].shape == (160, 100)
    assert sum(len(s) for s in rings.samples) == rings.first[-1]
    values = rings.sample_values(rings.rings)
    assert np.array_equal(values, np.repeat(np.arange(len(rings.radius)), np.diff(rings.first)))


def test_no_valid_pixels_give_no_rings():
    models = make_models()
    rings = make_ring_map(models.detector, models.beam, [np.zeros(SHAPE, bool)])
    assert len(rings.radius) == 0
    assert rings.first.tolist() == [0]


@pytest.mark.parametrize("n", [1, 2])
def test_full_ring_is_sampled_whole(n):
    models = make_models(shape=(20 * n, 20 * n))
    rings = make_ring_map(models.detector, models.beam)
    assert len(rings.samples[0]) == min((20 * n) ** 2, SAMPLE * len(rings.radius)) or len(rings.radius) > 1
