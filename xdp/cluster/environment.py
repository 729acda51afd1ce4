"""Variables and Dask settings of worker processes, on this machine and in batch jobs."""

from __future__ import annotations

import os
from typing import Any

MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(128 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""When the C library gives freed memory back to the system.

Dask says beyond 64 KiB, for the sake of large arrays that stay. A task of ours frees and takes an image for every
frame: each would be cleared by the system, page by page, 1,100 page faults a frame of 0.8 Mpixel and a quarter of the
worker's time. So an image goes back to the process's own store, of which at most 128 MiB wait; larger ones than the
32 MiB that the C library allows go back at once.
"""
THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Threads are the worker's own business."""
NO_ROUTE = "Couldn't detect a suitable IP address"
"""How Dask's warning begins on a machine that has no route to the Internet (to 8.8.8.8), as nodes of clusters have not.
It takes the address of the host's name then, which is what such a cluster needs."""
DASK: dict[str, Any] = {
    "distributed.worker.daemon": True,
    "distributed.scheduler.allowed-failures": 2,  # a task that was there at three deaths is run alone
    "distributed.worker.profile.interval": "100ms",  # of 10 ms: each takes the interpreter from the tasks
    "distributed.admin.tick.interval": "200ms",  # of 20 ms
    "distributed.admin.large-graph-warning-threshold": "1TB",  # what tasks share is large and travels once: no news
}
"""Dask's settings for schedulers and workers."""


def make_nanny_variables() -> dict[str, str]:
    """Make the variables that Dask shall set for workers of this machine before they start.

    A variable of the user's own wins: Dask sets only those that are not there.
    """
    return MEMORY | THREADS


def make_worker_environment(kernel_cache: str | None = None) -> dict[str, str]:
    """Variables of the workers of batch jobs.

    Workers share a cache of compiled kernels: `kernel_cache`, unless the driver's environment names one. The driver's
    import path is passed on, so that they run the same code.
    """
    from xdp.kernels import CACHE_VARIABLE

    variables = MEMORY | THREADS | {
        "MALLOC_ARENA_MAX": "4",  # each arena reserves 64 MB of address space, which h_vmem counts
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": f"ignore:{NO_ROUTE}:RuntimeWarning",
        **{_variable(key): str(value) for key, value in DASK.items()},
    }
    for name in ("NUMBA_CACHE_DIR", "PYTHONPATH", "HDF5_PLUGIN_PATH"):
        if os.environ.get(name):
            variables[name] = os.environ[name]
    if kernel_cache is not None:
        variables[CACHE_VARIABLE] = os.path.expanduser(kernel_cache)
    return variables


def _variable(key: str) -> str:
    """The environment variable by which Dask reads a setting."""
    return "DASK_" + key.upper().replace(".", "__").replace("-", "_")
