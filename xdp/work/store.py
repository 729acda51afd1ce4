"""Results of tasks by name: in files of the work folder, where an interrupted run finds them again, and in memory.

A result is a set of named arrays. Its name holds the key of what it depends on (:mod:`xdp.work.keys`), so that a result
that is there is the right one.
"""

from __future__ import annotations

import contextlib
import os
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xdp.errors import XdpError
from xdp.files import disk_errors

Arrays = dict[str, np.ndarray]

MOST_IN_MEMORY = 32 << 20
"""Bytes of results that a store keeps in memory. A choice: what a short run leaves fits, and is not read from files
again; it is little beside the images that each thread holds."""
_TRIES = 3
"""Times that a result is made again: two tasks that find the same damaged file may take each other's new one away."""


@dataclass
class ResultStore:
    """Results of tasks by name. Threads may share it; on a worker it comes without what is in memory.

    Attributes
    ----------
    folder : Path or None
        Where results lie in files; None: all stay in memory.
    keeps : bool, default True
        Whether results that are in files may be in memory, too, up to :data:`MOST_IN_MEMORY`. On the workers of a
        cluster they may not.

    Examples
    --------
    >>> store = ResultStore(None)
    >>> store.save("sums-1", {"rows": np.arange(3)})
    >>> store.has("sums-1"), store.has("sums-2")
    (True, False)
    >>> store.load("sums-1")["rows"].tolist()
    [0, 1, 2]
    """

    folder: Path | None
    keeps: bool = True
    _held: dict[str, Arrays] = field(default_factory=dict, repr=False)
    _size: int = field(default=0, repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # a worker has a current folder of its own
        return {"folder": self.folder and self.folder.absolute(), "keeps": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _held={}, _size=0, _lock=threading.Lock())

    def __deepcopy__(self, memo: dict) -> ResultStore:
        # a task that is tried again saves its result where the others do
        return self

    def path(self, name: str) -> Path:
        """Give the file of a result; only for a store with a folder."""
        assert self.folder is not None
        return self.folder / f"{name}.npz"

    def has(self, name: str) -> bool:
        """Whether a result is there; that its file is damaged shows only when it is loaded."""
        return name in self._held or (self.folder is not None and self.path(name).exists())

    def save(self, name: str, arrays: Arrays) -> None:
        """Keep a result for this run and, where there is a folder, for later ones.

        Parameters
        ----------
        name : str
            Its name, with the key of what it depends on.
        arrays : dict of str to array
            The result.
        """
        if self.folder is not None:
            save_arrays(self.path(name), arrays)
        if self.folder is None or self.keeps:
            self._hold(name, arrays, must=self.folder is None)

    def save_for_now(self, name: str, arrays: Arrays) -> None:
        """Keep a result for this run only: in memory while there is room, then in a file.

        Parameters
        ----------
        name : str
            Its name; a result of that name is replaced.
        arrays : dict of str to array
            The result.
        """
        if not self._hold(name, arrays, must=self.folder is None):
            save_arrays(self.path(name), arrays)

    def _hold(self, name: str, arrays: Arrays, must: bool) -> bool:
        """Keep a result in memory if there is room, or it must be; whether it is there."""
        size = _n_bytes(arrays)
        with self._lock:
            # an older result of the name goes first: it would be found before the file of this one
            self._size -= _n_bytes(self._held.pop(name, {}))
            is_held = must or self._size + size <= MOST_IN_MEMORY
            if is_held:
                self._held[name] = arrays
                self._size += size
        return is_held

    def load(self, name: str, wanted: tuple[str, ...] = ("",)) -> Arrays | None:
        """Load a result.

        Parameters
        ----------
        name : str
            Its name.
        wanted : tuple of str, default all
            Of a file only the arrays are read whose names begin with one of these.

        Returns
        -------
        dict of str to array, or None
            None where there is no such result, or its file is damaged.
        """
        held = self._held.get(name)
        return held if held is not None or self.folder is None else load_arrays(self.path(name), wanted)

    def load_or_make(self, name: str, make: Callable[[], object], wanted: tuple[str, ...] = ("",)) -> Arrays:
        """Load a result; one that is missing or damaged is made again.

        Parameters
        ----------
        name : str
            Its name.
        make : callable
            Makes the result and saves it under the name.
        wanted : tuple of str, default all
            As of :meth:`load`.

        Raises
        ------
        XdpError
            If the file is damaged each time that it is written.
        """
        for _ in range(_TRIES):
            arrays = self.load(name, wanted)
            if arrays is not None:
                return arrays
            if self.folder is not None:
                # tasks that find a result do not make it again, so that a damaged one must go
                self.path(name).unlink(missing_ok=True)
            make()
        arrays = self.load(name, wanted)
        if arrays is None:
            where = name if self.folder is None else self.path(name)
            raise XdpError(f"{where}: is damaged again and again as it is written; look at the disk")
        return arrays

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Mapping[str, np.ndarray]]:
        """Open a result of this run of which only some arrays are needed: of a file each is read when it is asked for.

        Parameters
        ----------
        name : str
            Its name.

        Yields
        ------
        mapping of str to array
        """
        held = self._held.get(name)
        if held is not None:
            yield held
            return
        with np.load(self.path(name), allow_pickle=False) as saved:
            yield saved

    def drop(self, prefix: str) -> None:
        """Drop results from memory whose names begin with `prefix`; their files stay until the run ends well."""
        with self._lock:
            for name in [name for name in self._held if name.startswith(prefix)]:
                self._size -= _n_bytes(self._held.pop(name))


def _n_bytes(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays.values())


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Save arrays to a file that appears whole or not at all.

    Parameters
    ----------
    path : Path
        The file (.npz). It is replaced if it is there; a task that runs twice, also at the same time, leaves one file.
    arrays : mapping of str to array
        Not of Python objects: those would have to be pickled.

    Raises
    ------
    DiskError
        If the disk is full, or takes no more for another reason.
    """
    # two workers on one node, or two threads of one worker, may write the same result at the same time
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with disk_errors(path):
            with open(part, "wb") as stream:
                np.savez(stream, allow_pickle=False, **arrays)
            os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def load_arrays(path: Path, wanted: tuple[str, ...] = ("",)) -> Arrays | None:
    """Load arrays from a file of :func:`save_arrays`.

    Parameters
    ----------
    path : Path
        The file.
    wanted : tuple of str, default all
        Only arrays are read whose names begin with one of these.

    Returns
    -------
    dict of str to array, or None
        None where there is no such file, or it is damaged.
    """
    try:
        # np.load reads the index of the archive only; each array is read, and its checksum seen to, when it is taken
        with np.load(path, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files if name.startswith(wanted)}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
