"""No output over an input: what a run reads is known here, and every function that writes a file asks.

A command, or a function that writes files, declares the files that it reads (:class:`Inputs`). While they are declared,
no file that is one of them may be replaced: two names are the same file if they lead to the same inode, whatever links,
mounts or spellings lie between. Whether an output may replace an older one is another question, which the options of
each command answer.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from xdp.errors import XdpError

_Key = tuple[int, int] | str


@dataclass(frozen=True)
class Input:
    """A file or folder that is read.

    Attributes
    ----------
    path : str
        A folder stands for all that is in it.
    role : str
        What it is to the run, for the message: "an input of this run", "an image of imported.expt".
    is_certain : callable, optional
        Asked, with the path, whether the file is read at all, where only its place says so.
    """

    path: str
    role: str
    is_certain: Callable[[str], bool] | None = None


class Inputs:
    """The files that a run reads.

    Parameters
    ----------
    find : callable
        Gives the inputs. It is called once, when an output is there already: where nothing is, nothing can be lost.
    """

    def __init__(self, find: Callable[[], Iterable[Input]]) -> None:
        self._find = find
        self._found: dict[_Key, Input] | None = None
        self._above: dict[_Key, Input] = {}
        self._released: set[_Key] = set()

    def release(self, path: str | os.PathLike) -> None:
        """Let a file be replaced, as one that the user changes in place."""
        key = _identify(path)
        if key is not None:
            self._released.add(key)

    def refuse(self, path: str | os.PathLike, parameter: str = "", *, is_folder: bool = False) -> None:
        """Raise where an output is one of the inputs.

        Parameters
        ----------
        path : path
            What is about to be written.
        parameter : str
            The parameter that names it, for the message.
        is_folder : bool
            A folder of this name is replaced or removed as a whole.

        Raises
        ------
        XdpError
            If it is an input, lies in a folder that is one, or is such a folder and holds one. The message names both.
        """
        key = _identify(path)
        # Nothing is there yet, or the user changes it on purpose: nothing can be lost.
        if key is None or key in self._released:
            return
        found = self._find_inputs()
        match = found.get(key) or (self._above.get(key) if is_folder else None) or self._find_folder_around(path)
        if match is None or (match.is_certain and not match.is_certain(match.path)):
            return
        shown = f"{parameter}={os.fspath(path)}" if parameter else f"the output {os.fspath(path)}"
        raise XdpError(f"{shown} would replace {match.path}, {match.role}: give the output another name")

    def _find_inputs(self) -> dict[_Key, Input]:
        """The inputs that are there, by what tells files apart; and the folders above them."""
        if self._found is None:
            self._found = {}
            folders: dict[str, Input] = {}
            for item in self._find():
                key = _identify(item.path)
                if key is not None:
                    self._found.setdefault(key, item)
                    folders.setdefault(os.path.dirname(os.path.realpath(item.path)), item)
                for key in _list_inside(item.path):
                    self._found.setdefault(key, item)
            # Whoever replaces a folder as a whole replaces what lies in it.
            for folder, item in folders.items():
                for key in _list_upwards(folder):
                    self._above.setdefault(key, item)
        return self._found

    def _find_folder_around(self, path: str | os.PathLike) -> Input | None:
        """The folder among the inputs in which an output lies."""
        found = self._find_inputs()
        above = _list_upwards(os.path.dirname(os.path.realpath(path)))
        return next((item for key in above if (item := found.get(key)) and os.path.isdir(item.path)), None)


def _identify(path: str | os.PathLike) -> _Key | None:
    """What tells a file or folder from all others; None for what is not there, and for devices."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return None
    # Some file systems give no inode numbers: there only names tell.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _list_inside(folder: str) -> Iterator[_Key]:
    """The files in a folder and below, which may have other names outside of it."""
    # Hard links: a file outside may be one of those inside.
    for place, _, names in os.walk(folder):
        for name in names:
            key = _identify(os.path.join(place, name))
            if key is not None:
                yield key


def _list_upwards(folder: str) -> Iterator[_Key]:
    """The folder and those above it."""
    while True:
        key = _identify(folder)
        if key is not None:
            yield key
        # The root is its own parent.
        if (parent := os.path.dirname(folder)) == folder:
            return
        folder = parent


# Of this context and not of the process: threads of a server run commands side by side.
_declared: ContextVar[tuple[Inputs, ...]] = ContextVar("xdp_inputs", default=())
_in_command: ContextVar[bool] = ContextVar("xdp_in_command", default=False)


def refuse_input(path: str | os.PathLike, parameter: str = "", *, is_folder: bool = False) -> None:
    """Raise where an output is an input of what runs now; parameters are those of :meth:`Inputs.refuse`.

    Raises
    ------
    XdpError
        The message names both files.
    """
    for inputs in _declared.get():
        inputs.refuse(path, parameter, is_folder=is_folder)


@contextlib.contextmanager
def protect(inputs: Inputs) -> Iterator[Inputs]:
    """Keep all outputs off some inputs while the block runs.

    Parameters
    ----------
    inputs : Inputs
        They are looked for only once an output is there already.
    """
    token = _declared.set((*_declared.get(), inputs))
    try:
        yield inputs
    finally:
        _declared.reset(token)


@contextlib.contextmanager
def command_scope() -> Iterator[None]:
    """Forget, at the end of the block, what the command that runs in it has declared by :func:`declare`."""
    # A command within another (demo, process) begins with nothing declared.
    tokens = _declared.set(()), _in_command.set(True)
    try:
        yield
    finally:
        _declared.reset(tokens[0])
        _in_command.reset(tokens[1])


def declare(inputs: Inputs) -> None:
    """Keep all outputs off some inputs until the command ends; without a :func:`command_scope` nothing is kept."""
    if _in_command.get():
        _declared.set((*_declared.get(), inputs))
