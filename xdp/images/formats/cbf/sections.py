"""CBF files: where their binary sections are, what these hold, and how they are decoded and encoded.

A CBF is a CIF with binary sections; each has a small MIME header that gives its dimensions and compression, then the
bytes 0C 1A 04 D5, then the data. What the header says is checked before anything is allocated.

References
----------
International Tables for Crystallography G (2005), chapters 2.3 and 5.6.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.limits import MAX_PIXELS

BOUNDARY = b"--CIF-BINARY-FORMAT-SECTION--"
START = b"\x0c\x1a\x04\xd5"

_MAX_MIME_SIZE = 4096
_MAX_TEXT = 1 << 24
_FIELD = re.compile(r"^\s*([A-Za-z0-9-]+)\s*:\s*(.*?)\s*$")


@dataclass(frozen=True)
class Section:
    """A binary section of a CBF file.

    Attributes
    ----------
    start : int
        Where its data begin in the file.
    size : int
        Bytes of data.
    shape : tuple of int
        (sections, slow, fast), as in the array to be decoded.
    element_type : str
        Such as ``signed 32-bit integer``.
    conversions : str
        Such as ``x-CBF_BYTE_OFFSET``, upper case, with its modifiers.
    big_endian : bool
        Byte order of uncompressed data.
    binary_id : int
    """

    start: int
    size: int
    shape: tuple[int, int, int]
    element_type: str
    conversions: str
    big_endian: bool = False
    binary_id: int = 1

    @property
    def n_pixels(self) -> int:
        """Number of elements of all dimensions."""
        return self.shape[0] * self.shape[1] * self.shape[2]


def mime_fields(text: str) -> dict[str, str]:
    """The fields of a binary section's header, names in lower case; continued lines are joined."""
    fields: Mapping[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name] += " " + line.strip()
        elif match := _FIELD.match(line):
            name = match[1].lower()
            fields[name] = match[2]
    return fields


def find_sections(data: bytes, path: str) -> Iterator[Section]:
    """The binary sections of a file, in order.

    Raises
    ------
    FormatError
        If a section's header lacks a field, contradicts itself, or announces more data than the file has.
    """
    at = 0
    while (at := data.find(BOUNDARY, at)) >= 0:
        at += len(BOUNDARY)
        if data[at:at + 2] == b"--":
            continue
        start = data.find(START, at, at + _MAX_MIME_SIZE)
        if start < 0:
            raise FormatError(f"{path}: the binary section at byte {at} does not begin as a CBF's must; is it cut off?")
        text = data[at:start].decode("ascii", "replace")
        section = read_section(mime_fields(text), start + len(START), path)
        if section.start + section.size > len(data):
            raise FormatError(f"{path}: is truncated: its header promises {section.size} bytes of image data, "
                              f"it holds {len(data) - section.start}")
        yield section
        at = section.start + section.size


def bytes_needed(data: bytes) -> int:
    """How many bytes a CBF has that begins with `data`: to the end of its last section, and of a text behind it.

    The text before, between and behind sections is taken to have 16 MiB at most, which is a choice: the tables of a
    detector of some hundred panels have less than one.
    """
    at = end = 0
    while (at := data.find(BOUNDARY, at)) >= 0:
        at += len(BOUNDARY)
        if data[at:at + 2] == b"--":
            continue
        start = data.find(START, at, at + _MAX_MIME_SIZE)
        if start < 0:
            return max(end + _MAX_TEXT, at + _MAX_MIME_SIZE)
        fields = mime_fields(data[at:start].decode("ascii", "replace"))
        at = end = start + len(START) + _size(fields, "x-binary-size", "")
    return end + _MAX_TEXT


def read_section(fields: Mapping[str, str], start: int, path: str) -> Section:
    """A section as its MIME fields describe it; `start` is where its data begin."""
    fast = _size(fields, "x-binary-size-fastest-dimension", path)
    slow = _size(fields, "x-binary-size-second-dimension", path)
    depth = _size(fields, "x-binary-size-third-dimension", path) if "x-binary-size-third-dimension" in fields else 1
    size = _size(fields, "x-binary-size", path)
    section = Section(start, size, (depth, slow, fast), fields.get("x-binary-element-type", "").strip('"').lower(),
                      _conversions(fields), "BIG" in fields.get("x-binary-element-byte-order", "").upper(),
                      int(fields.get("x-binary-id", "1")) if fields.get("x-binary-id", "1").isdecimal() else 1)
    n_elements = fields.get("x-binary-number-of-elements")
    if n_elements is not None and n_elements != str(section.n_pixels):
        raise FormatError(f"{path}: header contradicts itself: {n_elements} elements, "
                          f"but {' x '.join(str(n) for n in reversed(section.shape))} pixels")
    # No compression gives more than 128 pixels for 6 bits.
    if section.n_pixels > MAX_PIXELS or section.n_pixels > 256 * size:
        raise FormatError(f"{path}: header announces {section.n_pixels} pixels in {size} bytes, which cannot be")
    return section


def _size(fields: Mapping[str, str], name: str, path: str) -> int:
    value = fields.get(name, "")
    if not value.isdecimal() or len(value) > 12 or int(value) < 1:
        raise FormatError(f"{path}: header field {name} must be a number above 0, got {value!r}")
    return int(value)


def _conversions(fields: Mapping[str, str]) -> str:
    match = re.search(r"conversions\s*=\s*(.*)$", fields.get("content-type", ""), re.IGNORECASE)
    return match[1].upper() if match else "X-CBF_NONE"


def decode_section(data: bytes, section: Section, path: str) -> np.ndarray:
    """Decode a section to its (sections, slow, fast) array: int32, or what an uncompressed one holds.

    Raises
    ------
    FormatError
        If the data are damaged, or compressed in a way not known here.
    """
    conversions = section.conversions
    if "BYTE_OFFSET" in conversions:
        return _decode_byte_offset(data, section, path)
    if "PACKED" in conversions:
        return _decode_packed(data, section, path)
    if "X-CBF_NONE" in conversions:
        return _decode_plain(data, section, path)
    raise FormatError(f"{path}: compression {conversions} is not known; x-CBF_BYTE_OFFSET, x-CBF_PACKED, "
                      "x-CBF_PACKED_V2 and x-CBF_NONE are")


def _decode_byte_offset(data: bytes, section: Section, path: str) -> np.ndarray:
    from xdp.images.formats.cbf._kernels import decode_byte_offset

    out = np.empty(section.n_pixels, dtype=np.int32)
    n_decoded, n_used = decode_byte_offset(np.frombuffer(data, np.int8, section.size, section.start), out)
    _check_count(n_decoded, section, path)
    # A row or a column too few in the header would leave pixels over; some writers pad with zeros.
    begin, end = section.start + n_used, section.start + section.size
    if data.count(0, begin, end) != end - begin:
        raise FormatError(f"{path}: its {section.size} bytes of data hold more pixels than the "
                          f"{section.shape[2]} x {section.shape[1]} of its header")
    return out.reshape(section.shape)


def _decode_packed(data: bytes, section: Section, path: str) -> np.ndarray:
    from xdp.images.formats.cbf._kernels import PACKED_BITS, PACKED_BITS_V2, decode_packed

    out = np.empty(section.n_pixels, dtype=np.int32)
    _, slow, fast = section.shape
    table = PACKED_BITS_V2 if "PACKED_V2" in section.conversions else PACKED_BITS
    n_decoded = decode_packed(np.frombuffer(data, np.uint8, section.size, section.start), out, fast, slow, table,
                              "UNCORRELATED" not in section.conversions, "FLAT" not in section.conversions)
    _check_count(n_decoded, section, path)
    return out.reshape(section.shape)


_PLAIN_TYPES = {"8-bit integer": "1", "16-bit integer": "2", "32-bit integer": "4", "32-bit real ieee": "f4",
                "64-bit real ieee": "f8"}


def _decode_plain(data: bytes, section: Section, path: str) -> np.ndarray:
    sign, _, rest = section.element_type.partition(" ")
    code = _PLAIN_TYPES.get(rest)
    if code is None:
        raise FormatError(f"{path}: elements of type {section.element_type!r} are not known")
    if code.isdecimal():
        code = ("u" if sign == "unsigned" else "i") + code
    dtype = np.dtype(code).newbyteorder(">" if section.big_endian else "<")
    if section.n_pixels * dtype.itemsize > section.size:
        raise FormatError(f"{path}: its header promises {section.n_pixels} pixels of {dtype.itemsize} bytes, "
                          f"it has {section.size} bytes")
    values = np.frombuffer(data, dtype, section.n_pixels, section.start)
    native = np.dtype(np.float32) if dtype.kind == "f" else dtype.newbyteorder("=")
    return values.astype(native).reshape(section.shape)


def _check_count(n_decoded: int, section: Section, path: str) -> None:
    if n_decoded < section.n_pixels:
        raise FormatError(f"{path}: its image data are damaged or truncated: {n_decoded} of {section.n_pixels} pixels")


def encode_byte_offset(image: np.ndarray) -> bytes:
    """The byte-offset compression of an image, row by row; values are taken as int32."""
    from xdp.images.formats.cbf import _kernels as _kernels_cbf

    pixels = np.ascontiguousarray(image, dtype=np.int32).ravel()
    # a difference takes up to 7 bytes with its escapes, 15 where it needs 64 bits; the kernel does not look
    span = max(int(pixels.max(initial=0)), 0) - min(int(pixels.min(initial=0)), 0)
    out = np.empty((15 if span >= 2**31 - 1 else 7) * pixels.size, dtype=np.uint8)
    return out[: _kernels_cbf.encode_byte_offset(pixels, out)].tobytes()


def encode_section(image: np.ndarray, binary_id: int = 1) -> bytes:
    """A whole binary section, byte-offset compressed, from its opening to its closing boundary."""
    slow, fast = image.shape
    packed = encode_byte_offset(image)
    digest = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode()
    header = "\r\n".join([
        BOUNDARY.decode(),
        "Content-Type: application/octet-stream;",
        '     conversions="x-CBF_BYTE_OFFSET"',
        "Content-Transfer-Encoding: BINARY",
        f"X-Binary-Size: {len(packed)}",
        f"X-Binary-ID: {binary_id}",
        'X-Binary-Element-Type: "signed 32-bit integer"',
        "X-Binary-Element-Byte-Order: LITTLE_ENDIAN",
        f"Content-MD5: {digest}",
        f"X-Binary-Number-of-Elements: {image.size}",
        f"X-Binary-Size-Fastest-Dimension: {fast}",
        f"X-Binary-Size-Second-Dimension: {slow}",
        "X-Binary-Size-Padding: 4095",
        "", "",
    ])
    return header.encode() + START + packed + bytes(4095) + b"\r\n" + BOUNDARY + b"--\r\n"
