"""Lists of events as CrystFEL has them: a file a line, and behind two slashes which event of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from xdp.errors import FormatError
from xdp.files import atomic_output, open_input

# A list of 10^7 events has some 0.5 GB.
_MOST_BYTES = 1 << 31


class ListedEvent(NamedTuple):
    """A line of a list.

    Attributes
    ----------
    file : str
        As written.
    event : str
        What stands behind the file: ``//12``, ``a/b//3``; empty for all events of the file.
    """

    file: str
    event: str

    @property
    def number(self) -> int | None:
        """Number of the event where it is one number, from 0; None otherwise."""
        digits = self.event.removeprefix("//")
        return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 12 else None


def split_event(line: str) -> ListedEvent:
    """Split a line of a list.

    Parameters
    ----------
    line : str
        Without its end.

    Returns
    -------
    ListedEvent

    Examples
    --------
    >>> split_event("run 12.h5 tag1//3")
    ListedEvent(file='run 12.h5', event='tag1//3')
    >>> split_event("shot.cbf")
    ListedEvent(file='shot.cbf', event='')
    """
    # Blanks may stand in the name of a file; an event has none, and has two slashes.
    file, blank, event = line.strip().rpartition(" ")
    if blank and "//" in event and file.strip():
        return ListedEvent(file.strip(), event)
    return ListedEvent(line.strip(), "")


def read_event_list(path: str | os.PathLike) -> list[ListedEvent]:
    """Read a list of events.

    Parameters
    ----------
    path : path
        Of text; empty lines and those that begin with ``;`` or ``#`` are passed over.

    Returns
    -------
    list of ListedEvent
        In the order of the lines.

    Raises
    ------
    FormatError
        If it is no text, or cannot be read.
    """
    name = os.fspath(path)
    try:
        with open_input(name) as stream:
            raw = stream.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise FormatError(f"{name}: a list of at most {_MOST_BYTES >> 30} GiB was expected")
        lines = raw.decode("utf-8").split("\n")
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: is no list of events: it is no text") from error
    if "\0" in lines[0]:
        raise FormatError(f"{name}: is no list of events: it is no text")
    return [split_event(line) for line in lines if line.strip() and not line.lstrip().startswith((";", "#"))]


def write_event_list(path: str | os.PathLike, events: Iterable[ListedEvent | str]) -> None:
    """Write a list of events.

    Parameters
    ----------
    path : path
        The file.
    events : iterable of ListedEvent or str
        Names of shots (``run.cxi //12``) are lines as they are.

    Raises
    ------
    ValueError
        If a name has a line end.
    XdpError
        If the file cannot be written.
    """
    lines = [event if isinstance(event, str) else f"{event.file} {event.event}".rstrip() for event in events]
    if any("\n" in line or "\r" in line for line in lines):
        raise ValueError("the name of a file in a list must not have a line end")
    with atomic_output(path) as part:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def locate_listed_file(name: str, folder: str) -> str:
    """Locate a file of a list: relative to the current folder as CrystFEL has it, else beside the list.

    Parameters
    ----------
    name : str
        As the list has it.
    folder : str
        Of the list.

    Returns
    -------
    str
        The name itself where there is neither.
    """
    beside = os.path.join(folder, name)
    return beside if not os.path.exists(name) and os.path.exists(beside) else name
