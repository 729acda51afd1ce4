"""Kernels on masks of bits, called directly, against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laue_twins import IMAGES, RANDOM, to_bits
from scipy import ndimage

from xdp.laue._kernels_masks import (
    count_runs,
    integrate_labels,
    label_runs,
    list_label_pixels,
    morph_bits,
    paint_runs,
    unpack_bits,
)
from xdp.laue.masks import make_mask_image

pytestmark = pytest.mark.kernels


@settings(deadline=None, max_examples=100)
@given(st.one_of(IMAGES, RANDOM))
def test_bits_and_back(mask):
    assert np.array_equal(make_mask_image(to_bits(mask), mask.shape[1]), mask)


@settings(deadline=None, max_examples=50)
@given(st.one_of(IMAGES, RANDOM), st.booleans(), st.booleans())
def test_one_step_of_erosion_and_dilation(mask, full, erode):
    bits = to_bits(mask)
    out, image = np.empty_like(bits), np.empty(mask.shape, np.uint8)
    morph_bits(bits, full, erode, mask.shape[1], out)
    unpack_bits(out, image)
    structure = ndimage.generate_binary_structure(2, 2 if full else 1)
    step = ndimage.binary_erosion if erode else ndimage.binary_dilation
    np.testing.assert_array_equal(image, step(mask, structure))
    if mask.shape[1] % 64:  # nothing is set beyond the last column, where the next step would take it in
        assert not (out[:, -1] >> np.uint64(mask.shape[1] % 64)).any()


@settings(deadline=None, max_examples=50)
@given(st.one_of(IMAGES, RANDOM), st.booleans())
def test_runs_carry_the_labels_of_scipy(mask, full):
    bits = to_bits(mask)
    padded = np.pad(mask, ((0, 0), (1, 0))).astype(int)
    n_runs = int((np.diff(padded, axis=1) == 1).sum())
    assert count_runs(bits) == n_runs
    runs, image = np.empty((n_runs, 4), np.int32), np.zeros(mask.shape, np.int32)
    n_labels = label_runs(bits, full, runs)
    paint_runs(runs, image)
    expected, count = ndimage.label(mask, ndimage.generate_binary_structure(2, 2 if full else 1))
    assert n_labels == count
    np.testing.assert_array_equal(image, expected)


def test_sums_and_brightest_pixels_of_labels():
    mask = np.zeros((4, 70), bool)
    mask[0, 2:4] = mask[1, 3] = mask[3, 64:67] = True
    bits = to_bits(mask)
    runs = np.empty((3, 4), np.int32)
    assert label_runs(bits, False, runs) == 2
    begin, box, pixels = np.zeros(3, np.int64), np.empty((2, 4), np.int32), np.empty(6, np.int32)
    list_label_pixels(runs, 2, 70, begin, box, pixels)
    assert begin.tolist() == [0, 3, 6]
    assert pixels.tolist() == [2, 3, 73, 274, 275, 276]
    assert box.tolist() == [[0, 2, 2, 4], [3, 4, 64, 67]]
    image, maps = np.zeros(280, np.uint16), [np.full(280, value) for value in (1.0, 2.0, 3.0, 0.5)]
    image[[2, 3, 73, 274, 275, 276]] = 5, 9, 9, 4, 4, 3
    sums, peak = np.zeros((2, 4)), np.zeros(2, np.int64)
    integrate_labels(image, begin, pixels, *maps, sums, peak)
    assert sums.tolist() == [[20, 17, 9, 1.5], [8, 5, 9, 1.5]]
    assert peak.tolist() == [3, 274]  # of equal ones the first
