"""Codes of masks as the kernels of the background read them."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.background import _kernels_pixels as kernels
from xdp.reflections.flags import MaskCode

pytestmark = pytest.mark.kernels


def test_usable_is_valid_background_that_is_no_neighbours():
    for code in range(256):
        expected = bool(code & MaskCode.VALID and code & MaskCode.BACKGROUND and not code & MaskCode.OVERLAPPED)
        assert kernels.is_usable(np.uint8(code)) == expected


def test_bits_are_those_of_the_mask_codes():
    assert kernels.USED == MaskCode.BACKGROUND_USED
    assert kernels.VALID_BACKGROUND == MaskCode.VALID | MaskCode.BACKGROUND
    assert kernels.USED ^ kernels.NOT_USED == 255


@pytest.mark.parametrize(("offsets", "expected"), [([0], 1), ([0, 0], 1), ([0, 4, 13, 15], 9)])
def test_the_largest_box(offsets, expected):
    assert kernels.find_largest(np.array(offsets, np.int64)) == expected
