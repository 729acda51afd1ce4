"""Numba kernels for the number strings inside pickled flex arrays.

A whole number is a byte 1 + m (plus 128 if it is negative) and m bytes of magnitude, little endian; 0 is the single
byte 0. A floating one is a byte 1 + m (plus 128 if negative) and m digits d1, d2... of base 256, then the exponent e as
a whole number: (d1/256 + d2/256^2 + ...) 2^e; 0 is the single byte 0. The format is that of cctbx
(scitbx/serialization/base_256.h).
"""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel


@kernel
def decode_integer(raw, at):
    """The whole number at byte `at`: (value, where it ends); the end is -1 if it does not fit into `raw` or 64 bits."""
    length = np.int64(raw[at] & 127)
    if length == 0:
        return np.int64(0), at + 1
    # Its first byte and at most 8 of magnitude.
    if length > 9 or at + length > raw.shape[0]:
        return np.int64(0), np.int64(-1)
    value = np.uint64(0)
    for k in range(length - 1, 0, -1):
        value = (value << np.uint64(8)) | np.uint64(raw[at + k])
    signed = np.int64(value)
    return (-signed if raw[at] > 128 else signed), at + length


@kernel
def decode_integers(raw, at, out):
    """Fill `out` (int64) with whole numbers from byte `at`; the place behind them, or -1 if `raw` ends early."""
    for i in range(out.shape[0]):
        if at >= raw.shape[0]:
            return np.int64(-1)
        out[i], at = decode_integer(raw, at)
        if at < 0:
            return np.int64(-1)
    return at


@kernel
def decode_floats(raw, at, out):
    """Fill `out` (float64) with floating numbers from byte `at`; the place behind them, or -1 if `raw` ends early."""
    for i in range(out.shape[0]):
        if at >= raw.shape[0]:
            return np.int64(-1)
        length = np.int64(raw[at] & 127)
        if length == 0:
            out[i] = 0.0
            at += 1
            continue
        if length > 9 or at + length >= raw.shape[0]:
            return np.int64(-1)
        value = 0.0
        # Horner's rule from the last digit: exact, since a double's digits fit into its 53 bits.
        for k in range(length - 1, 0, -1):
            value = (value + np.float64(raw[at + k])) / 256.0
        negative = raw[at] > 128
        exponent, at = decode_integer(raw, at + length)
        if at < 0:
            return np.int64(-1)
        # Beyond these the result is 0 or infinite whatever the digits; ldexp takes a C int.
        exponent = min(max(exponent, np.int64(-5000)), np.int64(5000))
        value = math.ldexp(value, exponent)
        out[i] = -value if negative else value
    return at


@kernel
def encode_floats(values, out):
    """Write finite floats into the bytes `out` (14 a value are enough); the number of bytes written."""
    at = np.int64(0)
    for i in range(values.shape[0]):
        # The length's byte is written when the length is known.
        head = at
        out[head] = 0
        at += 1
        if values[i] == 0.0:
            continue
        fraction, exponent = math.frexp(abs(values[i]))
        # Each step takes 8 bits off the fraction, and ends when none is left.
        while fraction != 0.0:
            fraction *= 256.0
            digit = np.int64(fraction)
            out[at] = np.uint8(digit)
            at += 1
            fraction -= digit
        out[head] = np.uint8(at - head) | (np.uint8(128) if values[i] < 0.0 else np.uint8(0))
        head = at
        out[head] = 0
        at += 1
        magnitude = np.int64(abs(exponent))
        while magnitude > 0:
            out[at] = np.uint8(magnitude & 255)
            at += 1
            magnitude >>= 8
        if exponent != 0:
            out[head] = np.uint8(at - head) | (np.uint8(128) if exponent < 0 else np.uint8(0))
    return at
