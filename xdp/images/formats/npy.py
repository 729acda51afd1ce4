"""NumPy's .npy files as image stacks: pixels only, the geometry comes from parameters or a reference."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.files import open_input
from xdp.images.formats.base import Format, Models
from xdp.images.formats.limits import MAX_FRAME_BYTES
from xdp.images.formats.pixel_types import convert_to_native

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 1 << 16
"""Longest header that is read, in bytes: version 1 of the format allows no more, and plain numbers need some 100."""


class NPY(Format):
    """An array (slow, fast), (frame, slow, fast) or (frame, panel, slow, fast) of plain numbers."""

    name: ClassVar[str] = "NPY"
    is_stack: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(path, params)
        self._shape, self._dtype, self._start = _read_header(self.path)
        self._frame_bytes = int(np.prod(self._shape[1:])) * self._dtype.itemsize

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """The magic string; compressed ones are not read, since a frame could not be found in them."""
        return head.startswith(_MAGIC) and not path.lower().endswith((".gz", ".bz2"))

    @property
    def n_images(self) -> int:
        """Frames of the array."""
        return self._shape[0]

    def models(self, index: int = 0) -> Models:
        """No models: the file states no geometry."""
        return Models()

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The panels of a frame, read with one call."""
        if not 0 <= index < self.n_images:
            raise IndexError(f"{self.path}: frame {index} of {self.n_images}")
        # Opened for each frame: threads share no position, and the file may have thousands of frames.
        try:
            with open_input(self.path, buffering=0) as stream:
                data = os.pread(stream.fileno(), self._frame_bytes, self._start + index * self._frame_bytes)
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        if len(data) != self._frame_bytes:
            raise FormatError(f"{self.path}: is truncated: frame {index + 1} should have {self._frame_bytes} bytes, "
                              f"has {len(data)}")
        frame = np.frombuffer(data, self._dtype).reshape(-1, *self._shape[-2:])
        return [convert_to_native(panel.astype(self._dtype.newbyteorder("="), copy=False)) for panel in frame]


def _read_header(path: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Read shape (frame, ..., slow, fast), type of the numbers and where they start, checked against the size."""
    try:
        with open_input(path) as stream:
            head = stream.read(_MAX_HEADER + 12)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    # Version 1 has two bytes for the header's length, later ones four.
    wide = head[6:7] != b"\x01"
    begin = 12 if wide else 10
    length = int.from_bytes(head[8:begin], "little")
    if head[:6] != _MAGIC or length > _MAX_HEADER or len(head) < begin + length:
        raise FormatError(f"{path}: not an NPY file, or its header is damaged")
    shape, dtype = _parse_header(path, head[begin:begin + length])
    n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if n_bytes // shape[0] > MAX_FRAME_BYTES or begin + length + n_bytes > size:
        raise FormatError(f"{path}: is truncated: {shape} pixels of {dtype} need {begin + length + n_bytes} bytes, "
                          f"the file has {size}")
    return shape, dtype, begin + length


def _parse_header(path: str, text: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """Parse the header's dictionary: only a literal is read, and only plain numbers are taken."""
    try:
        header = ast.literal_eval(text.decode("latin-1").strip())
        shape, description, is_fortran = header["shape"], header["descr"], header["fortran_order"]
        dtype = np.dtype(description) if isinstance(description, str) else None
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise FormatError(f"{path}: its NPY header is damaged: {error}") from error
    is_sound = isinstance(shape, tuple) and 2 <= len(shape) <= 4 and all(type(n) is int and n > 0 for n in shape)
    if dtype is None or dtype.kind not in "iufb" or dtype.itemsize > 8 or is_fortran or not is_sound:
        raise FormatError(f"{path}: must be a C-ordered array of numbers with 2 to 4 dimensions, is {description!r} "
                          f"of shape {shape!r}{', Fortran-ordered' if is_fortran else ''}")
    # A single image is a stack of one.
    return (shape if len(shape) > 2 else (1, *shape)), dtype
