"""Which stages have left their compiled kernels in the cache that the workers of a cluster share.

Compiling the kernels of a stage takes half a minute. Where the cache does not have them yet, the first task of the
stage runs alone: one worker compiles, and the others find the kernels when their turn comes, instead of all compiling
the same.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dask.config

from xdp.kernels import CACHE_VARIABLE, shared_cache

__all__ = ["CACHE_VARIABLE", "has_kernels", "note_kernels", "use_kernel_cache"]
_KEY = "xdp.kernel-cache"


@contextlib.contextmanager
def use_kernel_cache(base: str | None) -> Iterator[None]:
    """Within the block, stages know where their workers keep compiled kernels.

    Parameters
    ----------
    base : str or None
        The folder that the workers share (environment variable ``XDP_KERNEL_CACHE`` there). None: each keeps its own.
        With ``NUMBA_CACHE_DIR`` set nothing is known, since Numba's own variable wins over ours.
    """
    if base is None or os.environ.get("NUMBA_CACHE_DIR"):
        yield
        return
    # Dask's configuration, not a global of ours: it holds for all threads of this process, and ends with the block
    with dask.config.set({_KEY: base}):
        yield


def _marker(function: Callable) -> Path | None:
    """The empty file that says that the kernels of a stage are there for machines like this one."""
    base = dask.config.get(_KEY, None)
    folder = None if base is None else shared_cache(base)
    return None if folder is None else folder / f"warm-{function.__module__}.{function.__name__}"


def has_kernels(function: Callable) -> bool:
    """Whether all tasks of a stage may start at once.

    Parameters
    ----------
    function : callable
        The stage's task.

    Returns
    -------
    bool
        True where a task has run before and left its kernels, and where the workers share no cache: then each compiles
        for itself anyway.
    """
    marker = _marker(function)
    return marker is None or marker.exists()


def note_kernels(function: Callable) -> None:
    """Note that a task of a stage has run, so that its kernels are in the shared cache.

    Parameters
    ----------
    function : callable
        The stage's task. A cache that cannot be written to is no reason to stop: nothing is noted then.
    """
    marker = _marker(function)
    if marker is not None:
        with contextlib.suppress(OSError):
            marker.touch()
