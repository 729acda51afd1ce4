"""Masks, labels and boxes against scipy.ndimage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laue_twins import IMAGES, RANDOM, to_bits
from scipy import ndimage

from xdp.laue.masks import Filter, draw_raw_masks, filter_mask, label_mask, make_mask_image

pytestmark = pytest.mark.kernels


@settings(deadline=None, max_examples=150)
@given(st.one_of(IMAGES, RANDOM), st.integers(0, 3), st.integers(0, 3), st.sampled_from([1, 2, 3]))
def test_filter_is_scipys(mask, erosions, dilations, connectivity):
    structure = ndimage.generate_binary_structure(2, connectivity)
    expected = mask
    if erosions:  # 0 iterations would mean "until nothing changes" to SciPy
        expected = ndimage.binary_erosion(expected, structure, erosions)
    if dilations:
        expected = ndimage.binary_dilation(expected, structure, dilations)
    result = filter_mask(to_bits(mask), Filter(erosions, dilations, connectivity, mask.shape[1]))
    assert np.array_equal(make_mask_image(result, mask.shape[1]), expected)


@settings(deadline=None, max_examples=150)
@given(st.one_of(IMAGES, RANDOM), st.sampled_from([1, 2]))
def test_labels_are_scipys(mask, connectivity):
    expected, count = ndimage.label(mask, ndimage.generate_binary_structure(2, connectivity))
    labels = label_mask(to_bits(mask), mask.shape[1], connectivity)
    assert labels.n_labels == count
    assert np.array_equal(labels.make_image(mask.shape), expected)
    for label, (rows, columns) in enumerate(ndimage.find_objects(expected)):
        assert labels.box[label].tolist() == [rows.start, rows.stop, columns.start, columns.stop]
        pixels = labels.pixels[labels.begin[label]:labels.begin[label + 1]]
        assert np.array_equal(pixels, np.flatnonzero(expected == label + 1))


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.sampled_from([np.uint16, np.int32, np.float32]), st.floats(-1, 5))
def test_raw_masks_are_the_formula(seed, dtype, cutoff):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 8, (4, 5, 70)).astype(dtype)
    values[0, 0, 0] = 60000
    avg, std = rng.integers(0, 8, (2, 5, 70)) / 2
    expected = values >= avg + cutoff * std
    bits = draw_raw_masks(values, avg, std, cutoff)
    assert np.array_equal(np.stack([make_mask_image(b, 70) for b in bits]), expected)


def test_constant_pixels():
    """By the formula a pixel that never changes is marked on all frames; exclude_constant leaves it out."""
    values = np.full((3, 2, 4), 7, np.uint16)
    avg, std = np.full((2, 4), 7.0), np.zeros((2, 4))
    std[0, 0] = 1
    marked = make_mask_image(draw_raw_masks(values, avg, std, 3.0)[1], 4)
    assert marked.sum() == 7
    assert marked[0, 0] == 0
    assert not draw_raw_masks(values, avg, std, 3.0, exclude_constant=True).any()


def test_spots_at_the_border_keep_their_shape_under_dilation():
    mask = np.zeros((4, 6), bool)
    mask[0, 0] = mask[3, 5] = True
    result = make_mask_image(filter_mask(to_bits(mask), Filter(0, 1, 2, 6)), 6)
    assert result.tolist() == [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]]


@pytest.mark.parametrize("shape", [(3, 3), (1, 1)])
def test_no_spot_gives_empty_labels(shape):
    labels = label_mask(to_bits(np.zeros(shape, bool)), shape[1], 2)
    assert labels.n_labels == 0
    assert len(labels.pixels) == 0
    assert not labels.make_image(shape).any()
