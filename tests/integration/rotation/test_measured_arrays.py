"""Measured reflections survive the way into plain arrays and back."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.measure import Measured
from xdp.integration.rotation.measured_arrays import pack_measured, restore_boxes, restore_columns
from xdp.reflections.shoeboxes import Shoeboxes

ARRAYS = ("panel", "bbox", "offsets", "data", "mask", "background")


def make_boxes(n, seed):
    """Boxes of 2 x 3 x 4 pixels with counts beyond a byte, and broken ones as gain corrections make them."""
    generator = np.random.default_rng(seed)
    bbox = np.tile(np.array([5, 9, 7, 10, 0, 2], np.int32), (n, 1))
    data = generator.integers(0, 1000, 24 * n) * (0.5 if seed else 1.0)
    return Shoeboxes(np.arange(n), bbox, 24 * np.arange(n + 1), data, generator.integers(0, 64, 24 * n),
                     generator.random(24 * n))


@pytest.mark.parametrize("seed", [0, 1])
def test_columns_and_boxes_come_back(seed):
    columns = {"flags": np.arange(3, dtype=np.uint64), "xyzobs.px.value": np.random.default_rng(seed).random((3, 3))}
    arrays = pack_measured(Measured(np.array([4, 7, 9]), columns, make_boxes(3, seed), make_boxes(3, seed + 1)))
    np.testing.assert_array_equal(arrays["rows"], [4, 7, 9])
    restored = restore_columns(arrays)
    assert list(restored) == list(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(restored[name], column)
        assert restored[name].dtype == column.dtype
    for kind, expected in (("core", make_boxes(3, seed)), ("full", make_boxes(3, seed + 1))):
        found = restore_boxes(arrays, kind)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_whole_boxes_are_packed_only_where_they_were_kept():
    arrays = pack_measured(Measured(np.arange(2), {}, make_boxes(2, 0)))
    assert not [name for name in arrays if name.startswith("full.")]
    with pytest.raises(KeyError):
        restore_boxes(arrays, "full")
