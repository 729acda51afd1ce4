"""Files of single images, read whole or by their beginning, compressed ones no further than their headers say.

An image is decompressed where its name says so, as far as is needed: a small file may unpack to many gigabytes.
"""

from __future__ import annotations

import bz2
import os
import zlib
from collections.abc import Callable
from typing import IO, Any

from xdp.errors import FormatError
from xdp.files import open_input
from xdp.images.formats.limits import MAX_INFLATED_BYTES

# A choice: formats whose headers may be longer (imgCIF, EDF, TIFF with its tags behind the pixels) read on themselves.
HEAD_SIZE = 65536
"""How many (decompressed) bytes :meth:`~xdp.images.formats.base.Format.understands` is given."""

# A choice: the largest image that a header may announce (limits.MAX_PIXELS), at 8 bytes a pixel.
MAX_FILE_SIZE = 1 << 32
"""Largest single-image file, in bytes."""

#: How many bytes a file has that begins with some; more than these, where they do not tell yet.
Needed = Callable[[bytes], int]

_COMPRESSIONS = (".gz", ".bz2")
_PIECE = 1 << 20
#: So much is decompressed behind the last byte that is needed: files are as long as their headers say or a little
#: longer, and at their ends stand the sums by which damage is found.
_SURPLUS = 1 << 16


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


def read_bytes(path: str | os.PathLike, needed: Needed | None = None) -> bytes:
    """Read the content of a file, decompressed where its name ends in ``.gz`` or ``.bz2``.

    Parameters
    ----------
    path : path
        The file.
    needed : callable, optional
        Of a compressed file no more is unpacked than this asks for (and a little): it is given what there is so far,
        and gives the number of bytes that are needed, which may grow with what it sees. Without it all is unpacked.

    Returns
    -------
    bytes

    Raises
    ------
    FormatError
        If the file cannot be read or is none, its compressed data are damaged, or it is larger than
        :data:`MAX_FILE_SIZE`, unpacked :data:`MAX_INFLATED_BYTES`.
    """
    name = os.fspath(path)
    try:
        with open_input(name, buffering=0) as stream:
            if not name.lower().endswith(_COMPRESSIONS):
                return _read_plain(name, stream)
            return _unpack(name, stream, needed)
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error


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
        If the file cannot be read or is none, or its compressed data are damaged from the start.
    """
    name = os.fspath(path)
    try:
        with open_input(name, buffering=0) as stream:
            if not name.lower().endswith(_COMPRESSIONS):
                return stream.read(size)
            packed = _Packed(name, stream)
            try:
                packed.fill(size)
            except FormatError:
                if not packed.data:
                    raise
            return bytes(packed.data[:size])
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror or error}") from error


def read_whole_head(path: str, size: int) -> bytes:
    """Read the header of a file, all of it.

    Parameters
    ----------
    path : str
        The file.
    size : int
        Bytes of the header.

    Raises
    ------
    FormatError
        If the file ends within it.
    """
    head = read_head(path, size)
    if len(head) < size:
        raise FormatError(f"{path}: is truncated: expected a header of {size} bytes, got {len(head)}")
    return head


def _read_plain(name: str, stream: IO[bytes]) -> bytes:
    size = os.fstat(stream.fileno()).st_size
    if size > MAX_FILE_SIZE:
        raise FormatError(f"{name}: has {size} bytes, more than the {MAX_FILE_SIZE} an image file may have")
    data = stream.read()
    # A raw read may come back short on network file systems.
    while len(data) < size and (more := stream.read()):
        data += more
    return data


def _unpack(name: str, stream: IO[bytes], needed: Needed | None) -> bytes:
    """What is needed of a compressed file."""
    packed = _Packed(name, stream)
    packed.fill(HEAD_SIZE)
    while not packed.is_at_end:
        size = MAX_INFLATED_BYTES + 1 if needed is None else _ask(needed, bytes(packed.data))
        if size > MAX_INFLATED_BYTES and needed is not None:
            raise FormatError(f"{name}: its header promises {size} bytes, more than the {MAX_INFLATED_BYTES} that are "
                              "unpacked of a compressed image; unpack it yourself if it is sound")
        if size + _SURPLUS <= len(packed.data):
            return bytes(packed.data)
        packed.fill(size + _SURPLUS)
        if len(packed.data) > MAX_INFLATED_BYTES + _SURPLUS:
            raise FormatError(f"{name}: cannot be decompressed: it holds more than {MAX_INFLATED_BYTES} bytes")
    if not packed.is_whole:
        raise FormatError(f"{name}: cannot be decompressed: it is truncated")
    return bytes(packed.data)


def _ask(needed: Needed, data: bytes) -> int:
    """How much is needed; nothing more of a file with a damaged header, of which whoever parses it will say so."""
    try:
        return needed(data)
    except FormatError:
        return 0


class _Packed:
    """A compressed stream that is unpacked as far as somebody asks.

    Attributes
    ----------
    data : bytearray
        What is unpacked so far: the members of the stream one after the other.
    is_at_end : bool
        Whether there is no more.
    is_whole : bool
        Whether the last member ended as it must.
    """

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._name, self._stream = name, stream
        self._is_bz2 = name.lower().endswith(".bz2")
        self._decompressor = self._make()
        self._waiting = b""
        self.data = bytearray()
        self.is_at_end = self.is_whole = False

    def _make(self) -> Any:
        return bz2.BZ2Decompressor() if self._is_bz2 else zlib.decompressobj(wbits=31)  # the largest window, gzip

    def fill(self, size: int) -> None:
        """Unpack until there are `size` bytes, or no more."""
        try:
            while len(self.data) < size and not self.is_at_end:
                self._step(size - len(self.data))
        except (zlib.error, OSError, EOFError, ValueError) as error:
            raise FormatError(f"{self._name}: its compressed data are damaged: {error}") from error

    def _step(self, most: int) -> None:
        """Unpack at most so many bytes of the next piece."""
        unpack = self._decompressor
        holds_more = self._is_bz2 and not unpack.eof and not unpack.needs_input
        if not self._waiting and not holds_more:
            self._waiting = self._stream.read(_PIECE)
            if not self._waiting:
                self.is_at_end = True
                return
        if unpack.eof:  # members one after the other are one file, as gzip reads it
            unpack = self._decompressor = self._make()
        self.data += unpack.decompress(self._waiting, min(most, _PIECE))
        self.is_whole = unpack.eof
        if unpack.eof:  # some writers pad the end with zeros
            self._waiting = unpack.unused_data.lstrip(b"\0")
        else:
            self._waiting = b"" if self._is_bz2 else unpack.unconsumed_tail
