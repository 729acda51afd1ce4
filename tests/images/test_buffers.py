"""Memory that threads keep for frames."""

from __future__ import annotations

import threading

import numpy as np

from xdp.images.buffers import take_buffer

SIZE = 1 << 18  # 1 MB of int32: from there on memory is kept


def test_memory_that_nobody_holds_is_used_again():
    first = take_buffer(SIZE, np.int32)
    place = first.ctypes.data
    del first
    assert take_buffer(SIZE, np.int32).ctypes.data == place


def test_a_view_keeps_its_memory():
    """Whatever is derived without a copy: parts, other shapes, other types, views of views, buffers."""
    for derive in (lambda a: a[5:7], lambda a: a.reshape(512, 512), lambda a: a.view(np.uint8)[::2], memoryview,
                   lambda a: np.frombuffer(a, np.uint16), lambda a: a.reshape(512, 512)[3:].T[4:]):
        kept = derive(take_buffer(SIZE, np.int32))
        before = bytes(np.asarray(kept).tobytes())
        for _ in range(6):
            take_buffer(SIZE, np.int32)[:] = np.random.default_rng(0).integers(1 << 30, size=SIZE)
        assert np.asarray(kept).tobytes() == before


def test_arrays_that_are_held_are_apart():
    held = [take_buffer(SIZE, np.int32) for _ in range(8)]
    for i, array in enumerate(held):
        array[:] = i
    assert [set(array.tolist()) for array in held] == [{i} for i in range(8)]


def test_size_and_type_must_be_the_same():
    place = take_buffer(SIZE, np.int32).ctypes.data
    other = take_buffer(SIZE, np.uint32)
    assert other.dtype == np.uint32
    assert other.ctypes.data != place
    assert take_buffer(SIZE + 1, np.int32).shape == (SIZE + 1,)


def test_each_thread_has_its_own():
    """An array is handed over by its holder alone: another thread's pool never gives it out."""
    place = take_buffer(SIZE, np.int32).ctypes.data
    places = []

    def take():
        places.append(take_buffer(SIZE, np.int32).ctypes.data)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert places[0] != place


def test_small_arrays_are_new():
    assert not np.shares_memory(take_buffer(10, np.int32), take_buffer(10, np.int32))
