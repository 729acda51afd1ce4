"""Oxford Diffraction images (``OD SAPPHIRE``, ``.img``), decoded by fabio; geometry comes from the user."""

from __future__ import annotations

import re
import tempfile
from typing import ClassVar

import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.base import Format, Models
from xdp.images.formats.files import read_bytes, read_head
from xdp.images.formats.limits import MAX_PIXELS

_SIZE = re.compile(r"NX=\s*(\d{1,6})\s+NY=\s*(\d{1,6})")


class Oxford(Format):
    """An Oxford Diffraction image file."""

    name: ClassVar[str] = "Oxford"

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A file that begins with the maker's name for it."""
        return head.startswith(b"OD SAPPHIRE")

    def models(self, index: int = 0) -> Models:
        """No models: the file's geometry is in a binary header of several undocumented versions."""
        return Models()

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, int32."""
        shape = self._read_shape()
        # Four bytes a pixel at most, and tables of those that overflow; the headers are some kilobytes.
        data = read_bytes(self.path, lambda _: 16 * shape[0] * shape[1] + (1 << 20))
        # The compression takes one byte or more for eight pixels: less data cannot be whole.
        if len(data) < shape[0] * shape[1] // 8:
            raise FormatError(f"{self.path}: is truncated: {shape[1]} x {shape[0]} pixels do not fit in its "
                              f"{len(data)} bytes")
        from fabio.OXDimage import OXDimage

        # fabio reads named files only; this one may be compressed.
        with tempfile.NamedTemporaryFile(suffix=".img") as copy:
            copy.write(data)
            copy.flush()
            try:
                image = np.asarray(OXDimage().read(copy.name).data)
            except Exception as error:  # fabio lets any error of its parser through
                raise FormatError(f"{self.path}: is damaged: {error}") from error
        if image.shape != shape:
            raise FormatError(f"{self.path}: expected {shape[1]} x {shape[0]} pixels, got {image.shape}")
        return [np.ascontiguousarray(image, dtype=np.int32)]

    def _read_shape(self) -> tuple[int, int]:
        """Pixels (slow, fast), from the text at the beginning of the header."""
        match = _SIZE.search(read_head(self.path, 1024).decode("latin-1"))
        if match is None or not 0 < int(match[1]) * int(match[2]) <= MAX_PIXELS:
            raise FormatError(f"{self.path}: its header does not give the size of the image")
        return int(match[2]), int(match[1])
