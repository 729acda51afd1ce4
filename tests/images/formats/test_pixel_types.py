"""Images in the types that kernels are compiled for."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.images.formats.pixel_types import Markers, convert_to_native


@pytest.mark.parametrize(("dtype", "native"), [
    ("u1", "u2"), ("u2", "u2"), ("?", "u2"), ("i1", "i4"), ("i2", "i4"), ("u4", "i4"), ("i8", "i4"), ("f8", "f4")])
def test_pixels_keep_their_values(dtype, native):
    image = np.array([[0, 1], [1, 0]], dtype)
    converted = convert_to_native(image)
    assert converted.dtype == np.dtype(native)
    np.testing.assert_array_equal(converted, image)


def test_wide_integers_end_at_the_limits_and_uint32_wraps_to_negative():
    wide = np.array([[2**40, -(2**40)]], np.int64)
    assert convert_to_native(wide).tolist() == [[2**31 - 1, -(2**31)]]
    assert convert_to_native(np.array([[2**32 - 1]], np.uint32)).tolist() == [[-1]]


def test_contiguous_images_are_not_copied():
    image = np.zeros((2, 3), np.uint16)
    assert np.shares_memory(convert_to_native(image), image)
    assert convert_to_native(image.T).flags.c_contiguous


@pytest.mark.parametrize(("depth", "trusted", "top"), [
    (16, 65535.0, 1 << 16), (16, 60000.0, None), (32, 2.0**31, 1 << 31), (None, 1e9, None), (40, 1e20, None)])
def test_markers_are_replaced_where_the_trusted_range_lets_them_pass(depth, trusted, top):
    markers = Markers.from_bit_depth(np.dtype(np.uint32), depth, trusted)
    assert (None if markers is None else markers.top) == top
    if markers is not None:
        image = np.array([[7, top - 1, top - 2]], np.uint32)
        assert convert_to_native(image, markers).tolist() == [[7, -1, -2]]
