"""How frames are cut into tasks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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
    """How many threads can work on frames within a limit of memory.

    Parameters
    ----------
    n_threads : int
        As many as are asked for.
    n_pixels : int
        Pixels of a frame.
    limit : int or None
        Bytes; None: no limit.

    Returns
    -------
    int
        At most `n_threads`, at least one.

    Examples
    --------
    >>> count_affordable_threads(8, 4_000_000, 400 << 20)
    4
    """
    if limit is None:
        return n_threads
    return max(1, min(n_threads, (limit - BASE_MEMORY) // (PIXEL_MEMORY * n_pixels) - 1))


def estimate_memory(n_threads: int, n_pixels: int) -> int:
    """Estimate the memory that threads need which work on frames: so much that none of them has to be left out.

    Parameters
    ----------
    n_threads : int
        Threads, each with a frame of its own.
    n_pixels : int
        Pixels of a frame.

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> count_affordable_threads(8, 4_000_000, estimate_memory(8, 4_000_000))
    8
    """
    return BASE_MEMORY + PIXEL_MEMORY * n_pixels * (n_threads + 1)


def choose_frames_per_task(n_frames: int, n_workers: int, mp: MpOptions, n_pixels: int = 1) -> int:
    """Choose how many frames a task takes.

    ``mp.chunksize`` decides if it is a number, lowered where some workers would get no task. Otherwise sizes from
    ``mp.min_chunksize`` to ``ceil(n_frames / n_workers)`` are compared (at most :data:`LARGEST_AUTO` times
    ``mp.min_chunksize``). The one wins that leaves the fewest frames over after whole rounds of all workers; of equal
    ones, the smallest.

    A task costs the driver some 10 ms however short it is: the driver hands it out and joins its spots to those of
    others. Tasks of a long series therefore grow, up to the same bound, to :data:`TASK_PIXELS`. A series is long if
    every worker then still gets :data:`TASKS_A_WORKER` tasks.

    Parameters
    ----------
    n_frames : int
        Frames of the search.
    n_workers : int
        Threads of all workers together.
    mp : MpOptions
        Its ``chunksize`` and ``min_chunksize`` are used.
    n_pixels : int
        Pixels of a frame.

    Returns
    -------
    int
        At least 1.
    """
    n_workers = max(1, min(n_workers, n_frames))
    if isinstance(mp.chunksize, int):
        return max(1, min(mp.chunksize, n_frames // n_workers))
    least = mp.min_chunksize or 1
    long = min(LARGEST_AUTO * least, TASK_PIXELS // n_pixels, n_frames // (TASKS_A_WORKER * n_workers))
    if long > least:
        return math.ceil(n_frames / (math.ceil(n_frames / (long * n_workers)) * n_workers))
    size = min(math.ceil(n_frames / n_workers), LARGEST_AUTO * least)
    best = min(range(min(least, size), size + 1), key=lambda s: (n_frames % (s * n_workers), s), default=size)
    return max(1, best)


def split_frames(n_frames: int, size: int) -> list[tuple[int, int]]:
    """Split frames into chunks.

    Parameters
    ----------
    n_frames : int
    size : int
        Frames in a chunk; the last one may hold fewer.

    Returns
    -------
    list of (int, int)
        Half-open ranges that cover ``range(n_frames)``.

    Examples
    --------
    >>> split_frames(5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    return [(first, min(first + size, n_frames)) for first in range(0, n_frames, size)]
