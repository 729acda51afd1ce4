"""Shapes that are masked, against brute force over pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_data import list_masked, make_mask

from xdp.errors import OptionError
from xdp.images.masks.shapes import mask_border, mask_circle, mask_pixel, mask_polygon, mask_rectangle


def test_border_masks_all_four_edges_and_nothing_at_zero():
    mask = make_mask()
    mask_border(mask, 0)
    assert mask.all()
    mask_border(mask, 3)
    assert mask.sum() == (20 - 6) * (30 - 6)
    assert mask[3:-3, 3:-3].all()


def test_rectangle_leaves_its_upper_ends_out():
    mask = make_mask()
    mask_rectangle(mask, 2, 5, 7, 9)
    assert list_masked(mask) == set(itertools.product((7, 8), (2, 3, 4)))


@pytest.mark.parametrize("box", [(5, 5, 1, 2), (0, 31, 0, 5), (-1, 3, 0, 5), (1, 2, 3, 21), (9, 3, 1, 2)])
def test_rectangle_outside_of_the_panel_is_refused(box):
    with pytest.raises(OptionError, match=r"untrusted\.rectangle"):
        mask_rectangle(make_mask(), *box)


@settings(max_examples=30, deadline=None)
@given(st.integers(-5, 35), st.integers(-5, 25), st.integers(1, 12))
def test_circle_is_measured_from_whole_pixel_numbers(xc, yc, radius):
    mask = make_mask()
    expected = {(y, x) for y, x in np.ndindex(20, 30) if (x - xc) ** 2 + (y - yc) ** 2 < radius**2}
    try:
        mask_circle(mask, xc, yc, radius)
    except OptionError:
        assert not expected
        return
    assert list_masked(mask) == expected


def test_circle_without_radius_is_refused():
    with pytest.raises(OptionError, match="r > 0"):
        mask_circle(make_mask(), 5, 5, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 19)), min_size=3, max_size=7))
def test_polygon_masks_pixels_whose_centres_are_inside(corners):
    mask = make_mask()
    mask_polygon(mask, corners)
    inside = {(y, x) for y, x in np.ndindex(20, 30) if count_crossings(corners, x + 0.5, y + 0.5) % 2}
    assert list_masked(mask) == inside


def count_crossings(corners, x, y) -> int:
    """How often a ray from (x, y) towards larger fast crosses the polygon's edges."""
    count = 0
    for (xa, ya), (xb, yb) in zip(corners, [corners[-1], *corners[:-1]], strict=True):
        if (ya > y) != (yb > y) and x < (xb - xa) * (y - ya) / (yb - ya) + xa:
            count += 1
    return count


def test_polygon_needs_three_corners_inside():
    with pytest.raises(OptionError, match="at least 3 corners"):
        mask_polygon(make_mask(), [(1, 1), (5, 5)])
    with pytest.raises(OptionError, match="outside"):
        mask_polygon(make_mask(), [(100, 100), (120, 100), (110, 130)])


def test_pixel_is_slow_then_fast():
    mask = make_mask()
    mask_pixel(mask, 3, 25)
    assert list_masked(mask) == {(3, 25)}
    with pytest.raises(OptionError, match=r"untrusted\.pixel"):
        mask_pixel(mask, 25, 3)
