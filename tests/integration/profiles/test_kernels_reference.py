"""Sums of references in whole numbers."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.profiles._kernels_frame import Box
from xdp.integration.profiles._kernels_reference import (
    ONE,
    WEIGHT_ONE,
    ProfileSums,
    add_to_profiles,
    has_whole_foreground,
    round_to_whole,
)
from xdp.integration.profiles.reference import ReferenceGrid

pytestmark = pytest.mark.kernels


def test_weights_are_whole_numbers(drawn, strong):
    sums = ReferenceGrid(drawn.grid())
    sums.accumulate(drawn.table, strong)
    assert sums.sums.dtype == sums.weights.dtype == np.int64
    # one reflection in the middle of a profile weighs 1: less than twice their number in all, spread over neighbours
    assert 0.3 * len(drawn.table) < sums.weights.sum() / WEIGHT_ONE < 3.0 * len(drawn.table)


def test_shapes_are_divided_by_their_sum_and_rounded():
    shape = np.array([[1.0, 2.0], [-0.5, 1.5]], np.float32)
    whole = np.zeros((2, 2), np.int64)
    assert round_to_whole(shape, whole)
    assert whole.tolist() == (shape / 4.0 * ONE).astype(int).tolist()
    assert not round_to_whole(-shape, whole)
    assert not round_to_whole(0.0 * shape, whole)


def test_each_profile_gets_the_shape_as_often_as_its_weight_says():
    whole = np.array([[3, 5]])
    sums = ProfileSums(np.zeros((3, 1, 2), np.int64), *np.zeros((3, 3), np.int64))
    add_to_profiles(whole, (7, 5), np.array([2, -1, 0]), np.array([10, 99, 4]), sums)
    assert sums.grids[:, 0].tolist() == [[12, 20], [0, 0], [30, 50]]
    assert sums.weights.tolist() == [4, 0, 10]
    assert sums.areas.tolist() == [28, 0, 70]
    assert sums.areas_2.tolist() == [20, 0, 50]


@pytest.mark.parametrize(("code", "is_whole"), [(5, True), (4, False), (37, False), (3, True), (32, True)])
def test_foreground_is_whole_if_each_pixel_is_valid_and_its_own(code, is_whole):
    mask = np.array([4, 5, code, 5, 4], np.uint8)
    assert has_whole_foreground(mask, Box(0, 0, 0, 0, 3, 3, 1, 1, 4)) == is_whole
