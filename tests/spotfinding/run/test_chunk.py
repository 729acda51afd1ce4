"""One task: what is complete is measured, what may go on is handed on."""

from __future__ import annotations

import numpy as np
import pytest
from sweeps import add_spot, background, options, stills, sweep

from xdp.spotfinding.find import make_spot_rules
from xdp.spotfinding.run.chunk import COUNTS, ChunkResult, find_in_chunk, make_empty_result
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.run.searches import plan_searches


def make_work(experiments, *words):
    """Finder and rules of the first search."""
    chosen = options(*words)
    return FrameFinder(plan_searches(experiments)[0], chosen.spotfinder), make_spot_rules(experiments, chosen)


@pytest.fixture
def counts():
    """Six frames: a spot within frame 1, one through frames 2 and 3, one on frame 5."""
    counts = background(6)
    add_spot(counts, 1, 10, 10)
    add_spot(counts, slice(2, 4), 30, 30)
    add_spot(counts, 5, 50, 50)
    return counts


def test_spots_at_a_border_are_open_and_those_at_the_ends_of_the_search_are_not(tmp_path, counts):
    finder, rules = make_work(sweep(tmp_path, counts))
    first, second = find_in_chunk(finder, rules, 0, 3), find_in_chunk(finder, rules, 3, 6)
    assert [first.spots.table["bbox"][:, 4].tolist(), second.spots.table["bbox"][:, 4].tolist()] == [[1], [5]]
    assert set(first.open.frame.tolist()) == {2}
    assert set(second.open.frame.tolist()) == {3}
    assert first.counts[COUNTS.index("found")] == 1
    assert (first.n_strong > 0).tolist() == [False, True, True]
    whole = find_in_chunk(finder, rules, 0, 6)
    assert len(whole.spots) == 3
    assert whole.open.size == 0


def test_stills_have_no_borders(tmp_path, counts):
    finder, rules = make_work(stills(tmp_path, counts))
    result = find_in_chunk(finder, rules, 2, 3)
    assert (len(result.spots), result.open.size) == (1, 0)


def test_filters_count_what_they_drop(tmp_path, counts):
    finder, rules = make_work(sweep(tmp_path, counts), "min_spot_size=10", "max_spot_size=12")
    found, too_small, too_large, far, sloping = find_in_chunk(finder, rules, 0, 6).counts.tolist()
    assert (found, too_small, too_large, far, sloping) == (3, 2, 1, 0, 0)


@pytest.mark.parametrize("words", [(), ("output.shoeboxes=False", "write_hot_mask=True")])
def test_a_result_survives_being_taken_apart(tmp_path, counts, words):
    finder, rules = make_work(sweep(tmp_path, counts), *words)
    result = find_in_chunk(finder, rules, 1, 4)
    again = ChunkResult.from_arrays(result.to_arrays())
    assert again.spots.table == result.spots.table
    for a, b in zip((*again.open, again.counts, *again.hot), (*result.open, result.counts, *result.hot), strict=True):
        np.testing.assert_array_equal(a, b)


def test_skipped_frames_give_the_same_columns_and_nothing_else(tmp_path, counts):
    finder, rules = make_work(sweep(tmp_path, counts))
    empty, full = make_empty_result(finder, rules, 0, 3), find_in_chunk(finder, rules, 0, 3)
    assert list(empty.spots.table) == list(full.spots.table)
    assert (len(empty.spots), empty.open.size, empty.n_strong.tolist()) == (0, 0, [0, 0, 0])
    assert np.isnan(empty.background).all()
