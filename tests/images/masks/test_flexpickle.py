"""Pickles are read by a machine of ours: what it accepts, and what it must never do."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdp.errors import FormatError
from xdp.images.masks.flexpickle import load_flex

pytestmark = pytest.mark.kernels

FLEX = b"cscitbx_array_family_flex_ext\n"
GRID = FLEX + b"grid\n"
NO_ARGUMENTS = b")R"


def encode_grid(*shape: int) -> bytes:
    """Opcodes of a grid; for 4 x 5 as DIALS' pickles of protocol 2 have it."""
    last = b"(" + b"".join(b"K" + bytes([n]) for n in shape) + b"t"
    first = b"(" + b"K\0" * len(shape) + b"t"
    return GRID + b"(" + first + last + b"\x88tR" + last + b"b"


def encode_flex(kind: bytes, grid: bytes, numbers: bytes) -> bytes:
    return FLEX + kind + b"\n)R(" + grid + b"C" + bytes([len(numbers)]) + numbers + b"tb"


def encode_mask(protocol: int) -> bytes:
    """A 2 x 3 mask with one bad pixel, opcode by opcode as Python pickles flex.bool in each protocol."""
    if protocol == 0:
        grid = GRID + b"((I0\nI0\nt(I2\nI3\ntI01\ntR(I2\nI3\ntb"
        return FLEX + b"bool\n(tRp1\n(" + grid + b"c_codecs\nencode\n(V\\u0002\\u0006101111\nVlatin1\ntRtb."
    if protocol == 2:
        grid = GRID + b"q\x02K\0K\0\x86K\x02K\x03\x86\x88\x87RK\x02K\x03\x86b"
        state = b"c_codecs\nencode\nX\x08\0\0\0\x02\x06101111X\x06\0\0\0latin1\x86R"
        return b"\x80\x02" + FLEX + b"bool\n)Rq\x01" + grid + state + b"\x86bh\x01\x86."
    name = b"\x8c\x1cscitbx_array_family_flex_ext\x94"
    grid = b"h\x00\x8c\x04grid\x94\x93\x94K\0K\0\x86\x94K\x02K\x03\x86\x94\x88\x87\x94R\x94K\x02K\x03\x86\x94b"
    head = b"\x80\x04" + name + b"\x8c\x04bool\x94\x93\x94)R\x94"
    return (head + grid + b"C\x08\x02\x06101111\x94\x86\x94bh\x03\x86\x94.")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_masks_of_each_protocol(protocol):
    value = load_flex(encode_mask(protocol), "x")
    for mask in value if isinstance(value, tuple) else (value,):
        np.testing.assert_array_equal(mask, [[True, False, True], [True, True, True]])


@pytest.mark.parametrize(("kind", "numbers", "expected"), [
    (b"int", b"\x02\x03\x00\x82\x04\x03\x00\x01", [0, -4, 256]),
    (b"size_t", b"\x02\x03\x00\x02\x04\x09" + b"\xff" * 8, [0, 4, 2**64 - 1]),
    (b"double", b"\x02\x03\x00\x02\xc0\x02\x01\x82\x80\x82\x01", [0, 1.5, -0.25]),
    (b"uint16", b"\x02\x03\x00\x02\x04\x03\xff\xff", [0, 4, 65535]),
])
def test_numbers(kind, numbers, expected):
    array = load_flex(encode_flex(kind, encode_grid(3), numbers) + b".", "x")
    assert array.tolist() == expected


def test_a_dark_is_a_dict_with_pixels():
    data = encode_flex(b"int", encode_grid(1, 2), b"\x02\x02\x02\x07\x00")
    raw = b"}(U\x04DATA" + data + b"U\x05SIZE1K\x01U\x08DISTANCEG\x40\x59\0\0\0\0\0\0U\x04NAMENu."
    dark = load_flex(raw, "x")
    assert dark["DATA"].tolist() == [[7, 0]]
    assert (dark["SIZE1"], dark["DISTANCE"], dark["NAME"]) == (1, 100.0, None)


def test_python_2_strings_are_bytes():
    raw = FLEX + b"bool\n)R(" + encode_grid(1, 1) + b"U\x03\x02\x011tb."
    assert load_flex(raw, "x").tolist() == [[True]]


@pytest.mark.parametrize("raw", [
    b"cos\nsystem\n(S'touch executed'\ntR.",
    b"(S'touch executed'\nios\nsystem\n.",
    b"(cos\nsystem\nS'touch executed'\no.",
    b"\x8c\x02os\x8c\x06system\x93\x8c\x0etouch executed\x85R.",
    b"c__builtin__\neval\n(S'1'\ntR.",
    b"ccopy_reg\n_reconstructor\n(t\x81.",
    b"S'x'\nQ.",
    b"Px\n.",
    b"\x82\x01.",
    b"c_codecs\ndecode\n(S'x'\nS'zip'\ntR.",
    b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
    b"c_codecs\nencode\n(tR.",
    b"cscitbx_array_family_flex_ext\nstd_string\n)R.",
    b"cscitbx_array_family_flex_ext\nbool\n(K\x01tR.",
    b"cnumpy.core.multiarray\nscalar\n)R.",
    b"cos\nsystem\n.",
    b"}(}K\x01u.",
    b"](K\x01}e(K\x01K\x02u.",
    b"K\x01)R.",
    FLEX + b"bool\n)RK\x01b.",
], ids=lambda raw: repr(raw[:30]))
def test_what_is_not_listed_is_refused(tmp_path, monkeypatch, raw):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match="x: "):
        load_flex(raw, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("grid", "numbers"), [
    (encode_grid(2, 3), b"\x02\x05" + b"11111"),
    (encode_grid(2, 3), b"\x02\x06" + b"11111"),
    (encode_grid(2, 3), b"\x02\x06" + b"1111111"),
    (encode_grid(2, 3), b"\x09" + b"\xff" * 8 + b"111111"),
    (encode_grid(2, 3), b"\x82\x06" + b"111111"),
    (encode_grid(2, 3), b"\x7f\x06"),
    (encode_grid(2, 3), b""),
    (encode_grid(), b"\x02\x01" + b"1"),
    (GRID + b"((K\x02K\x00t(K\x01K\x01ttR", b"\x00"),
    (GRID + b"((K\x00t(K\x01K\x01ttR", b"\x02\x01" + b"1"),
    (GRID + b"((t(t(ttR", b"\x00"),
    (b"K\x01", b"\x02\x01" + b"1"),
])
def test_arrays_that_disagree_with_themselves_are_refused(grid, numbers):
    with pytest.raises(FormatError):
        load_flex(encode_flex(b"bool", grid, numbers) + b".", "x")


@pytest.mark.parametrize("kind", [b"int", b"double"])
@pytest.mark.parametrize("third", [b"", b"\x05\x01", b"\x7f\x01", b"\x00\x00", b"\x06\x01\x01", b"\x0a" + b"\x01" * 9])
def test_numbers_that_end_early_or_late_are_refused(kind, third):
    with pytest.raises(FormatError):
        load_flex(encode_flex(kind, encode_grid(3), b"\x02\x03\x00\x00" + third) + b".", "x")


def check_refused_in_little_memory(raw: bytes, limit: int = 4_000_000) -> None:
    """Reading refuses, in little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            load_flex(raw, "x")
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_announced_lengths_are_not_believed():
    check_refused_in_little_memory(b"B" + struct.pack("<I", 2**32 - 1) + b"x.")
    check_refused_in_little_memory(b"\x8e" + struct.pack("<Q", 2**62) + b"x.")
    check_refused_in_little_memory(b"\x95" + struct.pack("<Q", 2**62) + b"x.")
    check_refused_in_little_memory(b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.")


def test_shared_parts_do_not_multiply():
    doubled = b"K\x01\x85" + b"2\x86" * 60 + b"."  # A tuple of 2^60 ones, made of 60 tuples.
    check_refused_in_little_memory(doubled)
    check_refused_in_little_memory(b"}" + doubled[:-1] + b"K\x01s.")  # As a key it would be hashed for ever.
    check_refused_in_little_memory(GRID + doubled[:-1] + b"\x85R.")
    listed = b"]q\0" + b"h\0h\0e".replace(b"e", b"ah\0a") * 40 + b"."
    check_refused_in_little_memory(listed)


def test_depth_is_bounded():
    check_refused_in_little_memory(b")" + b"\x85" * 100_000 + b".", 20_000_000)
    check_refused_in_little_memory(b"]q\0h\0a.")


def test_repeated_states_do_not_multiply_memory():
    state = b"B" + struct.pack("<I", 10_002) + b"\x03\x10\x27"[:3] + b"1" * 9_999
    grid = GRID + b"((K\0K\0t(M\x10\x27K\x01t\x88tR"
    one = FLEX + b"bool\n)R(" + grid + b"h\0tb"
    check_refused_in_little_memory(state + b"q\0(" + one * 1000 + b"t.")
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\0"
    check_refused_in_little_memory(b"(" + text + b"c_codecs\nencode\n(h\0Vlatin1\ntR" * 100 + b"t.")


FUZZ = settings(max_examples=300, deadline=None)


def read_or_refuse(raw: bytes) -> None:
    try:
        load_flex(raw, "x")
    except FormatError as error:
        assert str(error).startswith("x: ")  # noqa: PT017


@FUZZ
@given(protocol=st.sampled_from([0, 2, 4]), cut=st.integers(0, 400),
       changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3))
def test_damaged_pickles(protocol, cut, changes):
    raw = bytearray(encode_mask(protocol))
    for at, value in changes:
        raw[at % len(raw)] = value
    read_or_refuse(bytes(raw[: cut or None]))


@FUZZ
@given(st.lists(st.sampled_from([bytes([code]) for code in range(256)] + [b"os\nsystem\n", b"K\x01", b"t", b")R"])))
def test_arbitrary_opcodes(parts):
    read_or_refuse(b"".join(parts))
