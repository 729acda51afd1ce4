"""Plain TIFF images: grey pixels in strips or tiles, one image or several pages; geometry comes from the user.

References
----------
Adobe, "TIFF Revision 6.0" (1992).
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.base import Format, Models
from xdp.images.formats.files import read_bytes, read_head
from xdp.images.formats.limits import MAX_PIXELS

MAX_PAGES = 1 << 20

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 16: 8}
_CODES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES = 256, 257, 258, 259, 273, 277
_ROWS_PER_STRIP, _STRIP_SIZES, _PREDICTOR, _SAMPLE_FORMAT = 278, 279, 317, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 322, 323, 324, 325
_KINDS = {1: "u", 2: "i", 3: "f"}
# Codecs of imagecodecs by TIFF's number of the compression.
_CODECS = {5: "lzw_decode", 8: "zlib_decode", 32946: "zlib_decode", 32773: "packbits_decode"}


@dataclass(frozen=True)
class Page:
    """One image of a TIFF file: its tags, and where the next page's are (0: nowhere)."""

    tags: dict[int, tuple[int, ...]]
    next: int

    def one(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        values = self.tags.get(tag)
        return values[0] if values else default


class TIFF(Format):
    """A TIFF file of one image."""

    name: ClassVar[str] = "TIFF"

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A TIFF with grey pixels."""
        try:
            return read_page(head, path).one(_WIDTH) > 0
        except FormatError:
            # The tags may lie behind the pixels.
            try:
                return read_page(read_bytes(path, bytes_needed), path).one(_WIDTH) > 0
            except FormatError:
                return False

    def models(self, index: int = 0) -> Models:
        """No models: a plain TIFF states no geometry."""
        return Models()

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, of the file's own type."""
        data = read_bytes(self.path, bytes_needed)
        page = read_page(data, self.path)
        for _ in range(index):
            if not page.next:
                raise FormatError(f"{self.path}: has no page {index + 1}")
            page = read_page(data, self.path, page.next)
        return [decode_page(data, page, self.path)]


class TIFFStack(TIFF):
    """A TIFF file of several pages."""

    name: ClassVar[str] = "TIFF stack"
    is_stack: ClassVar[bool] = True

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A TIFF with more than one page."""
        try:
            return read_page(head, path).next != 0
        except FormatError:
            try:
                return read_page(read_bytes(path, bytes_needed), path).next != 0
            except FormatError:
                return False

    @functools.cached_property
    def _n_pages(self) -> int:
        data = read_bytes(self.path, bytes_needed)
        page, seen = read_page(data, self.path), {0}
        n = 1
        while page.next and n < MAX_PAGES:
            if page.next in seen:
                raise FormatError(f"{self.path}: its pages go round in a circle")
            seen.add(page.next)
            page = read_page(data, self.path, page.next)
            n += 1
        return n

    @property
    def n_images(self) -> int:
        """Number of pages."""
        return self._n_pages


def byte_order(data: bytes, path: str) -> Literal["<", ">"]:
    """``<`` or ``>``, by the first bytes of a TIFF."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        raise FormatError(f"{path}: is no TIFF: it begins with {data[:4]!r}")
    return "<" if data[:2] == b"II" else ">"


def read_page(data: bytes, path: str, at: int | None = None) -> Page:
    """The tags of the page whose directory begins at byte `at`; of the first page by default.

    Raises
    ------
    FormatError
        If the directory does not lie within `data`.
    """
    order = byte_order(data, path)
    try:
        start = struct.unpack_from(order + "I", data, 4)[0] if at is None else at
        n_tags = struct.unpack_from(order + "H", data, start)[0]
        tags = dict(_tag(data, order, start + 2 + 12 * i) for i in range(n_tags))
        following = data[start + 2 + 12 * n_tags:start + 6 + 12 * n_tags]
    except struct.error as error:
        raise FormatError(f"{path}: is truncated: its TIFF directory lies outside of the file") from error
    # Some writers leave out the last pointer.
    return Page(tags, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0)


def bytes_needed(data: bytes) -> int:
    """How many bytes a TIFF has that begins with `data`: to the end of its last known directory, list or block."""
    order = byte_order(data, "")
    at, end, seen = struct.unpack_from(order + "I", data, 4)[0], 0, set()
    while at and at not in seen and len(seen) < MAX_PAGES:
        seen.add(at)
        if at + _DIRECTORY > len(data):
            return max(end, at + _DIRECTORY)
        n_tags = struct.unpack_from(order + "H", data, at)[0]
        following = at + 2 + 12 * n_tags
        end = max(end, following + 4, *(_end_of(data, order, at + 2 + 12 * i) for i in range(n_tags)), 0)
        if following + 4 > len(data) or end > len(data):
            return end
        page = read_page(data, "", at)
        for starts, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
            blocks = zip(page.tags.get(starts, ()), page.tags.get(sizes, ()), strict=False)
            end = max(end, *(start + size for start, size in blocks), 0)
        at = page.next
    return end


#: No directory of ours is longer: 1000 tags.
_DIRECTORY = 12_006


def _end_of(data: bytes, order: str, at: int) -> int:
    """Where the values of the tag at byte `at` end, if they are places or sizes of blocks that lie elsewhere."""
    if at + 12 > len(data):
        return at + 12
    tag, kind, count, place = struct.unpack_from(order + "HHII", data, at)
    size = _SIZES.get(kind, 0) * count
    return place + size if size > 4 and tag in (_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES) else 0


def _tag(data: bytes, order: str, at: int) -> tuple[int, tuple[int, ...]]:
    tag, kind, count = struct.unpack_from(order + "HHI", data, at)
    size = _SIZES.get(kind)
    if size is None or count > len(data) or tag < 254:
        return tag, ()
    place = at + 8 if size * count <= 4 else struct.unpack_from(order + "I", data, at + 8)[0]
    # Tags that are of no use here may point anywhere.
    if place + size * count > len(data) and tag not in (_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES):
        return tag, ()
    return tag, struct.unpack_from(f"{order}{count}{_CODES[kind]}", data, place)


def decode_page(data: bytes, page: Page, path: str) -> np.ndarray:
    """The pixels of a page, (slow, fast)."""
    dtype = _dtype(page, path).newbyteorder(byte_order(data, path))
    width, height = page.one(_WIDTH), page.one(_HEIGHT)
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise FormatError(f"{path}: {width} x {height} pixels are no image")
    compression = page.one(_COMPRESSION, 1)
    if page.one(_SAMPLES, 1) != 1:
        raise FormatError(f"{path}: has {page.one(_SAMPLES)} values a pixel; expected one")
    if compression != 1 and compression not in _CODECS:
        raise FormatError(f"{path}: TIFF compression {compression} is not known")
    if page.one(_PREDICTOR, 1) not in (1, 2) or (page.one(_PREDICTOR, 1) == 2 and dtype.kind == "f"):
        raise FormatError(f"{path}: TIFF predictor {page.one(_PREDICTOR)} is not known")
    if compression == 1 and _is_whole(page, width, height, dtype):
        return _native(_take(data, page.one(_STRIPS), width * height, dtype, path).reshape(height, width))
    blocks, tile_width, tile_height = _blocks(page, width, height, path)
    # No codec here gives more than about 1000 bytes for one.
    if width * height * dtype.itemsize > 2000 * sum(min(size, len(data)) for _, size in blocks) + 4096:
        raise FormatError(f"{path}: is truncated: {width} x {height} pixels do not fit in its data")
    image = np.zeros((height, width), dtype=dtype.newbyteorder("="))
    across = -(-width // tile_width)
    for i, (start, size) in enumerate(blocks):
        y, x = (i // across) * tile_height, (i % across) * tile_width
        rows = min(tile_height, height - y) if _TILES not in page.tags else tile_height
        if y >= height:
            break
        block = _block(data, start, size, rows * tile_width, dtype, compression, path).reshape(rows, tile_width)
        if page.one(_PREDICTOR, 1) == 2:
            block = np.cumsum(block, axis=1, dtype=block.dtype)
        part = image[y:y + rows, x:x + tile_width]
        part[:] = block[:part.shape[0], :part.shape[1]]
    return image


def _dtype(page: Page, path: str) -> np.dtype:
    bits, kind = page.one(_BITS, 1), _KINDS.get(page.one(_SAMPLE_FORMAT, 1))
    if kind is None or bits not in ((32, 64) if kind == "f" else (8, 16, 32)):
        raise FormatError(f"{path}: pixels of {bits} bits and format {page.one(_SAMPLE_FORMAT, 1)} are not known")
    return np.dtype(f"{kind}{bits // 8}")


def _is_whole(page: Page, width: int, height: int, dtype: np.dtype) -> bool:
    """Whether the pixels lie in one piece, in one strip or in strips that follow each other."""
    starts, sizes = page.tags.get(_STRIPS, ()), page.tags.get(_STRIP_SIZES, ())
    if len(starts) == 1:
        return page.one(_ROWS_PER_STRIP, height) >= height
    follows = all(a + n == b for a, n, b in zip(starts, sizes, starts[1:], strict=False))
    return bool(starts) and len(sizes) == len(starts) and follows and sum(sizes) == width * height * dtype.itemsize


def _blocks(page: Page, width: int, height: int, path: str) -> tuple[list[tuple[int, int]], int, int]:
    """Place and size of each strip or tile, and the pixels it covers along fast and slow."""
    if _TILES in page.tags:
        tile = page.one(_TILE_WIDTH), page.one(_TILE_HEIGHT)
        starts, sizes = page.tags[_TILES], page.tags.get(_TILE_SIZES, ())
    else:
        tile = width, min(page.one(_ROWS_PER_STRIP, height), height)
        starts, sizes = page.tags.get(_STRIPS, ()), page.tags.get(_STRIP_SIZES, ())
    if min(tile) < 1 or max(tile) > 1 << 20:
        raise FormatError(f"{path}: TIFF blocks of {tile[0]} x {tile[1]} pixels cannot be")
    needed = -(-width // tile[0]) * -(-height // tile[1])
    if len(starts) < needed or len(sizes) < needed:
        raise FormatError(f"{path}: {needed} TIFF blocks are needed for {width} x {height}, got {len(starts)}")
    return list(zip(starts[:needed], sizes[:needed], strict=True)), *tile


def _block(data: bytes, start: int, size: int, n: int, dtype: np.dtype, compression: int, path: str) -> np.ndarray:
    """The `n` pixels of a strip or tile."""
    if compression == 1:
        return _native(_take(data, start, n, dtype, path))
    if start + size > len(data):
        raise FormatError(f"{path}: is truncated: a TIFF block ends at byte {start + size} of {len(data)}")
    import imagecodecs

    try:
        decoded = getattr(imagecodecs, _CODECS[compression])(data[start:start + size], out=n * dtype.itemsize)
    except (RuntimeError, ValueError, TypeError) as error:
        raise FormatError(f"{path}: a TIFF block is damaged: {error}") from error
    return _native(_take(bytes(decoded), 0, n, dtype, path))


def _take(data: bytes, start: int, n: int, dtype: np.dtype, path: str) -> np.ndarray:
    if start + n * dtype.itemsize > len(data):
        raise FormatError(f"{path}: is truncated: expected {n} pixels of {dtype.itemsize} bytes from byte {start}, the "
                          f"data end at byte {len(data)}")
    return np.frombuffer(data, dtype, n, start)


def _native(values: np.ndarray) -> np.ndarray:
    """In the machine's byte order; doubles as float32."""
    native = values.dtype.newbyteorder("=")
    return values.astype(np.float32 if native == np.float64 else native, copy=False)


def image_size(path: str) -> tuple[int, int]:
    """Pixels (fast, slow) of a TIFF's first page."""
    try:
        page = read_page(read_head(path), path)
    except FormatError:
        page = read_page(read_bytes(path, bytes_needed), path)
    return page.one(_WIDTH), page.one(_HEIGHT)
