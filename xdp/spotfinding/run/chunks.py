"""How frames are cut into tasks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xdp.options import AUTO

if TYPE_CHECKING:
    from xdp.work.options import MpOptions

LARGEST_AUTO = 5
"""An automatic chunk holds at most this many times ``min_chunksize`` frames, so that memory stays bounded."""
TASK_PIXELS = 40_000_000
"""Pixels of a task of a long series: a quarter of a second of a thread, beside which a task's own cost is little; what
it finds, some MiB, waits in the driver's memory."""
TASKS_A_WORKER = 16
"""Tasks that each worker of a long series gets at least, so that they end together."""
BASE_MEMORY = 200 << 20
"""Bytes that the interpreter and its libraries take."""
PIXEL_MEMORY = 10
"""Bytes a pixel that the masks of a search take, and again each thread for its frame (measured: 8)."""


def count_affordable_threads(n_threads: int, n_pixels: int, limit: int | None) -> int:
    """As many threads of those asked for as can work on frames of `n_pixels` within `limit` bytes; at least one."""
    if limit is None:
        return n_threads
    return max(1, min(n_threads, (limit - BASE_MEMORY) // (PIXEL_MEMORY * n_pixels) - 1))


def choose_frames_per_task(n_frames: int, n_workers: int, mp: MpOptions, n_pixels: int = 1) -> int:
    """Frames in a task.

    ``mp.chunksize`` if it is a number, but few enough that each worker gets a task. Else, as DIALS does, the size
    from ``ceil(n_frames / n_workers)`` down to ``mp.min_chunksize`` that leaves the fewest frames over after whole
    rounds of all workers; of equal ones the smallest; here at most :data:`LARGEST_AUTO` times ``mp.min_chunksize``.

    Where the series is so long that every worker gets :data:`TASKS_A_WORKER` tasks all the same, tasks grow, up to
    that bound, to :data:`TASK_PIXELS` at `n_pixels` a frame: a task costs the driver, which hands it out and joins its
    spots to those of others, some 10 ms however short it is.
    """
    n_workers = max(1, min(n_workers, n_frames))
    if mp.chunksize is not None and mp.chunksize is not AUTO:
        return max(1, min(mp.chunksize, n_frames // n_workers))
    least = mp.min_chunksize or 1
    long = min(LARGEST_AUTO * least, TASK_PIXELS // n_pixels, n_frames // (TASKS_A_WORKER * n_workers))
    if long > least:
        return math.ceil(n_frames / (math.ceil(n_frames / (long * n_workers)) * n_workers))
    size = min(math.ceil(n_frames / n_workers), LARGEST_AUTO * least)
    best = min(range(min(least, size), size + 1), key=lambda s: (n_frames % (s * n_workers), s), default=size)
    return max(1, best)


def split_frames(n_frames: int, size: int) -> list[tuple[int, int]]:
    """Half-open ranges of at most `size` frames that cover ``range(n_frames)``."""
    return [(first, min(first + size, n_frames)) for first in range(0, n_frames, size)]
