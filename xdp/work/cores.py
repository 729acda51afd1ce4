"""What this process may use of the machine: its affinity, and the limits of its container (cgroup)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from xdp.options import AUTO

if TYPE_CHECKING:
    from xdp.work.options import WorkerOptions

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows the control files of cgroups."""
_GUESSED_MEMORY = 4 << 30
"""Bytes that are taken for free where the system does not tell (no ``/proc``). A choice: a laptop has them."""


def count_cores() -> int:
    """Count the cores that this process may use.

    Returns
    -------
    int
        The least of its affinity (as a batch system sets it) and the quotas of its cgroup and those around it, rounded
        up; at least 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for text in _limits("cpu.max"):
        # "200000 100000": 200 ms of processor time each 100 ms; "max 100000": no limit
        allowed, _, period = text.partition(" ")
        if allowed.isdecimal() and period.isdecimal() and int(period):
            cores = min(cores, max(1, math.ceil(int(allowed) / int(period))))
    return cores


def memory_limit() -> int | None:
    """The memory that the container allows this process.

    Returns
    -------
    int or None
        Bytes; None where there is no limit.
    """
    texts = [*_limits("memory.max"), *_limits("memory/memory.limit_in_bytes")]
    # cgroups of version 1 say "no limit" by a number near 2**63
    limits = [int(text) for text in texts if text.isdecimal() and int(text) < 2**60]
    return min(limits, default=None)


def free_memory() -> int:
    """The memory that this process may still take.

    Returns
    -------
    int
        Bytes: what is free on the machine, or less where that would pass the limit of the container.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = _GUESSED_MEMORY
    limit = memory_limit()
    if limit is None:
        return free
    used = [int(t) for t in (*_limits("memory.current"), *_limits("memory/memory.usage_in_bytes")) if t.isdecimal()]
    # the innermost cgroup uses least: those around it count the other processes, too
    return max(1, min(free, limit - min(used, default=0)))


def _limits(name: str) -> Iterator[str]:
    """What a control file says for this process's cgroup and for all those around it."""
    try:
        # cgroups of version 2 have the one line "0::/path"
        own = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")),
                   "/")
    except OSError:
        own = "/"
    here = Path(own.strip("/"))
    for folder in (here, *here.parents):
        try:
            yield (CGROUPS / folder / name).read_text().strip()
        except OSError:
            continue


def count_threads(mp: WorkerOptions) -> int:
    """Count the threads of a job, or of this process where there are no jobs.

    Parameters
    ----------
    mp : WorkerOptions
        Its `nproc`; None or Auto stand for all usable cores (:func:`count_cores`).
    """
    if mp.nproc is None or mp.nproc is AUTO:
        return count_cores()
    return int(mp.nproc)  # type: ignore[arg-type]


def count_parallel_tasks(mp: WorkerOptions) -> int:
    """Count the tasks that run at a time.

    Parameters
    ----------
    mp : WorkerOptions
        Its `nproc` threads in each of its `njobs` jobs.
    """
    return count_threads(mp) * (mp.njobs or 1)


def count_driver_threads(mp: WorkerOptions) -> int:
    """Count the threads for the driver's own work.

    Parameters
    ----------
    mp : WorkerOptions
        As many threads as tasks run at a time, as far as this machine has cores.
    """
    return min(count_cores(), count_parallel_tasks(mp))
