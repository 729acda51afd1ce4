"""The two kinds of task of a Laue run, each on its own."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from xdp.laue.background import Trimming
from xdp.laue.masks import Filter, count_words
from xdp.laue.spots import make_background_maps
from xdp.laue.stack import ImageStack
from xdp.laue.tasks import MaskWork, Threshold, TileWork, process_mask, process_tile, process_values

HOW = Trimming(18, 0.0)


@pytest.fixture
def stack(scan_file):
    return ImageStack(scan_file)


def test_tiles_are_the_same_read_by_the_task_or_given_to_it(stack):
    work = TileWork(HOW, Threshold(), stack)
    stats, bits = process_tile(work, 16, 48)
    again, same_bits = process_values(TileWork(HOW, Threshold()), stack.read_rows(16, 48))
    assert bits.shape == (stack.shape[0], 32, count_words(stack.shape[2]))
    assert np.array_equal(bits, same_bits)
    for name, values in stats.items():
        assert values.shape == (32, stack.shape[2])
        np.testing.assert_array_equal(values, again[name])


def test_a_higher_threshold_marks_fewer_pixels(stack):
    found = [process_tile(TileWork(HOW, Threshold(cutoff), stack), 0, 32)[1] for cutoff in (3.0, 6.0)]
    low, high = (sum(int(word).bit_count() for word in bits.flat) for bits in found)
    assert low > high > 0


def test_work_travels_to_workers(stack):
    work = pickle.loads(pickle.dumps(TileWork(HOW, Threshold(), stack)))
    assert np.array_equal(process_tile(work, 0, 16)[1], process_tile(TileWork(HOW, Threshold(), stack), 0, 16)[1])


@pytest.mark.parametrize("is_synced", [True, False])
def test_spots_of_frames_that_share_a_mask(stack, is_synced):
    n_rows = stack.shape[1]
    stats, bits = process_tile(TileWork(HOW, Threshold(), stack), 0, n_rows)
    frames = np.arange(6) if is_synced else np.arange(1)
    work = MaskWork(stack, is_synced, Filter(1, 1, 1, stack.shape[2]), make_background_maps(stats, 1.0), "none")
    found = process_mask(work, 3, frames, bits[frames])
    assert len(found.raw) == len(found.filtered) == len(found.spots) == len(frames)
    assert (found.synced is not None) == is_synced
    n_labels = found.labels.max()
    assert n_labels > 0
    for frame, spots in zip(frames, found.spots, strict=True):
        assert set(spots["frame"].tolist()) == {frame}
        assert set(spots["mask"].tolist()) == {3}
        assert len(spots["pixel_list_BE"]) == n_labels
