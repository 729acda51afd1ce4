"""Tests of the kernels of the Spotfinder recipe against slow twins."""

import numpy as np
import pytest
from distl_twins import CUT, OVERLOAD, UNDERLOAD, draw_image, make_levels, score_twin

from xdp.serial.hits import _kernels_distl as kernels
from xdp.serial.hits.tiles import make_boxes

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize(("seed", "mean"), [(1, 12.0), (2, 1.6), (3, 200.0)])
def test_scores_equal_the_twin(seed, mean):
    image = draw_image(seed, mean)
    tiles = [(0, 0, *image.shape)]
    passes = [make_boxes(image.shape, size, 1, tiles) for size in (101, 51, 51)]
    scores = np.zeros(image.shape, np.float32)
    is_whole = kernels.score_pixels(image, np.concatenate(passes), np.array([len(b) for b in passes]),
                                    np.full(3, 1.5), make_levels(image), scores)
    assert is_whole
    # the twin solves the least squares another way: rounding only
    np.testing.assert_allclose(scores, score_twin(image, passes, [1.5] * 3, UNDERLOAD, OVERLOAD), atol=2e-4)


def test_without_background_scoring_ends():
    image = np.zeros((130, 140), np.int32)
    boxes = make_boxes(image.shape, 51, 1, [(0, 0, *image.shape)])
    scores = np.zeros(image.shape, np.float32)
    is_whole = kernels.score_pixels(image, boxes, np.array([len(boxes)]), np.array([1.5]), make_levels(image), scores)
    assert not is_whole
    assert not scores.any()


def test_flat_background_has_no_spots():
    image = np.full((60, 60), 7, np.int32)
    boxes = make_boxes(image.shape, 51, 1, [(0, 0, *image.shape)])
    scores = np.zeros(image.shape, np.float32)
    kernels.score_pixels(image, boxes, np.array([len(boxes)]), np.array([1.5]), make_levels(image), scores)
    assert scores.max() <= CUT


def test_ring_counts_equal_numpy():
    random = np.random.default_rng(6)
    scores = random.normal(size=(30, 31)).astype(np.float32)
    scores[5, 5] = np.nan
    rings = random.integers(0, 10, (30, 31)).astype(np.int32)
    inner, number = scores[2:-2, 2:-3], rings[2:-2, 2:-3] // 2
    for cut in (0.0, 1.5):
        low, high = np.zeros(4, np.int64), np.ones(4, np.int64)
        for counts, below in ((low, True), (high, False)):
            kernels.count_ring_scores(scores, rings, counts, np.array([2, 2, 28, 28]), cut, below)
        for ring in range(4):
            part = inner[number == ring]
            assert (low[ring], high[ring] - 1) == ((part < cut).sum(), part.size - (part < cut).sum())


def test_cleared_boxes_score_0():
    scores = np.ones((6, 7), np.float32)
    kernels.clear_boxes(scores, np.array([[0, 0, 2, 3], [4, 5, 6, 7]]))
    assert scores.sum() == 42 - 6 - 4
    assert not scores[:2, :3].any()
