"""Sums, centroids and flags of boxes by hand."""

from __future__ import annotations

import numpy as np
import pytest
from summation_data import GOOD_BG, GOOD_FG, USED

from xdp.integration._kernels_sum import OVERLOAD
from xdp.integration.summation import sum_intensities
from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

pytestmark = pytest.mark.kernels


def tiny(mask, data, background):
    """One box of one frame, 1 x n pixels."""
    bbox = [[10, 10 + len(mask), 4, 5, 2, 3]]
    return Shoeboxes([0], bbox, [0, len(mask)], data, mask, background)


def test_a_box_by_hand():
    found = sum_intensities(tiny([GOOD_FG, GOOD_FG, USED, USED, GOOD_BG], [10, 4, 2, 2, 9], [2, 2, 2, 2, 2]))
    c = found.columns
    assert c["intensity.sum.value"].tolist() == [10.0]
    assert c["background.sum.value"].tolist() == [4.0]
    assert c["intensity.sum.variance"].tolist() == [10 + 4 * (1 + 2 / 2)]
    assert [c[f"num_pixels.{n}"][0] for n in ("valid", "background", "background_used", "foreground")] == [5, 3, 2, 2]
    assert c["xyzobs.px.value"][0] == pytest.approx([10.5 * 0.8 + 11.5 * 0.2, 4.5, 2.5])
    assert found.valid_fraction.tolist() == [1.0]


def test_flags_tell_of_bad_pixels_and_overloads():
    fg, bg = int(MaskCode.FOREGROUND), int(MaskCode.BACKGROUND)
    found = sum_intensities(tiny([fg | OVERLOAD, GOOD_FG, USED, bg], [99, 4, 2, 0], [1, 1, 1, 1]))
    expected = (Flag.FAILED_DURING_SUMMATION | Flag.OVERLOADED | Flag.FOREGROUND_INCLUDES_BAD_PIXELS
                | Flag.BACKGROUND_INCLUDES_BAD_PIXELS)
    assert Flag(int(found.flags[0])) == expected
    assert found.valid_fraction.tolist() == [0.5]


def test_a_box_without_signal_has_its_middle_as_centroid():
    found = sum_intensities(tiny([GOOD_FG, USED], [0, 1], [1, 1]))
    assert found.columns["xyzobs.px.value"].tolist() == [[11.0, 4.5, 2.5]]
    assert found.columns["xyzobs.px.variance"].tolist() == [[0.0, 0.0, 0.0]]


def test_a_fully_masked_box_is_flagged():
    found = sum_intensities(tiny([int(MaskCode.FOREGROUND)] * 3, [5, 5, 5], [0, 0, 0]))
    assert Flag(int(found.flags[0])) & Flag.FAILED_DURING_SUMMATION
    assert found.valid_fraction.tolist() == [0.0]


def test_a_box_without_foreground_has_failed():
    boxes = Shoeboxes(np.zeros(1), np.array([[0, 3, 0, 3, 0, 1]]), np.array([0, 9]), np.full(9, 5.0),
                      np.full(9, USED, np.uint8), np.full(9, 5.0))
    found = sum_intensities(boxes)
    assert found.flags.tolist() == [int(Flag.FAILED_DURING_SUMMATION)]
    assert found.valid_fraction.tolist() == [0.0]
