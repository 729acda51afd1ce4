"""EDF images (ESRF data format): blocks of a header in braces and raw pixels; geometry comes from the user."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.base import Format, Models
from xdp.images.formats.files import MAX_FILE_SIZE, read_bytes
from xdp.images.formats.limits import MAX_PIXELS

MAX_HEADER_SIZE = 1 << 20
"""Longest header, in bytes: EDF headers are some KB; the value is a choice."""

# NumPy's types by the names of the ESRF data format, in lower case; long has 32 bits there.
_TYPES = {
    "signedbyte": "i1", "unsignedbyte": "u1", "signedshort": "i2", "unsignedshort": "u2", "signedinteger": "i4",
    "unsignedinteger": "u4", "signedlong": "i4", "unsignedlong": "u4", "signed64": "i8", "unsigned64": "u8",
    "floatvalue": "f4", "float": "f4", "real": "f4", "doublevalue": "f8", "double": "f8",
}

# Fields that say how many images follow a header: the standard's third dimension, and that of GE's converters.
_COUNTS = ("dim_3", "num_images")


@dataclass(frozen=True)
class EDFBlock:
    """One image of an EDF file.

    Attributes
    ----------
    shape : (int, int)
        Pixels (slow, fast).
    dtype : dtype
        Of the pixels, with their byte order.
    start, end : int
        First byte of the pixels, and the one behind the last.
    n_images : int
        Images that follow each other behind the one header.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    start: int
    end: int
    n_images: int = 1

    @property
    def image_size(self) -> int:
        """Bytes of one image."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize


class EDF(Format):
    """An EDF file of one image."""

    name: ClassVar[str] = "EDF"

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A header in braces with the sizes of an EDF image."""
        text = head[:MAX_HEADER_SIZE].lstrip()
        return text.startswith(b"{") and re.search(rb"Dim_1\s*=", text) is not None

    def models(self, index: int = 0) -> Models:
        """No models: a plain EDF states no geometry."""
        return Models()

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, of the file's own type; doubles as float32."""
        data = read_bytes(self.path, count_edf_bytes if index else _count_first_bytes)
        # Blocks have no table of contents: each begins where the one before ends.
        block, place = read_block(data, 0, self.path), index
        while place >= block.n_images:
            place -= block.n_images
            block = read_block(data, block.end, self.path)
        start = block.start + place * block.image_size
        values = np.frombuffer(data, block.dtype, block.shape[0] * block.shape[1], start).reshape(block.shape)
        native = block.dtype.newbyteorder("=")
        return [values.astype(np.float32 if native == np.float64 else native, copy=not block.dtype.isnative)]


class EDFStack(EDF):
    """An EDF file of several images."""

    name: ClassVar[str] = "EDF stack"
    is_stack: ClassVar[bool] = True

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """An EDF with several images behind its first header, or a second header behind them."""
        if not super().understands(path, head):
            return False
        try:
            data = read_bytes(path, _count_first_bytes)
            block = read_block(data, 0, path)
            return block.n_images > 1 or data[block.end:].lstrip()[:1] == b"{"
        except FormatError:
            return False

    @functools.cached_property
    def _n_images(self) -> int:
        """Blocks of the file, counted once."""
        data = read_bytes(self.path, count_edf_bytes)
        n = at = 0
        while data[at:at + 4].lstrip()[:1] == b"{":
            block = read_block(data, at, self.path)
            at, n = block.end, n + block.n_images
        return n

    @property
    def n_images(self) -> int:
        """Number of images."""
        return self._n_images


def _parse_fields(text: str) -> dict[str, str]:
    """The fields ``name = value ;`` of a header, names in lower case."""
    parts = (part.partition("=") for part in text.replace("{", ";").split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in parts if equals}


def count_edf_bytes(data: bytes) -> int:
    """Count the bytes that an EDF has, as far as its beginning tells.

    Parameters
    ----------
    data : bytes
        Beginning of the file.

    Returns
    -------
    int
        To the end of the last block whose header is known; more while a header may follow.

    Raises
    ------
    FormatError
        If a header does not say how large its block is.
    """
    at = 0
    while data[at:at + 4].lstrip()[:1] == b"{" or at == 0:
        if data.find(b"}", at, at + MAX_HEADER_SIZE) < 0:
            return at + MAX_HEADER_SIZE
        at = _describe_block(data, at, "").end
        if at + 4 > len(data):
            return at + MAX_HEADER_SIZE
    return at


def _count_first_bytes(data: bytes) -> int:
    """Count the bytes of the first block, and some of what follows it."""
    if data.find(b"}", 0, MAX_HEADER_SIZE) < 0:
        return MAX_HEADER_SIZE
    return _describe_block(data, 0, "").end + 16


def read_block(data: bytes, at: int, path: str) -> EDFBlock:
    """Read the header of the image block that begins at byte `at`.

    Parameters
    ----------
    data : bytes
        The whole file.
    at : int
        Where the block begins.
    path : str
        Name of the file, for messages.

    Returns
    -------
    EDFBlock

    Raises
    ------
    FormatError
        If there is no header, it lacks a size or type, or promises more data than there are.
    """
    block = _describe_block(data, at, path)
    if block.end > len(data):
        raise FormatError(f"{path}: is truncated: its header promises {block.shape[1]} x {block.shape[0]} pixels of "
                          f"{block.dtype.itemsize} bytes, {len(data) - block.start} bytes follow")
    return block


def _describe_block(data: bytes, at: int, path: str) -> EDFBlock:
    """The image block as its header, which begins at byte `at`, describes it."""
    # The closing brace ends its line; pixels begin on the next.
    end = data.find(b"}\n", at, at + MAX_HEADER_SIZE)
    if end < 0:
        end = data.find(b"}", at, at + MAX_HEADER_SIZE)
    if end < 0:
        raise FormatError(f"{path}: is truncated: its EDF header does not end")
    start = end + (2 if data[end:end + 2] == b"}\n" else 1)
    fields = _parse_fields(data[at:end].decode("latin-1"))
    # Dim_1 is fast, Dim_2 slow.
    sizes = [fields.get(name, "") for name in ("dim_2", "dim_1")]
    if not all(size.isdecimal() and int(size[:12]) > 0 for size in sizes) or int(sizes[0]) * int(sizes[1]) > MAX_PIXELS:
        raise FormatError(f"{path}: Dim_1 and Dim_2 must be numbers of pixels, got {sizes[::-1]}")
    if fields.get("compression", "none").lower() not in ("none", "nocompression", ""):
        raise FormatError(f"{path}: EDF compression {fields['compression']} is not known")
    code = _TYPES.get(fields.get("datatype", "").lower())
    if code is None:
        raise FormatError(f"{path}: EDF pixels of type {fields.get('datatype')!r} are not known")
    dtype = np.dtype(code).newbyteorder(">" if fields.get("byteorder", "").lower() == "highbytefirst" else "<")
    shape = int(sizes[0]), int(sizes[1])
    n_images = _read_n_images(fields, shape[0] * shape[1] * dtype.itemsize, path)
    return EDFBlock(shape, dtype, start, start + n_images * shape[0] * shape[1] * dtype.itemsize, n_images)


def _read_n_images(fields: dict[str, str], size: int, path: str) -> int:
    """Images behind a header: a third dimension, a number of images, or a size of whole images; 1 where none is there.

    A size that is no whole number of images has padding behind the pixels.
    """
    counts = {name: int(text[:12]) for name in _COUNTS if (text := fields.get(name, "")).isdecimal() and int(text[:12])}
    total = fields.get("size", "")
    if total.isdecimal() and int(total[:18]) % size == 0 and int(total[:18]) > size:
        counts["size"] = int(total[:18]) // size
    if len(set(counts.values()) - {1}) > 1:
        raise FormatError(f"{path}: its header contradicts itself on the number of images: {counts}")
    n_images = max(counts.values(), default=1)
    if n_images * size > MAX_FILE_SIZE:
        raise FormatError(f"{path}: {n_images} images of {size} bytes are too many")
    return n_images
