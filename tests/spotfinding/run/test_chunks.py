"""How frames are cut into tasks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import crossing_spots, options, sweep

from xdp.spotfinding.find import find_spots
from xdp.spotfinding.run.chunks import (
    BASE_MEMORY,
    LARGEST_AUTO,
    PIXEL_MEMORY,
    TASK_PIXELS,
    TASKS_A_WORKER,
    choose_frames_per_task,
    count_affordable_threads,
    estimate_memory,
    split_frames,
)
from xdp.work.options import MpOptions


@given(st.integers(1, 500), st.integers(1, 60))
def test_chunks_cover_all_frames_once(n_frames, size):
    chunks = split_frames(n_frames, size)
    assert [f for first, last in chunks for f in range(first, last)] == list(range(n_frames))
    assert all(last - first <= size for first, last in chunks)


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 50))
def test_automatic_sizes_are_bounded_and_give_each_worker_a_task(n_frames, n_workers, least):
    size = choose_frames_per_task(n_frames, n_workers, MpOptions(min_chunksize=least))
    assert 1 <= size <= LARGEST_AUTO * least
    assert size <= max(1, -(-n_frames // min(n_workers, n_frames)))


def test_sizes_are_those_of_dials():
    assert choose_frames_per_task(60, 1, MpOptions()) == 20
    assert choose_frames_per_task(600, 2, MpOptions()) == 20
    assert choose_frames_per_task(100, 4, MpOptions()) == 25
    assert choose_frames_per_task(10, 4, MpOptions()) == 3
    assert choose_frames_per_task(60, 2, MpOptions(chunksize=50)) == 30


def test_tasks_of_long_series_grow():
    frame = 981 * 831
    assert choose_frames_per_task(600, 2, MpOptions(), frame) == 20  # too short to grow
    assert choose_frames_per_task(3600, 1, MpOptions(), frame) == 49
    assert choose_frames_per_task(3600, 2, MpOptions(), frame) == 49
    assert choose_frames_per_task(3600, 2, MpOptions(), 4 * 4150 * 4371) == 20  # one frame takes that long
    assert choose_frames_per_task(100_000, 100, MpOptions(), frame) == 48  # 21 rounds of all
    assert choose_frames_per_task(100_000, 1000, MpOptions(), frame) == 20
    assert choose_frames_per_task(3600, 2, MpOptions(chunksize=10), frame) == 10


@given(st.integers(1, 200_000), st.integers(1, 256), st.integers(1, 20 * 10**6))
def test_long_tasks_are_enough_for_all_workers(n_frames, n_workers, n_pixels):
    size = choose_frames_per_task(n_frames, n_workers, MpOptions(), n_pixels)
    if min(TASK_PIXELS // n_pixels, n_frames // (TASKS_A_WORKER * n_workers)) > 20:
        assert size <= 100
        assert -(-n_frames // size) >= 0.9 * TASKS_A_WORKER * n_workers
        assert size * n_pixels <= TASK_PIXELS


def test_threads_stay_within_the_memory_of_the_container():
    frame = 16 * 10**6
    assert count_affordable_threads(8, frame, None) == 8
    assert count_affordable_threads(8, frame, 64 << 30) == 8
    assert count_affordable_threads(8, frame, 1 << 30) == 4
    assert count_affordable_threads(8, frame, BASE_MEMORY // 2) == 1


@pytest.mark.parametrize("n_threads", [1, 8, 32])
def test_memory_that_is_estimated_lets_all_threads_work(n_threads):
    needed = estimate_memory(n_threads, 16_900_000)
    assert count_affordable_threads(n_threads, 16_900_000, needed) == n_threads
    assert count_affordable_threads(n_threads, 16_900_000, needed - 1) == max(1, n_threads - 1)


def test_search_takes_fewer_threads_where_memory_is_short(tmp_path, monkeypatch, caplog):
    experiments = sweep(tmp_path, crossing_spots(23, 1))
    expected = find_spots(experiments, options("nproc=1")).reflections
    # room for two frames of 64 x 72 pixels beside the masks
    monkeypatch.setattr("xdp.spotfinding.find.memory_limit", lambda: BASE_MEMORY + 3 * PIXEL_MEMORY * 64 * 72)
    with caplog.at_level("WARNING"):
        assert find_spots(experiments, options("nproc=5")).reflections == expected
    assert "2 threads instead of 5" in caplog.text
