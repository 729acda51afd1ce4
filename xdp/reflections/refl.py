"""Reflection tables as DIALS' .refl files: MessagePack, plain or gzip-compressed, written whole or in pieces.

The file is ``["dials::af::reflection_table", version, {"identifiers": {id: text}, "nrows": n, "data": {name: [type,
[n, blob]]}}]``; a blob holds a column's elements one after the other, little endian, and shoeboxes as `_kernels`
describes them. Names are in byte order. Version 1 (which DIALS 3.12 and newer ones read) is written, versions 1
and 2 are read.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xdp.errors import FormatError, XdpError
from xdp.files import atomic_output, open_input
from xdp.reflections import messages
from xdp.reflections.columns import COLUMN_TYPES, SHOEBOX, TEXT, as_column, type_name
from xdp.reflections.foreign import HEAD_BYTES, describe_foreign
from xdp.reflections.messages import MessageReader
from xdp.reflections.normalise import normalise_table
from xdp.reflections.parse import MAGIC, parse_table
from xdp.reflections.shoeboxes import Shoeboxes, packed_size
from xdp.reflections.table import ReflectionTable

#: Keys of identifiers are unsigned numbers of 64 bits.
_LARGEST_ID = 2**64 - 1
#: How a file begins: a list of three items, whose first is the name of the format. The name's length stands before it
#: in one of two spellings.
_BEGINNINGS = tuple(b"\x93" + length + MAGIC.encode() for length in (b"\xbb", b"\xd9\x1b"))


@dataclass(frozen=True)
class ColumnSpec:
    """What must be known of a column before its first piece is written.

    Attributes
    ----------
    name : str
    type : str
        DIALS' name of the type, a key of :data:`xdp.reflections.columns.COLUMN_TYPES` or ``"Shoebox<>"``.
    n_pixels : int
        Pixels of all shoeboxes of the whole column (0 for other types).
    """

    name: str
    type: str
    n_pixels: int = 0

    def n_bytes(self, n_rows: int) -> int:
        """Length of the column's blob.

        Parameters
        ----------
        n_rows : int
            Rows of the table.
        """
        if self.type == SHOEBOX:
            return packed_size(n_rows, self.n_pixels)
        return COLUMN_TYPES[self.type].row_bytes * n_rows


def column_specs(table: ReflectionTable) -> list[ColumnSpec]:
    """The columns of a table, for :func:`refl_writer`.

    For a table in pieces, join those of the pieces with :func:`join_specs`.

    Examples
    --------
    >>> column_specs(ReflectionTable({"id": [0, 0, 1]}))
    [ColumnSpec(name='id', type='int', n_pixels=0)]
    """
    return [ColumnSpec(name, type_name(name, column), column.n_pixels if isinstance(column, Shoeboxes) else 0)
            for name, column in table.items()]


def join_specs(pieces: Sequence[Sequence[ColumnSpec]]) -> list[ColumnSpec]:
    """The columns of a table whose pieces have the columns `pieces`: the same names and types, pixels summed.

    Raises
    ------
    ValueError
        If names or types differ between pieces.
    """
    kinds = [{spec.name: spec.type for spec in piece} for piece in pieces]
    if any(kind != kinds[0] for kind in kinds):
        raise ValueError("pieces of one table must have the same columns of the same types")
    pixels = [{spec.name: spec.n_pixels for spec in piece} for piece in pieces]
    return [ColumnSpec(name, kind, sum(piece[name] for piece in pixels)) for name, kind in (kinds or [{}])[0].items()]


class ReflWriter:
    """Writes a table column by column, each in pieces; made by :func:`refl_writer`.

    Attributes
    ----------
    names : tuple of str
        The columns in the order in which they must be written (byte order, as DIALS keeps them).
    """

    def __init__(self, stream: BinaryIO, specs: Sequence[ColumnSpec], n_rows: int, identifiers: Mapping[int, str]):
        self._specs = sorted(specs, key=lambda spec: spec.name.encode())
        self.names = tuple(spec.name for spec in self._specs)
        self._stream = stream
        self._n_rows = n_rows
        self._at = -1
        self._rows_left = 0
        self._bytes_left = 0
        self._write_head(identifiers)

    def append(self, name: str, piece: Any) -> None:
        """Write the next rows of column `name`.

        Raises
        ------
        ValueError
            If another column is due, the type is another than announced, or there are more rows or pixels than
            announced.
        """
        if self._at < 0 or name != self._specs[self._at].name:
            self._begin(name)
        column = as_column(name, piece)
        spec = self._specs[self._at]
        if type_name(name, column) != spec.type:
            raise ValueError(f"column '{name}' was announced as {spec.type}, got {type_name(name, column)}")
        n_bytes = column.packed_size() if isinstance(column, Shoeboxes) else column.nbytes  # type: ignore[union-attr]
        if len(column) > self._rows_left or n_bytes > self._bytes_left:
            raise ValueError(f"column '{name}' has more rows or pixels than announced")
        raw = column.to_bytes() if isinstance(column, Shoeboxes) else column
        self._stream.write(raw.reshape(-1).view(np.uint8).data)  # type: ignore[union-attr]
        self._rows_left -= len(column)
        self._bytes_left -= n_bytes

    def finish(self) -> None:
        """Check that all is written that was announced; columns of a table without rows need not be.

        Raises
        ------
        ValueError
            If rows of a column, or a column, are missing.
        """
        if not self._n_rows:
            for name in self.names[self._at + 1:]:
                self._begin(name)
        self._check_column()
        if self._at + 1 < len(self._specs):
            raise ValueError(f"column '{self.names[self._at + 1]}' was not written")

    def _write_head(self, identifiers: Mapping[int, str]) -> None:
        """Everything before the first column."""
        head = [messages.pack_array(3), messages.pack(MAGIC), messages.pack(1), messages.pack_map(3)]
        head += [messages.pack("identifiers"), messages.pack_map(len(identifiers))]
        # A negative id (a reflection that no lattice claims) is a huge one in DIALS' unsigned key.
        keyed = {key & _LARGEST_ID: text for key, text in identifiers.items()}
        for key in sorted(keyed):
            head += [messages.pack(key), messages.pack(keyed[key])]
        head += [messages.pack("nrows"), messages.pack(self._n_rows)]
        head += [messages.pack("data"), messages.pack_map(len(self._specs))]
        self._stream.write(b"".join(head))

    def _begin(self, name: str) -> None:
        """Write the head of column `name`, which must be the next one."""
        self._check_column()
        due = self.names[self._at + 1] if self._at + 1 < len(self.names) else "none"
        if name != due:
            raise ValueError(f"column '{name}' is out of turn: '{due}' is due")
        self._at += 1
        spec = self._specs[self._at]
        self._rows_left, self._bytes_left = self._n_rows, spec.n_bytes(self._n_rows)
        self._stream.write(b"".join([
            messages.pack(spec.name), messages.pack_array(2), messages.pack(spec.type),
            messages.pack_array(2), messages.pack(self._n_rows), messages.pack_blob(self._bytes_left)]))

    def _check_column(self) -> None:
        """Raise ValueError unless the column begun last is complete."""
        if self._rows_left or self._bytes_left:
            raise ValueError(f"column '{self.names[self._at]}' lacks {self._rows_left} rows, {self._bytes_left} bytes")


@contextlib.contextmanager
def refl_writer(path: str | os.PathLike, specs: Sequence[ColumnSpec], *, n_rows: int,
                identifiers: Mapping[int, str] | None = None) -> Iterator[ReflWriter]:
    """Write a table whose pieces do not fit into memory together; the file appears when the block ends well.

    Memory is that of one piece. The bytes are those of :func:`write_reflections` for the whole table::

        specs = join_specs([column_specs(piece) for piece in pieces])
        with refl_writer("strong.refl", specs, n_rows=n, identifiers={0: "..."}) as writer:
            for name in writer.names:
                for piece in pieces:
                    writer.append(name, piece[name])

    Parameters
    ----------
    path : path
        Compressed if it ends in ``.gz``.
    specs : sequence of ColumnSpec
        All columns, in any order.
    n_rows : int
        Rows of the whole table.
    identifiers : mapping of int to str, optional

    Raises
    ------
    XdpError
        If a column would be too long for the format, holds text, or the file cannot be written.
    ValueError
        If what is written is not what was announced.
    """
    _check_storable(path, specs, n_rows)
    with atomic_output(path) as part, _open_to_write(part, str(path).endswith(".gz")) as stream:
        writer = ReflWriter(stream, specs, n_rows, identifiers or {})
        yield writer
        writer.finish()


def write_reflections(path: str | os.PathLike, table: ReflectionTable) -> None:
    """Write a table as a .refl file, which DIALS reads; gzip-compressed if its name ends in ``.gz``.

    Parameters
    ----------
    path : path
        The file; it appears when it is complete.
    table : ReflectionTable
        What is written, with its identifiers.

    Raises
    ------
    XdpError
        If the file cannot be written, or a column is too large for MessagePack (4 GiB).

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation import make_spots
    >>> _, spots = make_spots()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xdp.write_reflections(os.path.join(folder, "strong.refl"), spots)
    ...     xdp.read_reflections(os.path.join(folder, "strong.refl")) == spots
    True
    """
    with refl_writer(path, column_specs(table), n_rows=len(table), identifiers=table.identifiers) as writer:
        for name in writer.names:
            writer.append(name, table[name])


def read_reflections(path: str | os.PathLike) -> ReflectionTable:
    """Read a .refl file, plain or gzip-compressed, as DIALS and xdp write it.

    What tables of old programs leave out is added (:mod:`xdp.reflections.normalise`).

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    ReflectionTable

    Raises
    ------
    FormatError
        If the file is damaged, truncated, no reflection table, or holds columns that cannot be read.
    XdpError
        If it cannot be opened.

    Examples
    --------
    >>> import os, tempfile, xdp
    >>> from xdp.simulation import make_spots
    >>> _, spots = make_spots(n_spots=200)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xdp.write_reflections(os.path.join(folder, "strong.refl.gz"), spots)
    ...     len(xdp.read_reflections(os.path.join(folder, "strong.refl.gz")))
    200
    """
    path = Path(path)
    try:
        with open_input(path) as plain:
            is_gzip = plain.read(2) == b"\x1f\x8b"
            # What a compressed stream will hold is not known, so that nothing can be compared with it.
            size = None if is_gzip else os.fstat(plain.fileno()).st_size
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain, mode="rb") if is_gzip else plain as stream:
                head = stream.read(HEAD_BYTES)
                stream.seek(0)
                if not head.startswith(_BEGINNINGS):
                    what = f", but {known}" if (known := describe_foreign(head)) else ""
                    raise FormatError(f"{path}: not a reflection table in MessagePack (.refl){what}")
                table = parse_table(MessageReader(stream, str(path), size))  # type: ignore[arg-type]
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(f"{path}: damaged gzip file: {error}") from error
    except OSError as error:
        raise XdpError(f"{path}: cannot be read: {error.strerror or error}") from error
    return normalise_table(table, str(path))


def _check_storable(path: str | os.PathLike, specs: Sequence[ColumnSpec], n_rows: int) -> None:
    """Raise XdpError for what the format cannot hold."""
    for spec in specs:
        if spec.type == TEXT:
            raise XdpError(f"{path}: column '{spec.name}' holds text, which a .refl file cannot store; remove it")
        n_bytes = spec.n_bytes(n_rows)
        if n_bytes > messages.LARGEST_BLOB:
            advice = ("set output.shoeboxes=False" if spec.type == SHOEBOX
                      else "split the table, for instance by experiment")
            raise XdpError(f"{path}: column '{spec.name}' would take {n_bytes / 2**30:.1f} GiB, but a .refl column "
                           f"ends at 4 GiB; {advice}")


@contextlib.contextmanager
def _open_to_write(path: Path, compressed: bool) -> Iterator[BinaryIO]:
    """A stream into `path`; compressed bytes carry no time and no name, so that equal tables give equal files."""
    # Columns come in large pieces; the buffer of 1 MiB (a choice) is for the small heads between them.
    with open(path, "wb", buffering=1 << 20) as plain:
        if not compressed:
            yield plain
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=plain, mtime=0, compresslevel=6) as packed:
            yield packed  # type: ignore[misc]
