"""Tests of the kernels for peaks that stand out of their rings, against slow twins."""

import numpy as np
import pytest
from hit_data import draw_shot, make_models
from radial_twins import clip_twin, peaks_twin

from xdp.serial.hits._kernels_radial import (
    TILE,
    PeakRules,
    clip_rings,
    find_bright_tiles,
    find_ring_peaks,
    gather_samples,
    span_tiles,
    tabulate_least,
)
from xdp.serial.hits.rings import make_ring_map

pytestmark = pytest.mark.kernels
RULES = PeakRules(5.0, 2, 50, 3, np.inf)


@pytest.mark.parametrize(("factor", "lowest", "pedestal"), [(5.0, -np.inf, 0.0), (3.0, 1.0, 0.0), (3.0, -np.inf, 1e6)])
def test_clipped_statistics_equal_the_twin(factor, lowest, pedestal):
    random = np.random.default_rng(3)
    sizes = [0, 1, 30, 200, 300]
    parts = [random.poisson(4.0, n) + 50.0 * (random.random(n) < 0.05) + pedestal for n in sizes]
    parts[4] = (random.random(300) < 0.01) + pedestal  # nearly dark
    values = np.concatenate(parts).astype(np.float32)
    values[40] = np.nan
    first = np.concatenate([[0], np.cumsum(sizes)])
    found = clip_rings(values, first, factor, lowest, 5)
    for ring in range(len(sizes)):
        wanted = clip_twin(values[first[ring]:first[ring + 1]], factor, lowest, 5)
        np.testing.assert_allclose(found[ring], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float32])
def test_peaks_equal_the_twin(dtype):
    models = make_models()
    image = draw_shot(5, 30).astype(dtype)
    image[50:53, 60:63] = 900
    image[100, 20] = 60000
    rings = make_ring_map(models.detector, models.beam).rings[0].copy()
    rings[70:74] = -1
    n_rings = rings.max() + 1
    high, offset = np.full(n_rings, 14.0), np.full(n_rings, 4.0)
    rules = RULES._replace(top=50000.0)
    found = find_ring_peaks(image, rings, span_tiles(rings), offset, high, rules)
    wanted = peaks_twin(image, rings, np.concatenate([high, offset]), rules)
    assert len(found) == len(wanted) > 20
    np.testing.assert_allclose(found[:, [0, 1, 2, 3, 4, 5, 7]], wanted, rtol=1e-6)
    assert np.array_equal(image.reshape(-1)[found[:, 6].astype(int)].astype(float), found[:, 5])


def test_pixels_of_no_number_and_thresholds_of_no_number_make_no_peaks():
    image = np.full((40, 40), 5.0, np.float32)
    image[10:13, 10:13] = np.nan
    image[20:22, 20:22] = 100.0
    rings = np.zeros((40, 40), np.int32)
    assert len(find_ring_peaks(image, rings, span_tiles(rings), np.array([5.0]), np.array([20.0]), RULES)) == 1
    assert len(find_ring_peaks(image, rings, span_tiles(rings), np.array([5.0]), np.array([np.nan]), RULES)) == 0


@pytest.mark.parametrize(("rules", "n"), [(RULES, 1), (RULES._replace(min_pixels=5), 0),
                                         (RULES._replace(max_pixels=3), 0),
                                         (RULES._replace(min_snr=1e6), 0), (RULES._replace(bg_radius=9), 0)])
def test_each_rule_has_its_effect(rules, n):
    image = np.random.default_rng(1).poisson(5.0, (40, 40)).astype(np.int32)
    image[20:22, 20:22] = 100
    image[20, 33:34] = 101  # alone: no peak, but background of a wide ring that reaches as high
    rings = np.zeros((40, 40), np.int32)
    rings[20, 33] = 1
    high = np.array([60.0, 200.0])
    assert len(find_ring_peaks(image, rings, span_tiles(rings), np.array([5.0, 5.0]), high, rules)) == n


def test_spans_of_tiles_are_their_least_and_greatest_rings():
    rings = np.random.default_rng(2).integers(-1, 40, (37, 50)).astype(np.int32)
    rings[16:32, 16:32] = -1
    spans = span_tiles(rings)
    assert spans.shape == (3, 4, 2)
    for i in range(3):
        for j in range(4):
            part = rings[i * TILE:(i + 1) * TILE, j * TILE:(j + 1) * TILE]
            part = part[part >= 0]
            assert spans[i, j].tolist() == ([part.min(), part.max()] if part.size else [-1, -1])


def test_least_thresholds_of_rows_of_rings():
    high = np.random.default_rng(3).random(21)
    high[4] = np.nan
    known = np.where(np.isnan(high), np.inf, high)
    table = tabulate_least(high)
    for power in range(5):
        for ring in range(21 - 2**power + 1):
            assert table[power, ring] == known[ring:ring + 2**power].min()


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float32])
def test_bright_tiles_are_those_with_a_pixel_above_the_least_threshold(dtype):
    random = np.random.default_rng(4)
    image = random.poisson(5.0, (50, 70)).astype(dtype)
    image[3, 60] = 40
    rings = (np.hypot(*np.mgrid[:50, :70]) // 3).astype(np.int32)
    rings[:16, :16] = -1
    high = random.uniform(8, 16, rings.max() + 1)
    spans = span_tiles(rings)
    found = find_bright_tiles(image, spans, high)
    for i, j in np.ndindex(found.shape):
        rows, columns = slice(i * TILE, (i + 1) * TILE), slice(j * TILE, (j + 1) * TILE)
        part = rings[rows, columns]
        level = high[part.min():part.max() + 1].min() if part.max() >= 0 else np.inf
        assert found[i, j] == (image[rows, columns].max() > level)
    assert 0 < found.sum() < found.size


def test_samples_go_to_their_places():
    panel = np.arange(12, dtype=np.uint16).reshape(3, 4)
    values = np.zeros(4, np.float32)
    gather_samples(panel, np.array([1, 5, 11]), np.array([2, 0, 3]), 11.0, values)
    assert values[:3].tolist() == [5.0, 0.0, 1.0]
    assert np.isnan(values[3])
