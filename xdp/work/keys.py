"""Keys of results: digests of everything that a result depends on.

A result that is found under the key of a task is what the task would make, and the task need not run. A key therefore
has the program's version and all inputs in it: parameters, models, tables, and of each file its stamp.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from typing import Any

import numpy as np
from pydantic import BaseModel

import xdp

DIGEST_BYTES = 16
"""Bytes of a key: with 128 bits, two of even 10^12 results have the same key by chance with a probability of 10^-15."""


def make_key(*parts: Any) -> str:
    """Make the key of a result.

    Parameters
    ----------
    *parts : object
        All that the result depends on: text, numbers, lists, dicts, arrays (type, shape and bytes count), options,
        models with a ``to_dict``, dataclasses. The program's version is added.

    Returns
    -------
    str
        32 hexadecimal digits: the same for equal parts, on all machines, in all processes.

    Examples
    --------
    >>> make_key("chunk", 0, 20) == make_key("chunk", 0, 20)
    True
    >>> make_key("chunk", 0, 20) == make_key("chunk", 0, 21)
    False
    """
    text = json.dumps([xdp.__version__, *parts], sort_keys=True, default=_plain)
    return _digest(text.encode())


def stamp_file(path: str | os.PathLike) -> list:
    """Stamp a file: what tells it from another and from its own earlier content without reading it.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    list
        Absolute path, size in bytes and time of change in ns; None for both of a file that is not there.
    """
    try:
        status = os.stat(path)
    except OSError:
        return [os.path.abspath(path), None, None]
    return [os.path.abspath(path), status.st_size, status.st_mtime_ns]


def _digest(content: Any) -> str:
    # BLAKE2b takes half the time of SHA-256, and tables of reflections are large
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def _plain(part: Any) -> Any:
    """A part that JSON does not know, in terms that it does."""
    if isinstance(part, np.ndarray):
        return ["array", part.dtype.str, part.shape, _digest(np.ascontiguousarray(part))]
    if isinstance(part, np.generic):
        return part.item()
    if isinstance(part, BaseModel):
        return part.model_dump(mode="json")
    if hasattr(part, "to_dict"):
        return part.to_dict()
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
    # paths, types of pixels, Auto: their text says which they are
    return str(part)
