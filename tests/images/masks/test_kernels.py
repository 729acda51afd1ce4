"""Number strings of flex pickles: the kernels against Python's own integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdp.images.masks._kernels import decode_floats, decode_integer, decode_integers, encode_floats

pytestmark = pytest.mark.kernels


def encode_integer_twin(value: int) -> bytes:
    """A whole number: a byte 1 + m, plus 128 if it is negative, then m bytes of magnitude; 0 is the byte 0."""
    digits = abs(value).to_bytes((abs(value).bit_length() + 7) // 8, "little")
    return bytes([len(digits) + 1 + (128 if value < 0 else 0)]) + digits if value else b"\0"


def encode_float_twin(value: float) -> bytes:
    """A floating number: the same head, digits of base 256 from the largest, then the exponent of two."""
    if value == 0.0:
        return b"\0"
    fraction, exponent = math.frexp(abs(value))
    rest, digits = Fraction(fraction), []
    while rest:
        rest *= 256
        digits.append(int(rest))
        rest -= digits[-1]
    return bytes([len(digits) + 1 + (128 if value < 0 else 0), *digits]) + encode_integer_twin(exponent)


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=20))
def test_whole_numbers_are_those_of_the_twin(values):
    raw = np.frombuffer(b"".join(map(encode_integer_twin, values)), np.uint8)
    out = np.empty(len(values), np.int64)
    assert decode_integers(raw, np.int64(0), out) == len(raw)
    assert out.tolist() == values


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_floating_numbers_are_those_of_the_twin(values):
    expected = b"".join(map(encode_float_twin, values))
    out = np.empty(14 * len(values), np.uint8)
    n = encode_floats(np.array(values), out)
    assert out[:n].tobytes() == expected
    back = np.empty(len(values))
    assert decode_floats(out[:n], np.int64(0), back) == n
    np.testing.assert_array_equal(back, values)


@settings(deadline=None)
@given(st.integers(-(2**63) + 1, 2**63 - 1).filter(bool), st.integers(1, 9))
def test_a_number_cut_short_ends_nowhere(value, cut):
    raw = np.frombuffer(encode_integer_twin(value), np.uint8)
    short = raw[:max(len(raw) - cut, 1)]
    assert decode_integer(short, np.int64(0))[1] == (-1 if len(short) < len(raw) else len(raw))
    assert decode_integers(short[:0], np.int64(0), np.empty(1, np.int64)) == -1
