"""Angles, pairs and blocks."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.laue.background import Grouping, compute_grouped_background
from xdp.laue.design import (
    Design,
    check_angles,
    estimate_kruskal_power,
    group_by_angle,
    group_frames,
    match_frames,
    require_laser,
)

ANGLE = np.array([2.0, 2.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0])
LASER = np.array([0, 1, 0, 1, 0, 1, 0, 1], bool)


def masks(design: Design, sync: str) -> list[list[int]]:
    return [frames.tolist() for frames in group_frames(design, sync)]


def test_groups_are_numbered_by_angle_and_close_angles_are_one():
    assert group_by_angle(np.array([4.0, 2.0, 2.0004, 4.0002, -1.0])).tolist() == [2, 1, 1, 2, 0]


def test_none_pairs_blocks():
    design = Design(ANGLE, LASER)
    assert masks(design, "none") == [[i] for i in range(8)]
    assert masks(design, "pairs") == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert masks(design, "blocks") == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_pairs_follow_the_repeat_number():
    design = Design(ANGLE[:4] * 0, np.array([0, 0, 1, 1], bool), repeat=np.array([1, 2, 2, 1]))
    assert masks(design, "pairs") == [[0, 3], [1, 2]]


def test_pairs_have_the_same_repeat_not_the_same_place():
    """Repeat 2 was lost without laser, repeat 3 with it."""
    design = Design(np.zeros(6), np.array([0, 0, 0, 1, 1, 1], bool), repeat=np.array([1, 3, 4, 1, 2, 4]))
    assert match_frames(design, np.arange(6)) == ([(0, 3), (2, 5)], [1, 4])
    with pytest.raises(XdpError, match=r"3 frames without and 3 with laser .* frame 1 \(repeat 3\) has no partner"):
        group_frames(design, "pairs")
    assert masks(design, "blocks") == [[0, 1, 2, 3, 4, 5]]


def test_a_single_angle_that_lost_its_partners_has_no_pair():
    angle, laser = np.array([0.0, 0.0, 2.0, 2.0]), np.array([0, 1, 0, 1], bool)
    design = Design(angle, laser, repeat=np.array([1, 1, 1, 2]))
    assert match_frames(design, np.array([2, 3])) == ([], [2, 3])


def test_frames_of_one_repeat_pair_in_their_order():
    design = Design(np.zeros(4), np.array([0, 1, 0, 1], bool), repeat=np.array([7, 7, 7, 7]))
    assert match_frames(design, np.arange(4)) == ([(0, 1), (2, 3)], [])


def test_numbers_that_count_all_frames_are_no_repetitions():
    design = Design(np.zeros(4), np.array([0, 1, 0, 1], bool), repeat=np.array([1, 2, 3, 4]))
    assert match_frames(design, np.arange(4)) == ([(0, 1), (2, 3)], [])


def test_unpaired_frames_are_an_error():
    design = Design(ANGLE[:3], LASER[:3])
    with pytest.raises(XdpError, match=r"1 frames without and 0 with laser at 0 deg"):
        group_frames(design, "pairs")
    with pytest.raises(XdpError, match="only frames without laser"):
        group_frames(design, "blocks")


@pytest.mark.parametrize("laser", [None, np.zeros(8, bool)])
def test_sync_needs_laser_data(laser):
    for sync in ("pairs", "blocks"):
        with pytest.raises(XdpError, match=f"sync={sync}"):
            group_frames(Design(ANGLE, laser), sync)
    with pytest.raises(XdpError, match="kruskal needs 'laser' data"):
        require_laser(Design(ANGLE, laser), "kruskal")


def test_with_the_laser_always_on_there_are_blocks_but_no_pairs():
    design = Design(ANGLE, np.ones(8, bool))
    assert masks(design, "blocks") == [[0, 1, 4, 5], [2, 3, 6, 7]]
    require_laser(design, "kruskal")
    with pytest.raises(XdpError, match=r"sync=pairs.*it was on in all of these"):
        group_frames(design, "pairs")


def test_too_few_angles():
    check_angles(Design(ANGLE), 2)
    with pytest.raises(XdpError, match="2 different angles, at least 10"):
        check_angles(Design(ANGLE), 10)


def test_an_angle_that_is_no_number():
    with pytest.raises(XdpError, match="frame 1"):
        check_angles(Design(np.array([0.0, np.nan])), 1)


@pytest.mark.parametrize(("n_groups", "size"), [(10, 2), (36, 10), (90, 4)])
def test_power_is_what_the_test_does(n_groups, size):
    groups = np.repeat(np.arange(n_groups), size)
    values = np.random.default_rng(2).poisson(1000, (len(groups), 3000)).astype(np.uint16)
    values[groups == 3] += 20000
    seen = np.mean(compute_grouped_background(values, Grouping(tuple(groups.tolist())))["n_rejected"] > 0)
    # binomial scatter of 2000 draws and 3000 pixels is below 0.012
    assert estimate_kruskal_power(groups, 0.05) == pytest.approx(seen, abs=0.04)


def test_a_repetition_that_is_no_number_is_named():
    design = Design(np.zeros(2), np.array([False, True]), repeat=np.array([1.0, np.nan]))
    with pytest.raises(XdpError, match="the repetition of frame 1 is not a number"):
        match_frames(design, np.arange(2))
