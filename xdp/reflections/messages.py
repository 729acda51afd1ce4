"""The little of MessagePack that a .refl file needs: heads written and read one by one, columns left where they are.

A general MessagePack reader holds a whole file in memory and again in its buffer; here a column goes straight between
the file and its array. Sizes are compared with what the file holds before anything is allocated.

References
----------
MessagePack specification, https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

import msgpack
import numpy as np

from xdp.errors import FormatError

LARGEST_BLOB = 2**32 - 1
_PIECE = 1 << 24
_LONGEST_TEXT = 1 << 16
_PACKER = msgpack.Packer()

# First byte -> (struct format of the length or number that follows).
_NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
_TEXTS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_BLOBS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
_ARRAYS = {0xDC: ">H", 0xDD: ">I"}
_MAPS = {0xDE: ">H", 0xDF: ">I"}


def pack(value: str | int) -> bytes:
    """A text or a number."""
    return _PACKER.pack(value)


def pack_array(length: int) -> bytes:
    """The head of an array."""
    return _PACKER.pack_array_header(length)


def pack_map(length: int) -> bytes:
    """The head of a map."""
    return _PACKER.pack_map_header(length)


def pack_blob(n_bytes: int) -> bytes:
    """The head of a blob of bytes, at most :data:`LARGEST_BLOB` long."""
    if n_bytes < 1 << 8:
        return struct.pack(">BB", 0xC4, n_bytes)
    if n_bytes < 1 << 16:
        return struct.pack(">BH", 0xC5, n_bytes)
    return struct.pack(">BI", 0xC6, n_bytes)


class MessageReader:
    """Reads one MessagePack item after the other from a binary stream.

    Parameters
    ----------
    stream : binary file
    name : str
        What error messages call it.
    size : int, optional
        Bytes in the stream where that is known (not in a compressed one).

    Raises
    ------
    FormatError
        From every method, if the stream ends early or holds another item than the one asked for.
    """

    def __init__(self, stream: BinaryIO, name: str, size: int | None = None):
        self.name = name
        self._stream = stream
        self._left = size

    def fail(self, problem: str) -> FormatError:
        """An error that names the file."""
        return FormatError(f"{self.name}: not a sound reflection table: {problem}")

    def exactly(self, n_bytes: int) -> bytearray:
        """The next `n_bytes` bytes; memory grows with what the stream really holds."""
        if self._left is not None and n_bytes > self._left:
            raise self.fail(f"{n_bytes} bytes announced, {self._left} left; is the file truncated?")
        out = bytearray()
        while len(out) < n_bytes:
            piece = self._stream.read(min(_PIECE, n_bytes - len(out)))
            if not piece:
                raise self.fail(f"{n_bytes} bytes announced, {len(out)} left; is the file truncated?")
            out += piece
        if self._left is not None:
            self._left -= n_bytes
        return out

    def number(self) -> int:
        """An unsigned whole number."""
        first = self.exactly(1)[0]
        if first < 0x80:
            return first
        return self._follow(first, _NUMBERS, "a whole number")

    def text(self) -> str:
        """A short text."""
        first = self.exactly(1)[0]
        length = first & 0x1F if 0xA0 <= first < 0xC0 else self._follow(first, _TEXTS, "a text")
        if length > _LONGEST_TEXT:
            raise self.fail(f"a name of {length} bytes")
        try:
            return self.exactly(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail("a name is not UTF-8 text") from None

    def array(self, length: int) -> None:
        """The head of an array, which must have `length` items."""
        first = self.exactly(1)[0]
        found = first & 0x0F if 0x90 <= first < 0xA0 else self._follow(first, _ARRAYS, "an array")
        if found != length:
            raise self.fail(f"an array of {length} items expected, got {found}")

    def map(self) -> int:
        """The number of pairs of the map that begins here."""
        first = self.exactly(1)[0]
        return first & 0x0F if 0x80 <= first < 0x90 else self._follow(first, _MAPS, "a map")

    def blob(self, check: Callable[[int], None] | None = None) -> np.ndarray:
        """A blob, as a writable uint8 array; `check` is told its length before it is read."""
        length = self._follow(self.exactly(1)[0], _BLOBS, "binary data")
        if check is not None:
            check(length)
        return np.frombuffer(self.exactly(length), np.uint8)

    def _follow(self, first: int, formats: dict[int, str], wanted: str) -> int:
        """The number after the first byte, if that byte is among `formats`."""
        if first not in formats:
            raise self.fail(f"{wanted} expected, got byte 0x{first:02x}")
        form = formats[first]
        return struct.unpack(form, self.exactly(struct.calcsize(form)))[0]
