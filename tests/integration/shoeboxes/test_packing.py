"""Pixels in few bytes, and back."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.shoeboxes.packing import pack_counts, pack_mask, unpack_counts, unpack_mask

pytestmark = pytest.mark.kernels


def spread(low, high, n=1000):
    return np.random.default_rng(0).integers(low, high, n)


@pytest.mark.parametrize(("values", "kept"), [
    (spread(0, 255).astype(np.float32), "uint8"),
    (np.append(spread(0, 100), [255, 70000, -1, 2**24]).astype(np.float32), "uint8"),
    (spread(200, 2000).astype(np.uint32), "uint16"),
    (np.random.default_rng(0).normal(size=1000).astype(np.float32), "as_is"),
    (np.zeros(0, np.float32), "uint8"),
    (spread(0, 300, 24).reshape(2, 3, 4).astype(np.int32), "uint16"),
])
def test_counts_take_as_few_bytes_as_they_may(values, kept):
    arrays = pack_counts(values, "some.")
    assert kept == ("as_is" if "some.as_is" in arrays else arrays["some.short"].dtype.name)
    again = unpack_counts(arrays, "some.")
    assert again.dtype == values.dtype
    assert np.array_equal(again, values)
    if values.ndim == 1:
        for first, last in ((0, 0), (0, 10), (255, 700), (990, len(values))):
            assert np.array_equal(unpack_counts(arrays, "some.", first, last), values[first:last])


@pytest.mark.parametrize("n_strays", [0, 3, 12, 13, 100])
def test_masks_come_back(n_strays):
    mask = np.ones(100, np.uint8)
    mask[np.random.default_rng(1).permutation(100)[:n_strays]] = np.resize([0, 64], n_strays)
    arrays = pack_mask(mask, 1, "m.")
    assert ("m.as_is" in arrays) == (n_strays > 12)  # an eighth
    again = unpack_mask(arrays, "m.")
    assert again.dtype == np.uint8
    assert np.array_equal(again, mask)
    assert np.array_equal(unpack_mask(arrays, "m.", 10, 60), mask[10:60])


def test_parts_do_not_keep_the_whole_in_memory():
    whole = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    mask = np.resize(np.array([0, 64], np.uint8), 1000)
    for arrays in (pack_counts(whole[:10], ""), pack_mask(mask[:10], 1, "")):
        assert all(array.base is None or array.base.nbytes == array.nbytes for array in arrays.values())
