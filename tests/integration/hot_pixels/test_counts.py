"""Counts over spans of a scan: the same however frames are shared out, and of not too many frames."""

from __future__ import annotations

import numpy as np
import pytest
from hot_pixel_data import count_frames, simulate, spoil

from xdp.integration.hot_pixels.counts import MOST_FRAMES, PixelCounts
from xdp.integration.hot_pixels.detect import find_bad_pixels
from xdp.integration.hot_pixels.options import HotPixelOptions

pytestmark = pytest.mark.kernels


def test_counts_of_blocks_are_those_of_the_scan():
    experiment, frames, model, usable = simulate(19)
    spoil(frames, [(100, 201, 3000)], [(50, 60)])
    whole = count_frames(experiment, frames)
    parts = []
    for first, last in ((0, 3), (3, 11), (11, 12), (12, 19)):
        part = PixelCounts(experiment.scan.array_range, [frames.shape[1:]])
        for z in reversed(range(first, last)):
            part.add(z, [frames[z]])
        parts.append(PixelCounts.from_arrays(part.to_arrays()))
    joined = PixelCounts.merge_all(reversed(parts))
    assert joined.sums.keys() == whole.sums.keys() == set(range(8))
    for span in whole.sums:
        np.testing.assert_array_equal(joined.sums[span][0], whole.sums[span][0])
    np.testing.assert_array_equal(joined.n_frames, whole.n_frames)
    np.testing.assert_array_equal(joined.find_usable(), whole.find_usable())
    assert whole.n_frames.sum() == 19
    found = find_bad_pixels([experiment], joined, [usable], HotPixelOptions(), models=[model])
    assert (found.hot[0].tolist(), found.dead[0].tolist()) == ([100 * 240 + 201], [50 * 240 + 60])


def test_long_scans_are_sampled():
    counts = PixelCounts((100, 100 + 3 * MOST_FRAMES), [(2, 2)])
    taken = [z for z in range(90, 110 + 3 * MOST_FRAMES) if counts.find_span(z) >= 0]
    assert taken == list(range(100, 100 + 3 * MOST_FRAMES, 3))
    assert {counts.find_span(z) for z in taken} == set(range(8))


def test_without_parts_there_are_no_counts():
    with pytest.raises(ValueError, match="at least"):
        PixelCounts.merge_all([])
