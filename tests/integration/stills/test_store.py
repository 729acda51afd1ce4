"""Results of stills survive the way into plain arrays and back."""

from __future__ import annotations

import numpy as np
import pytest
from integration_data import options

from xdp.integration.plan.sweeps import find_sweeps
from xdp.integration.stills.image import ImageResult
from xdp.integration.stills.integrate_stills import _build_work, integrate_bag
from xdp.integration.stills.store import pack_bag, unpack_bag

pytestmark = pytest.mark.kernels


def test_a_bag_comes_back_with_models_columns_boxes_and_failures(shots):
    work = _build_work(shots.experiments, shots.reference, options("debug.output=True"), None)
    bag = [*integrate_bag(work, 0, 2), ImageResult((), None, ((3, "no reflection is predicted on the image"),))]
    arrays = pack_bag(bag)
    assert all(isinstance(array, np.ndarray) and array.dtype != object for array in arrays.values())
    restored = unpack_bag(arrays, find_sweeps(shots.experiments))
    for found, expected in zip(restored, bag, strict=True):
        assert found.failures == expected.failures
        assert [(n, e.crystal, e.profile) for n, e in found.experiments] == [
            (n, e.crystal, e.profile) for n, e in expected.experiments]
        if expected.table is None:
            assert found.table is None
            assert found.boxes is None
            continue
        assert list(found.table) == list(expected.table)
        for name, column in expected.table.items():
            np.testing.assert_array_equal(found.table[name], column)
        np.testing.assert_array_equal(found.boxes.data, expected.boxes.data)
        np.testing.assert_array_equal(found.boxes.mask, expected.boxes.mask)
