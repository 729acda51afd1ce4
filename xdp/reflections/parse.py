"""The contents of a .refl file as a table, each part checked.

The file is described in :mod:`xdp.reflections.refl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.reflections.columns import COLUMN_TYPES, SHOEBOX, TEXT
from xdp.reflections.messages import MessageReader
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

#: What a file begins with.
MAGIC = "dials::af::reflection_table"
#: Versions of the format that are read; what version 2 adds is not used here.
_VERSIONS = (1, 2)


def parse_table(reader: MessageReader) -> ReflectionTable:
    """Read the table that begins at the reader's place.

    Parameters
    ----------
    reader : MessageReader

    Raises
    ------
    FormatError
        If it is no reflection table, is damaged, or holds columns that cannot be read.
    """
    try:
        reader.read_array(3)
        magic = reader.read_text()
    except FormatError:
        magic = ""
    if magic != MAGIC:
        raise FormatError(f"{reader.name}: not a reflection table in MessagePack (.refl)")
    version = reader.read_number()
    if version not in _VERSIONS:
        raise reader.make_error(f"version {version}, but this program reads {' and '.join(map(str, _VERSIONS))}")
    parts: dict[str, Any] = {}
    readers = {"identifiers": _read_identifiers, "nrows": MessageReader.read_number, "data": _read_columns}
    for _ in range(reader.read_map()):
        key = reader.read_text()
        if key not in readers:
            raise reader.make_error(f"unknown part '{key[:40]}'")
        parts[key] = readers[key](reader)
    return _assemble(reader, parts)


def _assemble(reader: MessageReader, parts: Mapping[str, Any]) -> ReflectionTable:
    """The table of a file's parts."""
    if "nrows" not in parts or "data" not in parts:
        raise reader.make_error("its columns or its number of rows are missing")
    # Without a column nothing bounds the number of rows; arrays of that many indices would be made.
    if not parts["data"] and parts["nrows"] >= 2**31:
        raise reader.make_error(f"{parts['nrows']} rows, but no columns")
    for name, column in parts["data"].items():
        if len(column) != parts["nrows"]:
            raise reader.make_error(f"column '{name}' has {len(column)} rows, the table {parts['nrows']}")
    return ReflectionTable(parts["data"], parts.get("identifiers"), parts["nrows"])


def _read_identifiers(reader: MessageReader) -> dict[int, str]:
    """The map from experiment number to identifier."""
    return {_signed(reader.read_number()): reader.read_text() for _ in range(reader.read_map())}


def _signed(key: int) -> int:
    """An unsigned 64-bit key; those of negative experiment numbers as such."""
    return key - 2**64 if key >= 2**63 else key


def _read_columns(reader: MessageReader) -> dict[str, Any]:
    """All columns by name."""
    columns: dict[str, Any] = {}
    for _ in range(reader.read_map()):
        name = reader.read_text()
        reader.read_array(2)
        kind = reader.read_text()
        reader.read_array(2)
        n_rows = reader.read_number()
        # The length is compared with the type before the blob is read.
        raw = reader.read_blob(partial(_check_length, reader, name, kind, n_rows))
        columns[name] = _decode(reader, name, kind, n_rows, raw)
        _check_shape(reader, name, columns[name])
    return columns


#: Numbers a row of the columns that are computed with, and whether they are whole.
_VECTORS = {"xyzobs.px.value": 3, "xyzobs.px.variance": 3, "xyzobs.mm.value": 3, "xyzobs.mm.variance": 3,
            "xyzcal.px": 3, "xyzcal.mm": 3, "s1": 3, "rlp": 3, "miller_index": 3, "bbox": 6}
_WHOLE = ("id", "panel", "flags", "imageset_id", "partial_id", "miller_index", "bbox")
_SCALARS = ("d", "lp", "qe", "dqe", "partiality", "intensity.sum.value", "intensity.sum.variance",
            "intensity.prf.value", "intensity.prf.variance", "intensity.scale.value", "intensity.scale.variance",
            "inverse_scale_factor", "background.mean", "background.sum.value", "background.sum.variance",
            "profile.correlation", "delpsical.rad")


def _check_shape(reader: MessageReader, name: str, column: Any) -> None:
    """Raise FormatError where a column of a well-known name holds something else."""
    if name not in (*_VECTORS, *_WHOLE, *_SCALARS):
        return
    wanted = (_VECTORS[name],) if name in _VECTORS else ()
    is_array = isinstance(column, np.ndarray)
    if not is_array or column.shape[1:] != wanted or (name in _WHOLE and column.dtype.kind not in "iu"):
        kind = "whole numbers" if name in _WHOLE else "numbers"
        found = f"{column.dtype} of shape {column.shape[1:]}" if is_array else "something else"
        raise reader.make_error(f"column '{name}' must hold {wanted[0] if wanted else 'single'} {kind} a row, "
                                f"got {found}")


def _check_length(reader: MessageReader, name: str, kind: str, n_rows: int, n_bytes: int) -> None:
    """Raise FormatError for a type that is not known, or a length that does not suit it."""
    if kind == TEXT:
        raise reader.make_error(f"column '{name}' holds text, of which DIALS stores only memory addresses")
    if kind not in (SHOEBOX, *COLUMN_TYPES):
        raise reader.make_error(f"column '{name}' has unknown type '{kind[:40]}'; known: {', '.join(COLUMN_TYPES)}")
    wanted = None if kind == SHOEBOX else n_rows * COLUMN_TYPES[kind].row_bytes
    if wanted not in (None, n_bytes):
        raise reader.make_error(f"column '{name}': {n_rows} rows of {kind} need {wanted} bytes, got {n_bytes}")


def _decode(reader: MessageReader, name: str, kind: str, n_rows: int, raw: np.ndarray) -> np.ndarray | Shoeboxes:
    """A column from its blob."""
    if kind == SHOEBOX:
        try:
            return Shoeboxes.from_bytes(raw, n_rows)
        except ValueError as error:
            raise reader.make_error(f"column '{name}': {error}") from error
    column_type = COLUMN_TYPES[kind]
    if kind == "bool":
        raw = (raw != 0).view(np.uint8)  # A byte beyond 0 and 1 is no Python truth value.
    return raw.view(column_type.dtype).reshape(column_type.shape(n_rows))
