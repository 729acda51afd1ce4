"""Frames cut into blocks, and who owns a reflection."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.integration.options import BlockOptions
from xdp.integration.plan import blocks as module
from xdp.integration.plan.blocks import Block, count_pixels_by_frame, find_owners, plan_blocks
from xdp.integration.plan.sweeps import Sweep


def sweep(number=0, ids=(0,), first=0, last=30):
    return Sweep(number, ids, (None,), first, last)


def boxes(n=200, depth=3, last=30, seed=0):
    start = np.random.default_rng(seed).integers(0, last - depth + 1, n)
    return np.column_stack([np.tile([0, 10, 0, 10], (n, 1)), start, start + depth]).astype(np.int32)


def test_blocks_cover_all_frames_once():
    bbox = boxes()
    for size in (1, 4, 7, 30, 100):
        cut = plan_blocks([sweep()], np.zeros(200), bbox, BlockOptions(size=size, units="frames"), 1)
        frames = [z for block in cut for z in range(block.first, block.last)]
        assert frames == list(range(30))
        assert max(block.last - block.first for block in cut) <= size


def test_the_owner_holds_the_end_of_the_box():
    bbox = boxes()
    cut = [Block(0, 0, 10), Block(0, 10, 20), Block(0, 20, 30)]
    owner = find_owners(cut, [sweep()], np.zeros(200, int), bbox)
    assert np.array_equal(owner, (bbox[:, 5] - 1) // 10)
    chosen = np.arange(200) % 3 > 0
    found = find_owners(cut, [sweep()], np.zeros(200, int), bbox, chosen)
    assert np.array_equal(found, np.where(chosen, owner, -1))


def test_sweeps_and_subsets_have_blocks_of_their_own():
    sweeps = [sweep(0, (0, 2)), sweep(1, (1,), 100, 130)]
    bbox = boxes(300)
    ids = np.sort(np.arange(300) % 3)
    bbox[ids == 1, 4:] += 100
    assert [one.rows(ids).tolist() for one in sweeps] == [np.flatnonzero(ids != 1).tolist(), list(range(100, 200))]
    meeting = (bbox[:, 4] < 9) & (bbox[:, 5] > 5)
    assert np.array_equal(sweeps[0].rows(ids, bbox, 5, 9), np.flatnonzero((ids != 1) & meeting))
    cut = plan_blocks(sweeps, ids, bbox, BlockOptions(size=15, units="frames"), 1, 2)
    assert [(b.sweep, b.first, b.subset) for b in cut] == [
        (0, 0, 0), (0, 15, 0), (0, 0, 1), (0, 15, 1), (1, 100, 0), (1, 115, 0), (1, 100, 1), (1, 115, 1)]
    owner = np.array(cut)[find_owners(cut, sweeps, ids, bbox)]
    assert np.array_equal(owner[:, 0], ids == 1)
    assert np.array_equal(owner[:, 3], np.arange(300) % 2)
    assert np.all((bbox[:, 5] > owner[:, 1]) & (bbox[:, 5] <= owner[:, 2]))


def test_blocks_shrink_to_the_memory_there_is(monkeypatch):
    bbox = boxes(3000)
    load = count_pixels_by_frame(bbox, sweep())
    assert load.sum() == 3000 * 3 * 100
    monkeypatch.setattr(module, "free_memory", lambda: int(load.max() * module.PIXEL_BYTES * 5))
    cut = plan_blocks([sweep()], np.zeros(3000), bbox, BlockOptions(size=None), 1)
    held = [load[b.first:b.last].sum() * module.PIXEL_BYTES for b in cut]
    assert len(cut) > 5
    assert max(held) <= load.max() * module.PIXEL_BYTES * 5 * 0.9
    with pytest.raises(XdpError, match="GiB"):
        plan_blocks([sweep()], np.zeros(3000), bbox, BlockOptions(max_memory_usage=0.1), 1)


def test_automatic_blocks_are_for_all_workers_and_deep_enough():
    bbox = boxes(400, depth=6)
    assert len(plan_blocks([sweep()], np.zeros(400), bbox, BlockOptions(), 1)) == 1
    cut = plan_blocks([sweep()], np.zeros(400), bbox, BlockOptions(), 20)
    assert min(b.last - b.first for b in cut) >= 10  # twice as deep as the boxes, shared evenly
