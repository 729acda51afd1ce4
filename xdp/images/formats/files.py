"""Files of single images, read whole or by their beginning, and decompressed where their names say so."""

from __future__ import annotations

import bz2
import os
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from xdp.errors import FormatError

# A choice: formats whose headers may be longer (imgCIF, EDF, TIFF with its tags behind the pixels) read on themselves.
HEAD_SIZE = 65536
"""How many (decompressed) bytes :meth:`~xdp.images.formats.base.Format.understands` is given."""

# A choice: the largest image that a header may announce (limits.MAX_PIXELS), at 8 bytes a pixel.
MAX_FILE_SIZE = 1 << 32
"""Largest single-image file, in bytes after decompression: a small file made to decompress without end stops here."""

_COMPRESSIONS = (".gz", ".bz2")
_COMPRESSED_PIECE = 1 << 20
"""Bytes of a compressed file that are read at once: most images are read with a few calls."""


def strip_compression(path: str | os.PathLike) -> str:
    """The path without a final ``.gz`` or ``.bz2``.

    Examples
    --------
    >>> strip_compression("img_0001.cbf.GZ")
    'img_0001.cbf'
    """
    name = os.fspath(path)
    for suffix in _COMPRESSIONS:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read_bytes(path: str | os.PathLike) -> bytes:
    """Read the whole content of a file, decompressed where its name ends in ``.gz`` or ``.bz2``.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    bytes

    Raises
    ------
    FormatError
        If the file cannot be read, its compressed data are damaged, or it is larger than :data:`MAX_FILE_SIZE`.
    """
    return _read(os.fspath(path), None)


def read_head(path: str | os.PathLike, size: int = HEAD_SIZE) -> bytes:
    """Read the beginning of a file, decompressed as :func:`read_bytes` does.

    Parameters
    ----------
    path : path
        The file.
    size : int
        Bytes wanted, 65536 by default.

    Returns
    -------
    bytes
        At most `size`; fewer where the file is shorter, or damaged behind them.

    Raises
    ------
    FormatError
        If the file cannot be read, or its compressed data are damaged from the start.
    """
    return _read(os.fspath(path), size)


def _read(name: str, limit: int | None) -> bytes:
    """Read the first `limit` bytes of a file, or all of it."""
    try:
        with open(name, "rb", buffering=0) as stream:
            if name.lower().endswith(_COMPRESSIONS):
                return _decompress(name, stream, limit)
            return _read_plain(name, stream, limit)
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error


def _read_plain(name: str, stream: IO[bytes], limit: int | None) -> bytes:
    """Read a file that is not compressed."""
    size = os.fstat(stream.fileno()).st_size
    if limit is not None:
        return stream.read(limit)
    if size > MAX_FILE_SIZE:
        raise FormatError(f"{name}: has {size} bytes, more than the {MAX_FILE_SIZE} an image file may have")
    data = stream.read()
    # A raw read may come back short on network file systems.
    while len(data) < size and (more := stream.read()):
        data += more
    return data


def _decompress(name: str, stream: IO[bytes], limit: int | None) -> bytes:
    """Decompress the members of a stream one after the other, at most `limit` or MAX_FILE_SIZE bytes.

    Of a damaged file the head is given as far as it goes, since formats are told apart by it; reading it whole is an
    error.
    """
    ceiling = MAX_FILE_SIZE if limit is None else limit
    output = bytearray()
    whole = False
    try:
        for piece, ended in _inflate(stream, name.lower().endswith(".bz2"), ceiling):
            output += piece
            whole = ended
    except (zlib.error, OSError, EOFError, ValueError) as error:
        if limit is None or not output:
            raise FormatError(f"{name}: its compressed data are damaged: {error}") from error
    if limit is None and not whole:
        reason = f"it holds more than {ceiling} bytes" if len(output) >= ceiling else "it is truncated"
        raise FormatError(f"{name}: cannot be decompressed: {reason}")
    return bytes(output)


def _inflate(stream: IO[bytes], is_bz2: bool, ceiling: int) -> Iterator[tuple[bytes, bool]]:
    """Pieces of decompressed data, `ceiling` bytes in all, each with whether it ends a member of the stream."""
    # 31: the largest window (15), and a gzip header (16).
    make: Callable = bz2.BZ2Decompressor if is_bz2 else lambda: zlib.decompressobj(wbits=31)
    decompressor = make()
    while ceiling > 0 and (data := stream.read(_COMPRESSED_PIECE)):
        while data and ceiling > 0:
            # A .gz of several members one after the other is one file, as gzip reads it.
            if decompressor.eof:
                decompressor = make()
            part = decompressor.decompress(data, ceiling)
            ceiling -= len(part)
            yield part, decompressor.eof
            # Some writers pad the end with zeros.
            data = decompressor.unused_data.lstrip(b"\0") if decompressor.eof else b""
