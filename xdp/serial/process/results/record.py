"""The record of a run: a line for each step of each shot, written before the step begins.

A line is ``host,tag,time,state,step``; the state is empty while a shot is in work, and at its end ``stop`` (no hit, or
not indexed), ``done`` or ``fail``. A shot without an end took its process down. DIALS and cctbx.xfel write the same
five columns.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from xdp.errors import XdpError
from xdp.serial.events.times import format_time

ENDS = ("stop", "done", "fail")
"""States of shots that are finished."""


class ShotRecord:
    """Appends to the record of a run. Each process has a file of its own, since several write at the same time.

    Parameters
    ----------
    folder : path or None
        ``output_dir/debug``; None: nothing is recorded.
    """

    def __init__(self, folder: str | os.PathLike | None) -> None:
        self.folder = None if folder is None else Path(folder).absolute()

    def write(self, tag: str, step: str, state: str = "") -> None:
        """Record a step of a shot.

        Parameters
        ----------
        tag : str
            Of the shot.
        step : str
            What begins, or how it ended: ``index_start``, ``not_enough_spots_3``.
        state : str
            Empty while the shot is in work; one of :data:`ENDS`.
        """
        if self.folder is None:
            return
        host = socket.gethostname()
        line = f"{host},{tag},{format_time(time.time_ns())},{state or '    '},{step}\n"
        # Opened for each line: what is written is there when the process dies in the next step. One write of a short
        # line in append mode is not mixed with those of other threads.
        with open(self.folder / f"debug_{host}_{os.getpid()}.txt", "a", encoding="utf-8") as file:
            file.write(line)

    def prepare(self) -> None:
        """Make the folder.

        Raises
        ------
        XdpError
            If it cannot be made.
        """
        if self.folder is None:
            return
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise XdpError(f"{self.folder}: cannot be made for the record of the run: {error.strerror}") from error


def read_record(folder: str | os.PathLike) -> dict[str, str]:
    """Read the record of earlier runs.

    Parameters
    ----------
    folder : path
        ``output_dir/debug``; where there is none, nothing is recorded.

    Returns
    -------
    dict of str to str
        For each tag the state it ended with; empty for shots that began and did not end.
    """
    states: dict[str, str] = {}
    folder = Path(folder)
    for path in sorted(folder.glob("debug_*.txt")) if folder.is_dir() else []:
        for _, tag, _, state, _ in _iterate_lines(path):
            # an end stays the end, in whichever file it stands
            if states.get(tag, "") not in ENDS:
                states[tag] = state if state in ENDS else ""
    return states


def _iterate_lines(path: Path) -> Iterable[list[str]]:
    """The lines of a file of the record; the last one may be cut off."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = [word.strip() for word in line.rstrip("\n").split(",")]
            if len(words) > 5:
                # a name of a file may hold commas
                words = [words[0], ",".join(words[1:-3]), *words[-3:]]
            if len(words) == 5:
                yield words


def choose_unrecorded(tags: Iterable[str], states: dict[str, str], *, processed: bool = False,
                      unprocessed: bool = False, bad: bool = False) -> list[int]:
    """Choose shots by what the record says of them.

    Parameters
    ----------
    tags : iterable of str
        Of all shots.
    states : dict of str to str
        Of :func:`read_record`.
    processed : bool
        Leave out those that ended.
    unprocessed : bool
        Leave out those that the record does not name.
    bad : bool
        Leave out those that began and did not end.

    Returns
    -------
    list of int
        Numbers of the shots that are left.

    Examples
    --------
    >>> choose_unrecorded(["a", "b", "c"], {"a": "done", "b": ""}, processed=True, bad=True)
    [2]
    """
    left = []
    for number, tag in enumerate(tags):
        state = states.get(tag)
        is_left_out = (processed and state in ENDS) or (unprocessed and state is None) or (bad and state == "")
        if not is_left_out:
            left.append(number)
    return left
