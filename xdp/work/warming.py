"""Which stages have left their compiled kernels in the cache that the workers of a cluster share.

Where a stage has not, its first task runs alone: one worker compiles, and the others find the kernels when their turn
comes, instead of all compiling the same for half a minute.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dask.config

from xdp.kernels import CACHE_VARIABLE, shared_cache

__all__ = ["CACHE_VARIABLE", "is_warm", "note_warm", "workers_cache"]
_KEY = "xdp.kernel-cache"


@contextlib.contextmanager
def workers_cache(base: str | None) -> Iterator[None]:
    """Within the block, stages know that their workers keep kernels below `base`; None: they keep their own."""
    if base is None or os.environ.get("NUMBA_CACHE_DIR"):
        yield
        return
    with dask.config.set({_KEY: base}):
        yield


def _marker(function: Callable) -> Path | None:
    """The file that says that a stage's kernels are there for machines like this one."""
    base = dask.config.get(_KEY, None)
    folder = None if base is None else shared_cache(base)
    return None if folder is None else folder / f"warm-{function.__module__}.{function.__name__}"


def is_warm(function: Callable) -> bool:
    """Whether all tasks of `function` may run at once: its kernels are compiled, or the workers share no cache."""
    marker = _marker(function)
    return marker is None or marker.exists()


def note_warm(function: Callable) -> None:
    """Note that a task of `function` has run. A cache that cannot be written to is no reason to stop."""
    marker = _marker(function)
    if marker is not None:
        with contextlib.suppress(OSError):
            marker.touch()
