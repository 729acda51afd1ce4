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
from xdp.images.formats.files import read_bytes
from xdp.images.formats.limits import MAX_PIXELS

MAX_PAGES = 1 << 20
"""Most pages that are counted: far more than a run has images, so that a made-up chain of pages ends."""

# Bytes of a directory of 1000 tags, each of 12 bytes: no directory of ours is longer.
_DIRECTORY_SIZE = 12_006

# Bytes and struct's letter of a value, by TIFF's number of its type (1 BYTE, 3 SHORT, 4 LONG, 9 SLONG, 16 LONG8 ...).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 16: 8}
_CODES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q"}
# Numbers of the tags that are used here (TIFF 6.0, section 8 and appendix A).
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES = 256, 257, 258, 259, 273, 277
_ROWS_PER_STRIP, _STRIP_SIZES, _PREDICTOR, _SAMPLE_FORMAT = 278, 279, 317, 339
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 322, 323, 324, 325
# NumPy's letter by the tag SampleFormat.
_KINDS = {1: "u", 2: "i", 3: "f"}
# Codecs of imagecodecs by TIFF's number of the compression.
_CODECS = {5: "lzw_decode", 8: "zlib_decode", 32946: "zlib_decode", 32773: "packbits_decode"}


@dataclass(frozen=True)
class Page:
    """One image of a TIFF file.

    Attributes
    ----------
    tags : dict
        Values of each tag by its number.
    next : int
        Byte at which the next page's tags begin; 0: there is no other page.
    """

    tags: dict[int, tuple[int, ...]]
    next: int

    def get(self, tag: int, default: int = 0) -> int:
        """The first value of a tag, `default` where the page does not have it."""
        values = self.tags.get(tag)
        return values[0] if values else default


@dataclass(frozen=True)
class _PixelEncoding:
    """How the pixels of a page are stored; `is_differenced` where each is its difference from the one before it."""

    width: int
    height: int
    dtype: np.dtype
    compression: int
    is_differenced: bool


class TIFF(Format):
    """A TIFF file of one image."""

    name: ClassVar[str] = "TIFF"

    @classmethod
    def understands(cls, path: str, head: bytes) -> bool:
        """A TIFF with grey pixels."""
        try:
            return read_page(head, path).get(_WIDTH) > 0
        except FormatError:
            # The tags may lie behind the pixels.
            try:
                return read_page(read_bytes(path, count_tiff_bytes), path).get(_WIDTH) > 0
            except FormatError:
                return False

    def models(self, index: int = 0) -> Models:
        """No models: a plain TIFF states no geometry."""
        return Models()

    def raw(self, index: int = 0) -> list[np.ndarray]:
        """The image, of the file's own type."""
        data = read_bytes(self.path, count_tiff_bytes)
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
                return read_page(read_bytes(path, count_tiff_bytes), path).next != 0
            except FormatError:
                return False

    @functools.cached_property
    def _n_pages(self) -> int:
        data = read_bytes(self.path, count_tiff_bytes)
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


def find_byte_order(data: bytes, path: str) -> Literal["<", ">"]:
    """Find the byte order of a TIFF by its first bytes.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.
    path : str
        Its name, for messages.

    Returns
    -------
    "<" or ">"
        As struct and NumPy write it.

    Raises
    ------
    FormatError
        If it is no TIFF.
    """
    if data[:4] not in (b"II*\0", b"MM\0*"):
        raise FormatError(f"{path}: is no TIFF: it begins with {data[:4]!r}")
    return "<" if data[:2] == b"II" else ">"


def read_page(data: bytes, path: str, at: int | None = None) -> Page:
    """Read the tags of a page.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.
    path : str
        Its name, for messages.
    at : int, optional
        Byte at which the page's directory begins; by default that of the first page.

    Returns
    -------
    Page

    Raises
    ------
    FormatError
        If it is no TIFF, or the directory does not lie within `data`.
    """
    order = find_byte_order(data, path)
    try:
        start = struct.unpack_from(order + "I", data, 4)[0] if at is None else at
        n_tags = struct.unpack_from(order + "H", data, start)[0]
        # An entry of the directory has 12 bytes; the place of the next directory follows the last.
        tags = dict(_read_tag(data, order, start + 2 + 12 * i) for i in range(n_tags))
        following = data[start + 2 + 12 * n_tags:start + 6 + 12 * n_tags]
    except struct.error as error:
        raise FormatError(f"{path}: is truncated: its TIFF directory lies outside of the file") from error
    # Some writers leave out the last pointer.
    return Page(tags, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0)


def count_tiff_bytes(data: bytes) -> int:
    """Count the bytes that a TIFF has, as far as its beginning tells.

    Parameters
    ----------
    data : bytes
        Beginning of the file.

    Returns
    -------
    int
        To the end of its last known directory, list or block.

    Raises
    ------
    FormatError
        If it is no TIFF, or a directory is damaged.
    """
    order = find_byte_order(data, "")
    at, end = struct.unpack_from(order + "I", data, 4)[0], 0
    seen: set[int] = set()
    while at and at not in seen and len(seen) < MAX_PAGES:
        seen.add(at)
        if at + _DIRECTORY_SIZE > len(data):
            return max(end, at + _DIRECTORY_SIZE)
        n_tags = struct.unpack_from(order + "H", data, at)[0]
        following = at + 2 + 12 * n_tags
        end = max(end, following + 4, *(_find_end(data, order, at + 2 + 12 * i) for i in range(n_tags)), 0)
        if following + 4 > len(data) or end > len(data):
            return end
        page = read_page(data, "", at)
        for starts, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
            blocks = zip(page.tags.get(starts, ()), page.tags.get(sizes, ()), strict=False)
            end = max(end, *(start + size for start, size in blocks), 0)
        at = page.next
    return end


def _find_end(data: bytes, order: str, at: int) -> int:
    """Where the values of the tag at byte `at` end, if they are places or sizes of blocks that lie elsewhere."""
    if at + 12 > len(data):
        return at + 12
    tag, kind, count, place = struct.unpack_from(order + "HHII", data, at)
    size = _SIZES.get(kind, 0) * count
    return place + size if size > 4 and tag in (_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES) else 0


def _read_tag(data: bytes, order: str, at: int) -> tuple[int, tuple[int, ...]]:
    """Number and values of the tag whose entry begins at byte `at`; no values where they are of no use here."""
    tag, kind, count = struct.unpack_from(order + "HHI", data, at)
    size = _SIZES.get(kind)
    # 254 is the lowest tag of the standard.
    if size is None or count > len(data) or tag < 254:
        return tag, ()
    # Values of up to four bytes stand in the entry itself, in place of the place of longer ones.
    place = at + 8 if size * count <= 4 else struct.unpack_from(order + "I", data, at + 8)[0]
    # Tags that are of no use here may point anywhere.
    if place + size * count > len(data) and tag not in (_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES):
        return tag, ()
    return tag, struct.unpack_from(f"{order}{count}{_CODES[kind]}", data, place)


def decode_page(data: bytes, page: Page, path: str) -> np.ndarray:
    """Decode the pixels of a page.

    Parameters
    ----------
    data : bytes
        The whole file.
    page : Page
        One of its pages.
    path : str
        Its name, for messages.

    Returns
    -------
    (slow, fast) array
        In the machine's byte order; doubles as float32.

    Raises
    ------
    FormatError
        If the pixels are damaged, truncated, not grey or compressed in a way not known here.
    """
    encoding = _read_encoding(data, page, path)
    width, height, dtype = encoding.width, encoding.height, encoding.dtype
    if encoding.compression == 1 and _is_in_one_piece(page, encoding):
        return _convert_byte_order(_take(data, page.get(_STRIPS), width * height, dtype, path).reshape(height, width))
    blocks, tile_width, tile_height = _list_blocks(page, width, height, path)
    # No codec here gives more than about 1000 bytes for one.
    if width * height * dtype.itemsize > 2000 * sum(min(size, len(data)) for _, size in blocks) + 4096:
        raise FormatError(f"{path}: is truncated: {width} x {height} pixels do not fit in its data")
    image = np.zeros((height, width), dtype=dtype.newbyteorder("="))
    across = -(-width // tile_width)
    for i, (start, size) in enumerate(blocks):
        y, x = (i // across) * tile_height, (i % across) * tile_width
        # The last strip is as high as what is left of the image; tiles are padded to their full size.
        rows = min(tile_height, height - y) if _TILES not in page.tags else tile_height
        if y >= height:
            break
        block = _decode_block(data, start, size, rows * tile_width, encoding, path).reshape(rows, tile_width)
        if encoding.is_differenced:
            block = np.cumsum(block, axis=1, dtype=block.dtype)
        part = image[y:y + rows, x:x + tile_width]
        part[:] = block[:part.shape[0], :part.shape[1]]
    return image


def _read_encoding(data: bytes, page: Page, path: str) -> _PixelEncoding:
    """Read how the pixels of a page are stored, and refuse what is not known here."""
    dtype = _read_dtype(page, path).newbyteorder(find_byte_order(data, path))
    width, height = page.get(_WIDTH), page.get(_HEIGHT)
    if not (width > 0 and height > 0 and width * height <= MAX_PIXELS):
        raise FormatError(f"{path}: {width} x {height} pixels are no image")
    compression = page.get(_COMPRESSION, 1)
    if page.get(_SAMPLES, 1) != 1:
        raise FormatError(f"{path}: has {page.get(_SAMPLES)} values a pixel; expected one")
    if compression != 1 and compression not in _CODECS:
        raise FormatError(f"{path}: TIFF compression {compression} is not known")
    predictor = page.get(_PREDICTOR, 1)
    if predictor not in (1, 2) or (predictor == 2 and dtype.kind == "f"):
        raise FormatError(f"{path}: TIFF predictor {page.get(_PREDICTOR)} is not known")
    return _PixelEncoding(width, height, dtype, compression, predictor == 2)


def _read_dtype(page: Page, path: str) -> np.dtype:
    """Type of the pixels, without byte order."""
    bits, kind = page.get(_BITS, 1), _KINDS.get(page.get(_SAMPLE_FORMAT, 1))
    if kind is None or bits not in ((32, 64) if kind == "f" else (8, 16, 32)):
        raise FormatError(f"{path}: pixels of {bits} bits and format {page.get(_SAMPLE_FORMAT, 1)} are not known")
    return np.dtype(f"{kind}{bits // 8}")


def _is_in_one_piece(page: Page, encoding: _PixelEncoding) -> bool:
    """Whether the pixels lie in one piece, in one strip or in strips that follow each other."""
    starts, sizes = page.tags.get(_STRIPS, ()), page.tags.get(_STRIP_SIZES, ())
    if len(starts) == 1:
        return page.get(_ROWS_PER_STRIP, encoding.height) >= encoding.height
    follows = all(a + n == b for a, n, b in zip(starts, sizes, starts[1:], strict=False))
    n_bytes = encoding.width * encoding.height * encoding.dtype.itemsize
    return bool(starts) and len(sizes) == len(starts) and follows and sum(sizes) == n_bytes


def _list_blocks(page: Page, width: int, height: int, path: str) -> tuple[list[tuple[int, int]], int, int]:
    """Place and size of each strip or tile, and the pixels it covers along fast and slow."""
    if _TILES in page.tags:
        tile = page.get(_TILE_WIDTH), page.get(_TILE_HEIGHT)
        starts, sizes = page.tags[_TILES], page.tags.get(_TILE_SIZES, ())
    else:
        tile = width, min(page.get(_ROWS_PER_STRIP, height), height)
        starts, sizes = page.tags.get(_STRIPS, ()), page.tags.get(_STRIP_SIZES, ())
    if min(tile) < 1 or max(tile) > 1 << 20:
        raise FormatError(f"{path}: TIFF blocks of {tile[0]} x {tile[1]} pixels cannot be")
    needed = -(-width // tile[0]) * -(-height // tile[1])
    if len(starts) < needed or len(sizes) < needed:
        raise FormatError(f"{path}: {needed} TIFF blocks are needed for {width} x {height}, got {len(starts)}")
    return list(zip(starts[:needed], sizes[:needed], strict=True)), *tile


def _decode_block(data: bytes, start: int, size: int, n: int, encoding: _PixelEncoding, path: str) -> np.ndarray:
    """The `n` pixels of a strip or tile of `size` bytes from byte `start`."""
    if encoding.compression == 1:
        return _convert_byte_order(_take(data, start, n, encoding.dtype, path))
    if start + size > len(data):
        raise FormatError(f"{path}: is truncated: a TIFF block ends at byte {start + size} of {len(data)}")
    import imagecodecs

    decode = getattr(imagecodecs, _CODECS[encoding.compression])
    try:
        decoded = decode(data[start:start + size], out=n * encoding.dtype.itemsize)
    except (RuntimeError, ValueError, TypeError) as error:
        raise FormatError(f"{path}: a TIFF block is damaged: {error}") from error
    return _convert_byte_order(_take(bytes(decoded), 0, n, encoding.dtype, path))


def _take(data: bytes, start: int, n: int, dtype: np.dtype, path: str) -> np.ndarray:
    """The `n` pixels from byte `start`, without a copy."""
    if start + n * dtype.itemsize > len(data):
        raise FormatError(f"{path}: is truncated: expected {n} pixels of {dtype.itemsize} bytes from byte {start}, the "
                          f"data end at byte {len(data)}")
    return np.frombuffer(data, dtype, n, start)


def _convert_byte_order(values: np.ndarray) -> np.ndarray:
    """The pixels in the machine's byte order; doubles as float32."""
    native = values.dtype.newbyteorder("=")
    return values.astype(np.float32 if native == np.float64 else native, copy=False)
