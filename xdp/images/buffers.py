"""Memory for frames, kept by each thread: large arrays that nobody holds any more are filled again.

Arrays of tens of MB given back to the system cost more to ask for again (each page is cleared at its first use) than
decoding into them: 46 of 112 ms of CPU a frame of 18 million pixels went there.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

_SMALLEST = 1 << 20
"""Bytes below which the allocator keeps memory by itself (it gives back blocks that are larger than some 100 kB to
32 MB, a limit that it moves)."""
_MOST = 3
"""Arrays kept by a thread. A choice: the raw bytes of a frame, its pixels, and one more type."""


class _Pool(threading.local):
    """The arrays of one thread; those at the end were used last."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []

    def is_free(self, i: int) -> bool:
        """Whether array `i` is held by this list alone: views count too, since they hold the array that they show."""
        return sys.getrefcount(self.arrays[i]) <= _UNUSED

    def take(self, size: int, dtype: np.dtype) -> np.ndarray:
        """An array that nobody holds."""
        for i in reversed(range(len(self.arrays))):
            if self.arrays[i].size == size and self.arrays[i].dtype == dtype and self.is_free(i):
                self.arrays.append(self.arrays.pop(i))
                return self.arrays[-1]
        made = np.empty(size, dtype)
        # the one that was used longest ago goes, though others may hold it still
        del self.arrays[:len(self.arrays) + 1 - _MOST]
        self.arrays.append(made)
        return made


_UNUSED = sys.maxsize  # until it is known
_pool = _Pool()


def _count_unused() -> int:
    """The references that an array has which only a pool holds: another number in other versions of Python."""
    pool = _Pool()
    pool.arrays.append(np.empty(0))
    return next(n for n in range(1, 10) if sys.getrefcount(pool.arrays[0]) <= n)


_UNUSED = _count_unused()


def take_buffer(size: int, dtype: np.dtype | type) -> np.ndarray:
    """Take memory for an array, as :func:`numpy.empty` does, from what this thread used before where that is free.

    Parameters
    ----------
    size : int
        Elements.
    dtype : dtype
        Their type.

    Returns
    -------
    (size,) array
        Of any content. It belongs to the caller and whoever holds a view of it, for as long as they hold it.

    Examples
    --------
    >>> first = take_buffer(1 << 20, np.int32)
    >>> part = first[:10]
    >>> take_buffer(1 << 20, np.int32) is first
    False
    """
    dtype = np.dtype(dtype)
    if size * dtype.itemsize < _SMALLEST:
        return np.empty(size, dtype)
    return _pool.take(size, dtype)
