"""How frames are cut into tasks."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from xdp.options import AUTO

if TYPE_CHECKING:
    from xdp.cluster.options import MpOptions

LARGEST_AUTO = 5
"""An automatic chunk holds at most this many times ``min_chunksize`` frames, so that memory stays bounded."""


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its cgroup."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as quota:
            allowed, period = quota.read().split()
    except (OSError, ValueError):
        return cores
    return cores if allowed == "max" else max(1, min(cores, math.ceil(int(allowed) / int(period))))


def n_threads(mp: MpOptions) -> int:
    """Workers in one process: ``mp.nproc``, all usable cores where that is None or Auto."""
    return usable_cores() if mp.nproc is None or mp.nproc is AUTO else mp.nproc


def frames_per_task(n_frames: int, n_workers: int, mp: MpOptions) -> int:
    """Frames in a task.

    ``mp.chunksize`` if it is a number, but few enough that each worker gets a task. Else, as DIALS does, the size
    from ``ceil(n_frames / n_workers)`` down to ``mp.min_chunksize`` that leaves the fewest frames over after whole
    rounds of all workers; of equal ones the smallest; here at most :data:`LARGEST_AUTO` times ``mp.min_chunksize``.
    """
    n_workers = max(1, min(n_workers, n_frames))
    if mp.chunksize is not None and mp.chunksize is not AUTO:
        return max(1, min(mp.chunksize, n_frames // n_workers))
    least = mp.min_chunksize or 1
    size = min(math.ceil(n_frames / n_workers), LARGEST_AUTO * least)
    best = min(range(min(least, size), size + 1), key=lambda s: (n_frames % (s * n_workers), s), default=size)
    return max(1, best)


def cut(n_frames: int, size: int) -> list[tuple[int, int]]:
    """Half-open ranges of at most `size` frames that cover ``range(n_frames)``."""
    return [(first, min(first + size, n_frames)) for first in range(0, n_frames, size)]
