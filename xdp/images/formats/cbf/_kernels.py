"""Numba kernels of the CBF compressions: byte offset, and the packing of Abrahams (CCP4, CBFlib).

All are given the compressed bytes as int8 or uint8 and an output of the right size, and check each index against both
ends, so that damaged data give a short count and never a read or write outside of a buffer.

References
----------
CBFlib manual, section 3.3, "Compression schemes". H. J. Bernstein and A. P. Hammersley,
International Tables for Crystallography G (2005), chapter 2.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

ESCAPE = np.int8(-128)
# Differences that are looked at together: eight bytes make one word of the machine, and a longer block would more often
# hold an escape. 8 is a choice.
_BLOCK = 8
BLOCK = np.uint64(_BLOCK)
# Bits of a difference by the code of its group, in version 1 and 2 of the packing.
PACKED_BITS = np.array([0, 4, 5, 6, 7, 8, 16, 32], dtype=np.int64)
PACKED_BITS_V2 = np.array([0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 32], dtype=np.int64)
PACKED_HEADER_SIZE = 32


class Packing(NamedTuple):
    """How an image was packed.

    Attributes
    ----------
    n_fast, n_mid : int
        Length of a row, and rows of a section.
    bits : int64 (8,) or (16,)
        Bits a difference, by the group's code: :data:`PACKED_BITS` or :data:`PACKED_BITS_V2`.
    is_correlated : bool
        Whether a section is predicted from the one before, too.
    is_averaged : bool
        Whether the mean of neighbours is subtracted, or simply the pixel before.
    """

    n_fast: int
    n_mid: int
    bits: np.ndarray
    is_correlated: bool
    is_averaged: bool


@kernel
def decode_byte_offset(data, out):
    """Sum byte-offset differences into `out`.

    Each pixel is the one before plus a difference of one byte; the byte 0x80 announces a difference of two bytes,
    0x8000 after it one of four, and 0x80000000 after that one of eight, all little-endian.

    Parameters
    ----------
    data : int8 (n_bytes,)
    out : int32 (n_pixels,)

    Returns
    -------
    n_decoded, n_used : int
        Pixels written and bytes read: fewer pixels than `out` holds where the data end too early.
    """
    # Unsigned indices: Numba would test signed ones for counting from the end, which takes half the time.
    n_bytes, n_pixels = np.uint64(data.size), np.uint64(out.size)
    i, j = np.uint64(0), np.uint64(0)
    value = np.int32(0)
    while j < n_pixels and i < n_bytes:
        # While only one-byte differences come, both ends are checked once for the whole run.
        run = min(n_pixels - j, n_bytes - i)
        k = np.uint64(0)
        while k + BLOCK <= run:
            n_escapes = np.uint8(0)
            for m in range(_BLOCK):
                n_escapes |= np.uint8(data[i + k + np.uint64(m)] == ESCAPE)
            if n_escapes:
                break
            for m in range(_BLOCK):
                value += np.int32(data[i + k + np.uint64(m)])
                out[j + k + np.uint64(m)] = value
            k += BLOCK
        while k < run:
            delta = data[i + k]
            if delta == ESCAPE:
                break
            value += np.int32(delta)
            out[j + k] = value
            k += np.uint64(1)
        i += k
        j += k
        if k == run:
            break
        wide, width = _wide_difference(data, i + np.uint64(1), n_bytes)
        if width == 0:
            return np.int64(j), np.int64(i)
        i += width
        value += np.int32(wide)
        out[j] = value
        j += np.uint64(1)
    return np.int64(j), np.int64(i)


@kernel
def _wide_difference(data, start, n_bytes):
    """The difference of two, four or eight bytes behind an escape, and the bytes it took with it; 0 if cut short."""
    at = np.int64(start)
    width = 2
    while at + width <= np.int64(n_bytes):
        delta = np.int64(0)
        for b in range(width - 1):
            delta |= (np.int64(data[at + b]) & 0xFF) << (8 * b)
        delta |= np.int64(data[at + width - 1]) << (8 * (width - 1))
        at += width
        # The most negative number of a width is its escape to the next one.
        if width == 8 or delta != -(np.int64(1) << (8 * width - 1)):
            return delta, np.uint64(at - np.int64(start) + 1)
        width *= 2
    return np.int64(0), np.uint64(0)


@kernel
def encode_byte_offset(pixels, out):
    """Write the byte-offset differences of `pixels` (int32, flat) to `out` (uint8).

    `out` must hold 7 bytes a pixel, 15 where differences of 2^31 or more occur.

    Returns the number of bytes written.
    """
    n = np.int64(0)
    last = np.int64(0)
    for j in range(pixels.size):
        delta = np.int64(pixels[j]) - last
        last = np.int64(pixels[j])
        width = 1
        if not -128 < delta < 128:
            out[n] = 0x80
            n += 1
            width = 2
            if not -32768 < delta < 32768:
                out[n] = 0
                out[n + 1] = 0x80
                n += 2
                width = 4
                if not -2147483648 < delta < 2147483648:
                    out[n] = 0
                    out[n + 1] = 0
                    out[n + 2] = 0
                    out[n + 3] = 0x80
                    n += 4
                    width = 8
        for b in range(width):
            out[n + b] = (delta >> (8 * b)) & 0xFF
        n += width
    return n


@kernel
def _predict_pixel(out, j, n_fast, n_mid, correlated):
    """The value that packing expects at flat index `j`: the rounded mean of the neighbours already known.

    In a row's interior these are the pixel before and the three of the row before; fewer at a row's ends; where
    sections are correlated, the same places in the section before count too.
    """
    fast = j % n_fast
    mid = (j // n_fast) % n_mid
    section = j // (n_fast * n_mid)
    below = n_fast * n_mid
    n = np.int64(0)
    total = np.int64(0)
    if mid == 0:
        # Nothing of the section before is used but for a section's first pixel.
        if fast > 0:
            return np.int64(out[j - 1])
        return np.int64(out[j - below]) if section > 0 else np.int64(0)
    use_below = section > 0 and correlated
    # In this order: the pixel before; in the row before the next, the same and the previous place.
    for which in range(4):
        if which == 0:
            used, at = fast > 0, j - 1
        elif which == 1:
            used, at = fast == 0 or fast < n_fast - 1, j + 1 - n_fast
        elif which == 2:
            used, at = True, j - n_fast
        else:
            used, at = 0 < fast < n_fast - 1, j - 1 - n_fast
        if used and at < j:
            total += out[at]
            n += 1
            # The pixel before is paired with the one straight below this pixel.
            at_below = j - below if which == 0 else at - below
            if use_below and at_below >= 0:
                total += out[at_below]
                n += 1
    # 32-bit arithmetic, as the encoder's.
    total = np.int64(np.int32(total & 0xFFFFFFFF))
    if n == 2:
        total = (total + 1) >> 1
    elif n == 4:
        total = (total + 2) >> 2
    elif n == 8:
        total = (total + 4) >> 3
    return total


@kernel
def decode_packed(data, out, packing):
    """Unpack differences from the mean of known neighbours into `out`.

    The stream, after a header of 32 bytes, is of groups: three bits for the logarithm of the number of pixels, three
    (version 1) or four (version 2) that choose the bits a difference takes, then the differences, least bit first.

    Parameters
    ----------
    data : uint8 (n_bytes,)
    out : int32 (n_pixels,)
        n_fast * n_mid * sections.
    packing : Packing

    Returns
    -------
    n_decoded : int
        Pixels written: fewer than `out` holds where the data end too early.
    """
    n_bits = np.int64(data.size) * 8
    # Taken out of the tuple once: reading its fields for each pixel costs a tenth of the time.
    n_fast, n_mid, bits, correlated, averaged = packing
    code_bits = np.int64(3) if bits.size == 8 else np.int64(4)
    position = np.int64(PACKED_HEADER_SIZE) * 8
    n_pixels = np.int64(out.size)
    j = np.int64(0)
    while j < n_pixels:
        head, position = take_bits(data, position, 3 + code_bits)
        if position > n_bits:
            return j
        width = bits[head >> 3]
        for _ in range(min(np.int64(1) << (head & 7), n_pixels - j)):
            delta = np.int64(0)
            if width > 0:
                if position + width > n_bits:
                    return j
                delta, position = take_bits(data, position, width)
                # Two's complement of `width` bits.
                if delta >> (width - 1):
                    delta -= np.int64(1) << width
            if averaged:
                expected = _predict_pixel(out, j, n_fast, n_mid, correlated)
            else:
                expected = np.int64(out[j - 1]) if j > 0 else np.int64(0)
            out[j] = np.int32((expected + delta) & 0xFFFFFFFF)
            j += 1
    return j


@kernel
def take_bits(data, position, width):
    """The unsigned number of `width` bits that starts at bit `position`, and the position behind it."""
    value = np.int64(0)
    got = np.int64(0)
    while got < width:
        at = (position + got) >> 3
        shift = (position + got) & 7
        take = min(8 - shift, width - got)
        byte = np.int64(data[at]) if at < data.size else np.int64(0)
        value |= ((byte >> shift) & ((np.int64(1) << take) - 1)) << got
        got += take
    return value, position + width
