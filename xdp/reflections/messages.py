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

#: A blob's length is a number of 32 bits.
LARGEST_BLOB = 2**32 - 1
#: Bytes that are read at a time. Of a file that announces more than it holds, memory grows by no more than this.
_PIECE = 1 << 24
#: Bytes. Names of columns and identifiers are short; a choice that keeps a damaged length from being believed.
_LONGEST_TEXT = 1 << 16
_PACKER = msgpack.Packer()

# First byte -> (struct format of the length or number that follows).
_NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
_TEXTS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_BLOBS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
_ARRAYS = {0xDC: ">H", 0xDD: ">I"}
_MAPS = {0xDE: ">H", 0xDF: ">I"}


def pack(value: str | int) -> bytes:
    """A text or a number as MessagePack.

    Parameters
    ----------
    value : str or int
        A number may have up to 64 bits, unsigned.
    """
    return _PACKER.pack(value)


def pack_array(length: int) -> bytes:
    """The head of an array."""
    return _PACKER.pack_array_header(length)


def pack_map(length: int) -> bytes:
    """The head of a map."""
    return _PACKER.pack_map_header(length)


def pack_blob(n_bytes: int) -> bytes:
    """The head of a blob of bytes, at most :data:`LARGEST_BLOB` long."""
    # The shortest head that holds the length, as DIALS writes it.
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

    def make_error(self, problem: str) -> FormatError:
        """An error that names the file."""
        return FormatError(f"{self.name}: not a sound reflection table: {problem}")

    def read_exactly(self, n_bytes: int) -> bytearray:
        """The next bytes of the stream.

        Memory grows with what the stream really holds, not with what is asked for.

        Parameters
        ----------
        n_bytes : int
        """
        if self._left is not None and n_bytes > self._left:
            raise self.make_error(f"{n_bytes} bytes announced, {self._left} left; is the file truncated?")
        out = bytearray()
        while len(out) < n_bytes:
            piece = self._stream.read(min(_PIECE, n_bytes - len(out)))
            if not piece:
                raise self.make_error(f"{n_bytes} bytes announced, {len(out)} left; is the file truncated?")
            out += piece
        if self._left is not None:
            self._left -= n_bytes
        return out

    def read_number(self) -> int:
        """An unsigned whole number.

        Returns
        -------
        int
            Below 2**64.
        """
        # Below 128 a number is its own byte.
        first = self.read_exactly(1)[0]
        if first < 0x80:
            return first
        return self._follow(first, _NUMBERS, "a whole number")

    def read_text(self) -> str:
        """A text of at most 64 KiB.

        Returns
        -------
        str
        """
        first = self.read_exactly(1)[0]
        # A short text has its length in the low five bits of its first byte.
        length = first & 0x1F if 0xA0 <= first < 0xC0 else self._follow(first, _TEXTS, "a text")
        if length > _LONGEST_TEXT:
            raise self.make_error(f"a name of {length} bytes")
        try:
            return self.read_exactly(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self.make_error("a name is not UTF-8 text") from None

    def read_array(self, length: int) -> None:
        """The head of an array.

        Parameters
        ----------
        length : int
            How many items it must have.
        """
        first = self.read_exactly(1)[0]
        found = first & 0x0F if 0x90 <= first < 0xA0 else self._follow(first, _ARRAYS, "an array")
        if found != length:
            raise self.make_error(f"an array of {length} items expected, got {found}")

    def read_map(self) -> int:
        """The head of a map.

        Returns
        -------
        int
            How many pairs follow.
        """
        first = self.read_exactly(1)[0]
        return first & 0x0F if 0x80 <= first < 0x90 else self._follow(first, _MAPS, "a map")

    def read_blob(self, check: Callable[[int], None] | None = None) -> np.ndarray:
        """A blob.

        Parameters
        ----------
        check : callable, optional
            Called with the blob's length before it is read; it may raise.

        Returns
        -------
        array (n,), uint8
            Writable.
        """
        length = self._follow(self.read_exactly(1)[0], _BLOBS, "binary data")
        if check is not None:
            check(length)
        return np.frombuffer(self.read_exactly(length), np.uint8)

    def _follow(self, first: int, formats: dict[int, str], wanted: str) -> int:
        """The number after the first byte, if that byte is among `formats`."""
        if first not in formats:
            raise self.make_error(f"{wanted} expected, got byte 0x{first:02x}")
        form = formats[first]
        return struct.unpack(form, self.read_exactly(struct.calcsize(form)))[0]
