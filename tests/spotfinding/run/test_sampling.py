"""What a few frames tell of a long run."""

from __future__ import annotations

import numpy as np
import pytest
from sweeps import crossing_spots, options, sweep

from xdp.errors import XdpError
from xdp.spotfinding.run import sampling
from xdp.spotfinding.run.sampling import measure_costs

pytestmark = pytest.mark.kernels


def test_costs_are_those_of_the_series(tmp_path):
    counts = crossing_spots(23, 1)
    costs, n_frames = measure_costs(sweep(tmp_path, counts), options(), 12)
    assert n_frames == 23
    assert costs.n_pixels == counts[0].size
    assert costs.frame > 0
    assert min(costs.driver, costs.task) >= 0
    assert costs.frame_bytes > 0
    assert costs.memory(2) - costs.memory(1) == sampling.PIXEL_MEMORY * costs.n_pixels


def test_the_drivers_part_is_split_into_tasks_and_frames(tmp_path, monkeypatch):
    """With 3 ms a task and 0.5 ms a frame, and nothing else, that is what comes out."""
    def taken_in(finder, rules, chunks, results):
        assert [len(result.n_strong) for result in results] == [last - first for first, last in chunks]
        return 3e-3 * len(chunks) + 0.5e-3 * sum(last - first for first, last in chunks)

    monkeypatch.setattr(sampling, "_time_assembly", taken_in)
    costs, _ = measure_costs(sweep(tmp_path, crossing_spots(23, 1)), options(), 12)
    np.testing.assert_allclose([costs.task, costs.driver], [3e-3, 0.5e-3])


def test_a_sample_of_single_frames(tmp_path):
    costs, _ = measure_costs(sweep(tmp_path, crossing_spots(3, 1)), options(), 2)
    assert costs.task == 0.0
    assert costs.driver > 0


def test_no_frames_are_an_error():
    with pytest.raises(XdpError, match="no frames"):
        measure_costs([], options(), 4)
