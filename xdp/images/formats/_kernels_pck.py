"""Numba kernel of the packing of mar345 images, after J. P. Abrahams (CCP4's "pack").

References
----------
J. P. Abrahams (1993), Joint CCP4 and ESF-EACMB Newsletter on Protein Crystallography 28, 3-4.
"""

from __future__ import annotations

import numpy as np

from xdp.images.formats.cbf._kernels import take_bits
from xdp.kernels import kernel


@kernel
def _as_signed(value):
    """A number of 16 bits, the highest of them taken for the sign."""
    return np.int64(value) - 65536 if value >= 32768 else np.int64(value)


@kernel
def decode_pck(data, out, n_fast, bits):
    """Unpack 16-bit counts from differences to the mean of known neighbours.

    The stream is of groups, as :func:`xdp.images.formats.cbf._kernels.decode_packed` takes them. With x for the pixels
    that are known, counted row by row, and w for the length of a row, a pixel is

        x[j] = delta + (s[j-1] + s[j-w+1] + s[j-w] + s[j-w-1] + 2) / 4

    modulo 2^16, where s are the pixels as signed 16-bit numbers and the quotient is cut towards zero, as C does it; up
    to the first pixel of the second row it is delta + x[j-1].

    Parameters
    ----------
    data : uint8 (n_bytes,)
        From the first group on.
    out : int32 (n_pixels,)
        Counts, 0 to 65535.
    n_fast : int
        Length of a row.
    bits : int64 (8,) or (16,)
        Bits a difference, by the group's code.

    Returns
    -------
    n_decoded : int
        Pixels written: fewer than `out` holds where the data end too early.
    """
    n_bits = np.int64(data.size) * 8
    code_bits = np.int64(3) if bits.size == 8 else np.int64(4)
    # The second version has four bits for the number of pixels, too.
    length_bits = code_bits
    position = np.int64(0)
    n_pixels = np.int64(out.size)
    j = np.int64(0)
    while j < n_pixels:
        head, position = take_bits(data, position, length_bits + code_bits)
        if position > n_bits:
            return j
        width = bits[head >> length_bits]
        for _ in range(min(np.int64(1) << (head & ((1 << length_bits) - 1)), n_pixels - j)):
            delta = np.int64(0)
            if width > 0:
                if position + width > n_bits:
                    return j
                delta, position = take_bits(data, position, width)
                # Two's complement of `width` bits.
                if delta >> (width - 1):
                    delta -= np.int64(1) << width
            expected = np.int64(0)
            if j > n_fast:
                known = (_as_signed(out[j - 1]) + _as_signed(out[j - n_fast + 1]) + _as_signed(out[j - n_fast])
                         + _as_signed(out[j - n_fast - 1]) + 2)
                expected = known // 4 if known >= 0 else -(-known // 4)
            elif j > 0:
                expected = np.int64(out[j - 1])
            out[j] = np.int32((expected + delta) & 0xFFFF)
            j += 1
    return j
