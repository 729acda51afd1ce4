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


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its cgroup."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for text in _limits("cpu.max"):
        allowed, _, period = text.partition(" ")
        if allowed.isdecimal() and period.isdecimal() and int(period):
            cores = min(cores, max(1, math.ceil(int(allowed) / int(period))))
    return cores


def memory_limit() -> int | None:
    """Bytes that the container may use; None where it has no limit."""
    texts = [*_limits("memory.max"), *_limits("memory/memory.limit_in_bytes")]
    # cgroups of version 1 say "no limit" by a number near 2**63
    limits = [int(text) for text in texts if text.isdecimal() and int(text) < 2**60]
    return min(limits, default=None)


def _limits(name: str) -> Iterator[str]:
    """What a control file says for this process's cgroup and for all those around it."""
    try:
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


def n_threads(mp: WorkerOptions) -> int:
    """Threads a job: ``mp.nproc``, all usable cores where that is None or Auto."""
    if mp.nproc is None or mp.nproc is AUTO:
        return usable_cores()
    return int(mp.nproc)  # type: ignore[arg-type]


def driver_threads(mp: WorkerOptions) -> int:
    """Threads for the driver's own work: as many as tasks run at a time, as far as this machine has cores."""
    return min(usable_cores(), n_threads(mp) * (mp.njobs or 1))


def available_memory() -> int:
    """Bytes that this process may still take: what is free on the machine and left within the container's limit."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        free = 4 << 30
    limit = memory_limit()
    if limit is None:
        return free
    used = [int(t) for t in (*_limits("memory.current"), *_limits("memory/memory.usage_in_bytes")) if t.isdecimal()]
    return max(1, min(free, limit - min(used, default=0)))
