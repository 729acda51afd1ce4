"""Kernels that undo HDF5's pixel compressors: LZ4 blocks, bit shuffling and byte shuffling.

The LZ4 block format is the one its author documents (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md);
bit shuffling is that of Masui et al. (2015), Astronomy and Computing 12, 181, doi 10.1016/j.ascom.2015.07.002: the
bits of a block of pixels are stored plane by plane, so that the planes of high bits, all zero in most diffraction
images, cost nothing. Planes of zeros are skipped here too, which is what makes this faster than undoing the shuffle
plane by plane. Every index is checked against both buffers before it is used.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

# What a kernel gives: all is well, the data end before they should, a block is damaged.
OK = 0
BAD_LENGTH = -1
BAD_BLOCK = -2

# Shifts and masks of the bit transposition, typed once: Numba mixes uint64 with a plain int into float64.
_7, _8, _14, _16, _24, _28, _32, _40, _48, _56 = (np.uint64(n) for n in (7, 8, 14, 16, 24, 28, 32, 40, 48, 56))
_ODD, _PAIRS, _FOURS = (np.uint64(m) for m in (0x00AA00AA00AA00AA, 0x0000CCCC0000CCCC, 0x00000000F0F0F0F0))


@kernel
def lz4_block(source, start, stop, target, size):
    """Decode the LZ4 block ``source[start:stop]`` into ``target``; bytes written, or -1 if it is damaged.

    A block is a row of sequences: a token (two lengths of four bits, extended by bytes of 255), literal bytes, and a
    copy of bytes already written; the last has no copy.
    """
    at = start
    written = np.int64(0)
    while at < stop:
        token = np.int64(source[at])
        at += 1
        n_literals = token >> 4
        # 15: bytes follow that are added up, until one is not 255.
        if n_literals == 15:
            more = np.int64(255)
            while more == 255:
                if at >= stop:
                    return np.int64(-1)
                more = np.int64(source[at])
                at += 1
                n_literals += more
        if at + n_literals > stop or written + n_literals > size:
            return np.int64(-1)
        to = target[written : written + n_literals]
        literals = source[at : at + n_literals]
        for i in range(n_literals):
            to[i] = literals[i]
        at += n_literals
        written += n_literals
        # The last sequence has literals only.
        if at == stop:
            return written
        if at + 2 > stop:
            return np.int64(-1)
        # How far back the copy begins, little endian.
        back = np.int64(source[at]) | (np.int64(source[at + 1]) << 8)
        at += 2
        if back == 0 or back > written:
            return np.int64(-1)
        # A copy is of four bytes at least.
        n_copies = (token & 15) + 4
        if n_copies == 19:
            more = np.int64(255)
            while more == 255:
                if at >= stop:
                    return np.int64(-1)
                more = np.int64(source[at])
                at += 1
                n_copies += more
        if written + n_copies > size:
            return np.int64(-1)
        # The bytes repeat with period `back`: what is copied doubles, and never overlaps where it comes from.
        copied = np.int64(0)
        while copied < n_copies:
            step = min(back + copied, n_copies - copied)
            to = target[written + copied : written + copied + step]
            come = target[written - back : written - back + step]
            for i in range(step):
                to[i] = come[i]
            copied += step
        written += n_copies
    return np.int64(-1)


@kernel
def _gather_lane(planes, lane):
    """Turn eight bit planes (``lane.size`` bytes each, lowest bit first) into bytes, eight pixels an item of `lane`.

    Byte k of the planes is a matrix of 8 x 8 bits, transposed by three exchanges of ever larger squares (Warren,
    Hacker's Delight, 2nd ed., 7-3). Slices and no branch, so that the compiler makes vector code of the loop.
    """
    n = lane.size
    p0, p1, p2, p3 = planes[:n], planes[n : 2 * n], planes[2 * n : 3 * n], planes[3 * n : 4 * n]
    p4, p5, p6, p7 = planes[4 * n : 5 * n], planes[5 * n : 6 * n], planes[6 * n : 7 * n], planes[7 * n : 8 * n]
    for k in range(n):
        x = (
            np.uint64(p0[k]) | np.uint64(p1[k]) << _8 | np.uint64(p2[k]) << _16 | np.uint64(p3[k]) << _24
            | np.uint64(p4[k]) << _32 | np.uint64(p5[k]) << _40 | np.uint64(p6[k]) << _48 | np.uint64(p7[k]) << _56
        )  # fmt: skip
        swap = (x ^ (x >> _7)) & _ODD
        x ^= swap ^ (swap << _7)
        swap = (x ^ (x >> _14)) & _PAIRS
        x ^= swap ^ (swap << _14)
        swap = (x ^ (x >> _28)) & _FOURS
        lane[k] = x ^ swap ^ (swap << _28)


@kernel
def _is_same(left, right):
    """Whether two rows of bytes are equal."""
    different = np.uint8(0)
    for i in range(left.size):
        different |= left[i] ^ right[i]
    return different == 0


@kernel
def _unshuffle_block(planes, lane, pixels):
    """Put `pixels` (a multiple of 8) together from their bit planes, a byte (eight planes) at a time.

    In most images the higher bytes are alike: zero, or all ones in the gaps between modules. Alike bytes are put
    together once.
    """
    n = pixels.size
    octets = lane.view(np.uint8)
    _gather_lane(planes[:n], lane)
    for i in range(n):
        pixels[i] = octets[i]
    byte = 1
    while byte < pixels.itemsize:
        eight_planes = planes[byte * n : (byte + 1) * n]
        factor = np.uint32(1) << np.uint32(8 * byte)
        byte += 1
        while byte < pixels.itemsize and _is_same(eight_planes, planes[byte * n : (byte + 1) * n]):
            factor |= np.uint32(1) << np.uint32(8 * byte)
            byte += 1
        _gather_lane(eight_planes, lane)
        for i in range(n):
            pixels[i] |= np.uint32(octets[i]) * np.uint32(factor)


@kernel
def bitshuffle_lz4(source, start, block, pixels):
    """Decode a bitshuffle-LZ4 stream into `pixels`; OK, BAD_LENGTH or BAD_BLOCK.

    Parameters
    ----------
    source : uint8 (n,)
        The stream; its first block's length stands at `start`, after the 12 bytes of HDF5's own header.
    block : int
        Pixels a block, a multiple of 8.
    pixels : uint16 or uint32 (m,)
        Where the pixels go.
    """
    n_pixels = np.int64(pixels.size)
    size = np.int64(pixels.itemsize)
    # One block's bit planes, and eight of its pixels an item.
    planes = np.empty(block * size, np.uint8)
    lane = np.empty(block >> 3, np.uint64)
    at = np.int64(start)
    done = np.int64(0)
    while n_pixels - done >= 8:
        n = min(np.int64(block), ((n_pixels - done) >> 3) << 3)
        if at + 4 > source.size:
            return BAD_LENGTH
        length = np.int64(0)
        for i in range(4):
            length = (length << 8) | np.int64(source[at + i])
        at += 4
        if length > source.size - at:
            return BAD_LENGTH
        if lz4_block(source, at, at + length, planes, n * size) != n * size:
            return BAD_BLOCK
        at += length
        _unshuffle_block(planes[: n * size], lane[: n >> 3], pixels[done : done + n])
        done += n
    # Up to seven pixels at the end are stored as they are.
    rest = n_pixels - done
    if source.size - at < rest * size:
        return BAD_LENGTH
    tail = pixels[done:].view(np.uint8)
    for i in range(rest * size):
        tail[i] = source[at + i]
    return OK


@kernel
def lz4_stream(source, start, block, target):
    """Decode the blocks of HDF5's LZ4 filter into `target`; OK, BAD_LENGTH or BAD_BLOCK.

    Each block stands behind its length (4 bytes, big endian); one as long as what it decodes to was left as it is.
    """
    at = np.int64(start)
    done = np.int64(0)
    while done < target.size:
        n = min(np.int64(block), target.size - done)
        if at + 4 > source.size:
            return BAD_LENGTH
        length = np.int64(0)
        for i in range(4):
            length = (length << 8) | np.int64(source[at + i])
        at += 4
        if length > source.size - at:
            return BAD_LENGTH
        rest = target[done : done + n]
        if length == n:
            for i in range(n):
                rest[i] = source[at + i]
        elif lz4_block(source, at, at + length, rest, n) != n:
            return BAD_BLOCK
        at += length
        done += n
    return OK


@kernel
def byte_unshuffle(source, pixels):
    """Undo HDF5's byte shuffling: `source` (uint8) has the lowest bytes of all pixels first, then the next."""
    n = pixels.size
    if pixels.itemsize == 2:
        # the common case in one pass, twice as fast
        for i in range(n):
            pixels[i] = np.uint16(source[i]) | np.uint16(source[n + i]) << np.uint16(8)
        return
    for i in range(n):
        pixels[i] = source[i]
    for byte in range(1, pixels.itemsize):
        row = source[byte * n : (byte + 1) * n]
        factor = np.uint32(1) << np.uint32(8 * byte)
        for i in range(n):
            pixels[i] |= np.uint32(row[i]) * np.uint32(factor)
