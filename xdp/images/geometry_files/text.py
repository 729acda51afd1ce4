"""The text of geometry files, whoever wrote them."""

from __future__ import annotations

import os

from xdp.errors import FormatError
from xdp.files import open_input

_MOST_BYTES = 1 << 26
"""The largest real file known has 1,705 lines; a detector of 832 segments of 8 chips would have some 80,000 (4 MiB)."""


def read_geometry_text(path: str | os.PathLike) -> str:
    """Read the text of a geometry file.

    Parameters
    ----------
    path : path

    Returns
    -------
    str

    Raises
    ------
    FormatError
        If it cannot be read, is too large, or is no text; the message has the number of the line then.
    """
    name = os.fspath(path)
    try:
        with open_input(name) as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(raw) > _MOST_BYTES:
        raise FormatError(f"{name}: a geometry file of at most {_MOST_BYTES >> 20} MiB was expected")
    for number, line in enumerate(raw.split(b"\n"), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{name}, line {number}: is no text ({error.reason})") from error
    return raw.decode("utf-8")
