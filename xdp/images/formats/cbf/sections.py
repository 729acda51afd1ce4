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
from xdp.images.buffers import take_buffer
from xdp.images.formats.limits import MAX_PIXELS

BOUNDARY = b"--CIF-BINARY-FORMAT-SECTION--"
START = b"\x0c\x1a\x04\xd5"

# Bytes that the header of a binary section may take: it has some ten short lines.
_MAX_MIME_SIZE = 4096
# Bytes of text before, between and behind sections: the tables of a detector of some hundred panels have less than a
# million; a choice.
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
        Number of the section, by which imgCIF's tables name it.
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


def parse_mime_fields(text: str) -> dict[str, str]:
    """Parse the header of a binary section.

    Parameters
    ----------
    text : str
        Lines ``Name: value``; a line that begins with a space goes on with the one before.

    Returns
    -------
    dict
        Value of each field by its name in lower case.

    Examples
    --------
    >>> parse_mime_fields("X-Binary-Size: 12\\nContent-Type: application/octet-stream;\\n conversions=x-CBF_NONE")
    {'x-binary-size': '12', 'content-type': 'application/octet-stream; conversions=x-CBF_NONE'}
    """
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t") and name:
            fields[name] += " " + line.strip()
        elif match := _FIELD.match(line):
            name = match[1].lower()
            fields[name] = match[2]
    return fields


def find_sections(data: bytes, path: str) -> Iterator[Section]:
    """Find the binary sections of a file, in order.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : str
        Its name, for messages.

    Yields
    ------
    Section

    Raises
    ------
    FormatError
        If a section's header lacks a field, contradicts itself, or announces more data than the file has.
    """
    at = 0
    while (at := data.find(BOUNDARY, at)) >= 0:
        at += len(BOUNDARY)
        # The boundary behind a section ends in two hyphens.
        if data[at:at + 2] == b"--":
            continue
        start = data.find(START, at, at + _MAX_MIME_SIZE)
        if start < 0:
            raise FormatError(f"{path}: the binary section at byte {at} does not begin as a CBF's must; is it cut off?")
        text = data[at:start].decode("ascii", "replace")
        section = build_section(parse_mime_fields(text), start + len(START), path)
        if section.start + section.size > len(data):
            raise FormatError(f"{path}: is truncated: its header promises {section.size} bytes of image data, "
                              f"it holds {len(data) - section.start}")
        yield section
        at = section.start + section.size


def count_cbf_bytes(data: bytes) -> int:
    """Count the bytes that a CBF has, as far as its beginning tells.

    Parameters
    ----------
    data : bytes
        Beginning of the file.

    Returns
    -------
    int
        To the end of the last section whose header is known, and 16 MiB for the text behind it.

    Raises
    ------
    FormatError
        If a section does not say how large it is.
    """
    at = end = 0
    while (at := data.find(BOUNDARY, at)) >= 0:
        at += len(BOUNDARY)
        if data[at:at + 2] == b"--":
            continue
        start = data.find(START, at, at + _MAX_MIME_SIZE)
        if start < 0:
            return max(end + _MAX_TEXT, at + _MAX_MIME_SIZE)
        fields = parse_mime_fields(data[at:start].decode("ascii", "replace"))
        at = end = start + len(START) + _read_count(fields, "x-binary-size", "")
    return end + _MAX_TEXT


def build_section(fields: Mapping[str, str], start: int, path: str) -> Section:
    """Build the description of a section from its MIME fields.

    Parameters
    ----------
    fields : mapping
        As :func:`parse_mime_fields` gives them.
    start : int
        Byte at which its data begin.
    path : str
        Name of the file, for messages.

    Returns
    -------
    Section

    Raises
    ------
    FormatError
        If a field is missing, or the fields contradict each other.
    """
    fast = _read_count(fields, "x-binary-size-fastest-dimension", path)
    slow = _read_count(fields, "x-binary-size-second-dimension", path)
    third = "x-binary-size-third-dimension"
    depth = _read_count(fields, third, path) if third in fields else 1
    size = _read_count(fields, "x-binary-size", path)
    section = Section(start, size, (depth, slow, fast), fields.get("x-binary-element-type", "").strip('"').lower(),
                      _read_conversions(fields), "BIG" in fields.get("x-binary-element-byte-order", "").upper(),
                      int(fields.get("x-binary-id", "1")) if fields.get("x-binary-id", "1").isdecimal() else 1)
    n_elements = fields.get("x-binary-number-of-elements")
    if n_elements is not None and n_elements != str(section.n_pixels):
        raise FormatError(f"{path}: header contradicts itself: {n_elements} elements, "
                          f"but {' x '.join(str(n) for n in reversed(section.shape))} pixels")
    # No compression gives more than 128 pixels for 6 bits.
    if section.n_pixels > MAX_PIXELS or section.n_pixels > 256 * size:
        raise FormatError(f"{path}: header announces {section.n_pixels} pixels in {size} bytes, which cannot be")
    return section


def _read_count(fields: Mapping[str, str], name: str, path: str) -> int:
    """The whole number above 0 in a field; 12 digits are more than any file has bytes."""
    value = fields.get(name, "")
    if not value.isdecimal() or len(value) > 12 or int(value) < 1:
        raise FormatError(f"{path}: header field {name} must be a number above 0, got {value!r}")
    return int(value)


def _read_conversions(fields: Mapping[str, str]) -> str:
    """The compression, upper case, with its modifiers; x-CBF_NONE where the section names none."""
    match = re.search(r"conversions\s*=\s*(.*)$", fields.get("content-type", ""), re.IGNORECASE)
    return match[1].upper() if match else "X-CBF_NONE"


def decode_section(data: bytes, section: Section, path: str) -> np.ndarray:
    """Decode a section.

    Parameters
    ----------
    data : bytes
        The whole file.
    section : Section
        One of its sections.
    path : str
        Name of the file, for messages.

    Returns
    -------
    (sections, slow, fast) array
        int32; an uncompressed one has the type that it states, doubles become float32.

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
    """Decode differences of one, two, four or eight bytes."""
    from xdp.images.formats.cbf._kernels import decode_byte_offset

    out = take_buffer(section.n_pixels, np.int32)
    n_decoded, n_used = decode_byte_offset(np.frombuffer(data, np.int8, section.size, section.start), out)
    _check_count(n_decoded, section, path)
    # A row or a column too few in the header would leave pixels over; some writers pad with zeros.
    begin, end = section.start + n_used, section.start + section.size
    if data.count(0, begin, end) != end - begin:
        raise FormatError(f"{path}: its {section.size} bytes of data hold more pixels than the "
                          f"{section.shape[2]} x {section.shape[1]} of its header")
    return out.reshape(section.shape)


def _decode_packed(data: bytes, section: Section, path: str) -> np.ndarray:
    """Decode groups of differences of as many bits as the group needs."""
    from xdp.images.formats.cbf._kernels import PACKED_BITS, PACKED_BITS_V2, Packing, decode_packed

    out = take_buffer(section.n_pixels, np.int32)
    _, slow, fast = section.shape
    packing = Packing(fast, slow, PACKED_BITS_V2 if "PACKED_V2" in section.conversions else PACKED_BITS,
                      is_correlated="UNCORRELATED" not in section.conversions,
                      is_averaged="FLAT" not in section.conversions)
    n_decoded = decode_packed(np.frombuffer(data, np.uint8, section.size, section.start), out, packing)
    _check_count(n_decoded, section, path)
    return out.reshape(section.shape)


# NumPy's types of uncompressed elements; the sign is in front of the name.
_PLAIN_TYPES = {"8-bit integer": "1", "16-bit integer": "2", "32-bit integer": "4", "32-bit real ieee": "f4",
                "64-bit real ieee": "f8"}


def _decode_plain(data: bytes, section: Section, path: str) -> np.ndarray:
    """Take uncompressed elements as they are."""
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
    """Refuse a section whose data ended before its pixels."""
    if n_decoded < section.n_pixels:
        raise FormatError(f"{path}: its image data are damaged or truncated: {n_decoded} of {section.n_pixels} pixels")


def encode_byte_offset(image: np.ndarray) -> bytes:
    """Compress an image by byte offsets, row by row.

    Parameters
    ----------
    image : (slow, fast) array
        Values are taken as int32.

    Returns
    -------
    bytes

    Examples
    --------
    >>> import numpy as np
    >>> encode_byte_offset(np.array([[1, 2, 300]])).hex()
    '0101802a01'
    """
    from xdp.images.formats.cbf import _kernels as kernels

    pixels = np.ascontiguousarray(image, dtype=np.int32).ravel()
    # A difference takes up to 7 bytes with its escapes, 15 where it needs 64 bits; the kernel does not check.
    span = max(int(pixels.max(initial=0)), 0) - min(int(pixels.min(initial=0)), 0)
    out = np.empty((15 if span >= 2**31 - 1 else 7) * pixels.size, dtype=np.uint8)
    return out[: kernels.encode_byte_offset(pixels, out)].tobytes()


def encode_section(image: np.ndarray, binary_id: int = 1) -> bytes:
    """Write an image as a binary section.

    Parameters
    ----------
    image : (slow, fast) integer array
        Values are taken as int32.
    binary_id : int
        Number of the section, 1 by default.

    Returns
    -------
    bytes
        Byte-offset compressed, from the opening to the closing boundary.
    """
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
