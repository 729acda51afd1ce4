"""What the beamline's log says about each frame: Lauecollect logs, and plain tables.

A Lauecollect log is text: comment lines begin with ``#``; the last of them before the records names the columns,
separated by tabs, some with a unit in brackets (``nom.delay[s]``); a record a frame follows. ``file`` is the image's
name without folder, ``delay`` a time as ``100ps``, or ``-`` without laser, ``nom.delay[s]`` the same in seconds or
``nan``; the variables of the scan (``angle``, ``laser_on``, ``repeat``) have columns of their own, the spindle's also
under its name. A frame that was taken again is there twice: its last record counts.
A table (.csv, .txt) has the same columns, its first line their names, separated by tabs, commas or semicolons.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass

import numpy as np

from xdp.errors import FormatError
from xdp.files import open_input
from xdp.laue.design import Design, group_by_angle

# names of columns that beamlines and users give, the most telling first
_FILE = ("file", "filename", "file name", "image")
_ANGLE = ("angle", "phi", "omega", "spindle", "huberphi", "gonphi")
_LASER = ("laser_on", "laser on", "laser")
_REPEAT = ("repeat", "repeat1", "repetition")
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15}
_WORDS = {"0": False, "1": True, "off": False, "on": True, "false": False, "true": True, "0.0": False, "1.0": True}


@dataclass(frozen=True)
class FrameLog:
    """The frames of a log: names of their images (without folder), in the order they were taken, and their design."""

    files: tuple[str, ...]
    design: Design


def read_log(path: str | os.PathLike) -> FrameLog:
    """Read a Lauecollect log or a table.

    Raises
    ------
    FormatError
        If it has no column ``file`` or ``angle``, no record, or a value that cannot be read.
    """
    name = os.fspath(path)
    try:
        with open_input(path) as stream:
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError as error:
        raise FormatError(f"{name}: cannot read the log: {error.strerror}") from error
    columns, records = _split_records(name, lines)
    file_column, angle_column = _require_column(name, columns, _FILE), _require_column(name, columns, _ANGLE)
    # a dict keeps the place of the first record and the value of the last
    latest = {fields[file_column].strip(): (number, fields) for number, fields in records}
    files = tuple(latest)
    rows = [latest[file] for file in files]
    angle = np.array([_parse_number(name, number, fields[angle_column], "angle") for number, fields in rows])
    laser, delay = _read_laser(name, columns, rows)
    repeat_column = _find_column(columns, _REPEAT)
    if repeat_column is not None:
        repeat = np.array([int(_parse_number(name, number, fields[repeat_column], "repeat"))
                           for number, fields in rows])
    else:
        repeat = count_repeats(angle, laser)
    return FrameLog(files, Design(angle, laser, delay, repeat))


def _split_records(name: str, lines: list[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns, lower case without units, and the records with their line numbers."""
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    comments = [line.lstrip("#").strip() for _, line in numbered if line.startswith("#")]
    records = [(number, line) for number, line in numbered if not line.startswith("#")]
    header = next((line for line in reversed(comments) if "\t" in line), None)
    if header is None and records:
        header = records.pop(0)[1]
    if not records or header is None:
        raise FormatError(f"{name}: no record of a frame")
    # tabs first: names and comments may hold commas
    separator = next((s for s in ("\t", ";", ",") if s in header), ",")
    columns = [re.sub(r"\[.*?\]", "", column).strip().lower() for column in header.split(separator)]
    rows = [(number, line.split(separator)) for number, line in records]
    for number, fields in rows:
        if len(fields) < len(columns) - 1:  # the last one, a comment, may be missing
            raise FormatError(f"{name}, line {number}: {len(fields)} values for {len(columns)} columns")
    return columns, [(number, fields + [""] * (len(columns) - len(fields))) for number, fields in rows]


def _find_column(columns: list[str], names: tuple[str, ...]) -> int | None:
    return next((columns.index(name) for name in names if name in columns), None)


def _require_column(name: str, columns: list[str], names: tuple[str, ...]) -> int:
    """Where a column is that must be there."""
    found = _find_column(columns, names)
    if found is None:
        raise FormatError(f"{name}: no column '{names[0]}'; its columns are: {', '.join(columns) or 'none'}")
    return found


def _parse_number(name: str, line: int, text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FormatError(f"{name}, line {line}: {what} is not a number: {text.strip()!r}") from None


def _read_laser(name: str, columns: list[str], rows: list[tuple[int, list[str]]]
           ) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Whether the laser was on, and the delay, as far as the columns tell.

    Lauecollect's own column ``laser`` is the pulse's energy, so a column of that name counts only if all its values are
    0, 1, on or off.
    """
    delay_column = _find_column(columns, ("nom.delay", "delay"))
    delay = None
    if delay_column is not None:
        delay = np.array([parse_delay(name, number, fields[delay_column]) for number, fields in rows])
    for candidate in _LASER:
        column = _find_column(columns, (candidate,))
        words = [fields[column].strip().lower() for _, fields in rows] if column is not None else []
        if words and all(word in _WORDS for word in words):
            laser = np.array([_WORDS[word] for word in words])
            return laser, None if delay is None else np.where(laser, delay, np.nan)
    return (None if delay is None else np.isfinite(delay)), delay


def parse_delay(name: str, line: int, text: str) -> float:
    """A delay such as ``100ps``, ``-5 us`` or ``1e-7`` in seconds; NaN for ``-``, ``off``, ``nan`` or nothing.

    Raises
    ------
    FormatError
        If it is none of these.
    """
    word = text.strip()
    if word.lower() in ("", "-", "off", "nan", "none"):
        return math.nan
    match = re.fullmatch(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zµμ]*)", word)
    if not match or match[2] not in _SECONDS:
        raise FormatError(f"{name}, line {line}: not a delay: {word!r} (as 100ps, 1us, or - without laser)")
    return _parse_number(name, line, match[1], "delay") * _SECONDS[match[2]]


def count_repeats(angle: np.ndarray, laser: np.ndarray | None) -> np.ndarray:
    """Number the frames of the same angle and laser state 1, 2, ... in their order.

    Parameters
    ----------
    angle : (n,) float
        Degrees.
    laser : (n,) bool or None

    Returns
    -------
    (n,) int64

    Examples
    --------
    >>> count_repeats(np.array([0.0, 0.0, 2.0, 2.0]), np.array([False, True, False, False])).tolist()
    [1, 1, 1, 2]
    """
    state = np.zeros(len(angle), np.int64) if laser is None else laser.astype(np.int64)
    # one number for angle and laser state together
    keys = 2 * group_by_angle(angle) + state
    repeat = np.empty(len(keys), np.int64)
    for key in np.unique(keys):
        repeat[keys == key] = np.arange(1, np.count_nonzero(keys == key) + 1)
    return repeat
