"""How frames are cut into tasks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xdp.cluster.options import MpOptions
from xdp.spotfinding.chunks import LARGEST_AUTO, cut, frames_per_task, n_threads, usable_cores


@given(st.integers(1, 500), st.integers(1, 60))
def test_chunks_cover_all_frames_once(n_frames, size):
    chunks = cut(n_frames, size)
    assert [f for first, last in chunks for f in range(first, last)] == list(range(n_frames))
    assert all(last - first <= size for first, last in chunks)


@given(st.integers(1, 5000), st.integers(1, 64), st.integers(1, 50))
def test_automatic_sizes_are_bounded_and_give_each_worker_a_task(n_frames, n_workers, least):
    size = frames_per_task(n_frames, n_workers, MpOptions(min_chunksize=least))
    assert 1 <= size <= LARGEST_AUTO * least
    assert size <= max(1, -(-n_frames // min(n_workers, n_frames)))


def test_sizes_are_those_of_dials():
    assert frames_per_task(60, 1, MpOptions()) == 20
    assert frames_per_task(600, 2, MpOptions()) == 20
    assert frames_per_task(100, 4, MpOptions()) == 25
    assert frames_per_task(10, 4, MpOptions()) == 3
    assert frames_per_task(60, 2, MpOptions(chunksize=50)) == 30


def test_threads_are_those_asked_for_or_all():
    assert n_threads(MpOptions(nproc=3)) == 3
    assert n_threads(MpOptions(nproc=None)) == usable_cores() >= 1
