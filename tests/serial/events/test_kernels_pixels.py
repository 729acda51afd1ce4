"""Tests of the kernel that looks over the pixels of a shot."""

import numpy as np
import pytest

from xdp.serial.events._kernels_pixels import find_extremes

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.uint32, np.int64])
def test_extremes_equal_numpy(dtype):
    random = np.random.default_rng(1)
    info = np.iinfo(dtype)
    panel = random.integers(max(info.min, -2**62), min(info.max, 2**62), 300, dtype=np.int64).astype(dtype)
    valid = random.random(300) < 0.7
    panel[~valid] = info.max
    assert find_extremes(panel, valid) == (panel[valid].min(), panel[valid].max(), valid.sum())


def test_without_pixels_the_lowest_is_above_the_highest():
    low, high, n = find_extremes(np.zeros(3, np.uint16), np.zeros(3, bool))
    assert n == 0
    assert low > high
