"""Tests of the boxes of the Spotfinder recipe."""

import numpy as np
import pytest

from xdp.serial.hits.tiles import count_modules, divide_modules, make_boxes, split_evenly, split_tile


def test_even_intervals_begin_at_zero_and_are_at_least_as_long_as_asked():
    intervals = split_evenly(20, 779, 51)
    assert intervals[0][0] == 0
    assert all(b - a >= 51 for a, b in intervals)
    assert [a for a, _ in intervals[1:]] == [b for _, b in intervals[:-1]]
    assert split_evenly(0, 30, 51) == []


def test_a_tile_is_divided_within_its_margin():
    intervals = split_tile(100, 294, 1, 51)
    assert intervals[0][0] == 101
    assert intervals[-1][1] == 293
    assert len(intervals) == 3
    assert split_tile(0, 40, 1, 51) == []


def test_modules_leave_out_gaps_and_what_is_not_searched():
    intervals = divide_modules((195, 17), 12, 101, (20, 2506))
    assert intervals[:2] == [(0, 195), (212, 407)]
    assert len(intervals) == 12
    assert divide_modules((195, 17), 12, 101, (220, 2506))[0] == (212, 407)


@pytest.mark.parametrize(("shape", "numbers"), [((2527, 2463), (12, 5)), ((1679, 1475), (8, 3)), ((4371, 4150), (8, 4)),
                                                ((800, 800), None)])
def test_detectors_are_known_by_their_shape(shape, numbers):
    found = count_modules(shape)
    assert (found and found[1]) == numbers


def test_boxes_of_tiles_modules_and_plain_images():
    plain = make_boxes((800, 800), 51, 20)
    assert plain[:, :2].min() == 0
    assert len(plain) == 14 * 14
    tiled = make_boxes((800, 800), 51, 1, tiles=[(0, 0, 185, 194), (200, 0, 385, 194)])
    assert len(tiled) == 2 * 9
    assert np.all(tiled[:9, 2] <= 185)
    assert make_boxes((100, 100), 51, 1, tiles=[(0, 0, 40, 40)]).shape == (0, 4)
