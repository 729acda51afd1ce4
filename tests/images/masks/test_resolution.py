"""Ranges of resolution and powder rings, against brute force and the known rings of ice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdp.errors import OptionError
from xdp.images.masks.options import IceRings
from xdp.images.masks.resolution import compute_ice_ring_ranges, compute_ring_positions, mask_resolution


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 20), st.floats(1, 20)), max_size=5), st.integers(0, 99))
def test_resolution_ranges_include_both_ends_in_any_order(ranges, seed):
    d = np.random.default_rng(seed).uniform(0.5, 25, (7, 9))
    if ranges:
        d[0, 0], d[0, 1] = ranges[0]
    mask = np.ones(d.shape, bool)
    mask_resolution(mask, d, ranges)
    expected = np.ones(d.shape, bool)
    for low, high in ranges:
        expected &= ~((d >= min(low, high)) & (d <= max(low, high)))
    np.testing.assert_array_equal(mask, expected)


def test_ice_rings_are_those_of_hexagonal_ice():
    ranges = compute_ice_ring_ranges(IceRings(filter=True), 1.9)
    middles = [1 / math.sqrt((1 / a**2 + 1 / b**2) / 2) for a, b in ranges]
    # the well known rings of ice Ih (Å): 3.90 3.67 3.44 2.67 2.25 2.07 1.95 1.92
    for ring in (3.90, 3.67, 3.44, 2.67, 2.25, 2.07, 1.95, 1.92):
        assert min(abs(ring - m) for m in middles) < 0.01
    for a, b in ranges:
        assert 1 / a**2 - 1 / b**2 == pytest.approx(0.002, rel=1e-9)


def test_ring_wider_than_its_distance_from_zero_reaches_to_infinity():
    (low, high), *_ = compute_ice_ring_ranges(IceRings(filter=True, width=10.0), 3.0)
    assert high == math.inf
    assert low < 0.5


def test_unknown_space_group_is_refused():
    with pytest.raises(OptionError, match="space_group"):
        compute_ring_positions(IceRings(space_group="P 9 9 9"), 2.0)
