"""Trusted counts of panels and frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mask_data import KnownMask, list_masked, make_experiment, make_panel

from xdp.images.masks.trusted import compute_trusted_limits, find_usable_pixels


@pytest.mark.parametrize(("limits", "dtype", "maximum", "expected"), [
    ((0.0, 1000.0), np.uint16, None, (0, 1000)),
    ((-5.0, 1e6), np.uint16, None, (0, 65535)),
    ((0.5, 99.5), np.int32, None, (1, 99)),
    ((0.5, 99.5), np.float32, None, (0.5, 99.5)),
    ((0.0, 1000.0), np.int32, 60.5, (0, 60)),
    ((0.0, math.inf), np.int32, None, (0, 2**31 - 1)),
])
def test_trusted_limits_include_both_ends(limits, dtype, maximum, expected):
    assert compute_trusted_limits(make_panel(trusted_range=limits), np.dtype(dtype), maximum) == expected


def test_usable_pixels_are_trusted_and_not_masked():
    image = np.full((20, 30), 10, np.int32)
    image[0, 0], image[0, 1], image[0, 2] = -1, 1001, 1000
    usable, = find_usable_pixels(make_experiment(), KnownMask(), [image])
    assert list_masked(usable) == {(0, 0), (0, 1), (1, 1)}
