"""Pickles are read by a machine of ours: what it accepts, and what it must never do."""

from __future__ import annotations

import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xdp.errors import FormatError, XdpError
from xdp.images.masks.flexpickle import load_flex
from xdp.images.masks.pickles import read_flex_pickle, read_maps, write_map_pickle, write_mask_pickle

pytestmark = pytest.mark.kernels

FLEX = b"cscitbx_array_family_flex_ext\n"
GRID = FLEX + b"grid\n"
NO_ARGUMENTS = b")R"


def grid_of(*shape: int) -> bytes:
    """Opcodes of a grid; for 4 x 5 as DIALS' pickles of protocol 2 have it."""
    last = b"(" + b"".join(b"K" + bytes([n]) for n in shape) + b"t"
    first = b"(" + b"K\0" * len(shape) + b"t"
    return GRID + b"(" + first + last + b"\x88tR" + last + b"b"


def flex_of(kind: bytes, grid: bytes, numbers: bytes) -> bytes:
    return FLEX + kind + b"\n)R(" + grid + b"C" + bytes([len(numbers)]) + numbers + b"tb"


def dials_mask(protocol: int) -> bytes:
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
    value = load_flex(dials_mask(protocol), "x")
    for mask in value if isinstance(value, tuple) else (value,):
        np.testing.assert_array_equal(mask, [[True, False, True], [True, True, True]])


@pytest.mark.parametrize(("kind", "numbers", "expected"), [
    (b"int", b"\x02\x03\x00\x82\x04\x03\x00\x01", [0, -4, 256]),
    (b"size_t", b"\x02\x03\x00\x02\x04\x09" + b"\xff" * 8, [0, 4, 2**64 - 1]),
    (b"double", b"\x02\x03\x00\x02\xc0\x02\x01\x82\x80\x82\x01", [0, 1.5, -0.25]),
    (b"uint16", b"\x02\x03\x00\x02\x04\x03\xff\xff", [0, 4, 65535]),
])
def test_numbers(kind, numbers, expected):
    array = load_flex(flex_of(kind, grid_of(3), numbers) + b".", "x")
    assert array.tolist() == expected


def test_a_dark_is_a_dict_with_pixels():
    data = flex_of(b"int", grid_of(1, 2), b"\x02\x02\x02\x07\x00")
    raw = b"}(U\x04DATA" + data + b"U\x05SIZE1K\x01U\x08DISTANCEG\x40\x59\0\0\0\0\0\0U\x04NAMENu."
    dark = load_flex(raw, "x")
    assert dark["DATA"].tolist() == [[7, 0]]
    assert (dark["SIZE1"], dark["DISTANCE"], dark["NAME"]) == (1, 100.0, None)


def test_a_python_2_string_is_bytes_too():
    raw = FLEX + b"bool\n)R(" + grid_of(1, 1) + b"U\x03\x02\x011tb."
    assert load_flex(raw, "x").tolist() == [[True]]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(masks=st.lists(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)), min_size=1, max_size=3))
def test_masks_round_trip(tmp_path, masks):
    write_mask_pickle(tmp_path / "m.pickle", masks)
    back = read_flex_pickle(tmp_path / "m.pickle")
    assert isinstance(back, tuple)
    for ours, theirs in zip(masks, back, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=hnp.arrays(float, (3, 4), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_maps_round_trip_to_the_last_bit(tmp_path, values):
    write_map_pickle(tmp_path / "g.pickle", [values])
    np.testing.assert_array_equal(read_maps(tmp_path / "g.pickle")[0], values)


def test_a_large_mask_takes_the_longer_opcode(tmp_path):
    mask = np.random.default_rng(0).random((300, 400)) < 0.5
    write_mask_pickle(tmp_path / "m.pickle", [mask, ~mask])
    np.testing.assert_array_equal(read_maps(tmp_path / "m.pickle")[1], ~mask)


def test_only_masks_and_finite_maps_are_written(tmp_path):
    with pytest.raises(ValueError, match="true and false"):
        write_mask_pickle(tmp_path / "m", [np.zeros((2, 2))])
    with pytest.raises(ValueError, match="two-dimensional"):
        write_mask_pickle(tmp_path / "m", [np.zeros(2, bool)])
    with pytest.raises(ValueError, match="finite"):
        write_map_pickle(tmp_path / "m", [np.full((2, 2), np.nan)])
    assert list(tmp_path.iterdir()) == []


def test_numpy_files(tmp_path):
    mask = np.arange(24).reshape(2, 3, 4) % 5 > 0
    np.save(tmp_path / "one.npy", mask[0])
    np.save(tmp_path / "two.npy", mask)
    np.savez(tmp_path / "two.npz", a=mask[0], b=mask[1])
    assert [len(read_maps(tmp_path / name)) for name in ("one.npy", "two.npy", "two.npz")] == [1, 2, 2]
    np.testing.assert_array_equal(read_maps(tmp_path / "two.npz")[1], mask[1])


def test_a_numpy_file_of_objects_is_refused(tmp_path, canary):
    np.save(tmp_path / "evil.npy", np.array([[canary.bomb]], object), allow_pickle=True)
    with pytest.raises(FormatError, match="NumPy"):
        read_flex_pickle(tmp_path / "evil.npy")
    canary.check()


def test_a_numpy_file_that_announces_too_much_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.zeros((5, 5), bool))
    raw = (tmp_path / "m.npy").read_bytes()
    for shape in (b"(9999,99), ", b"(5, 5     "):
        (tmp_path / "m.npy").write_bytes(raw.replace(b"(5, 5), ", shape)[: len(raw)])
        with pytest.raises(FormatError):
            read_flex_pickle(tmp_path / "m.npy")
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as packed:
        packed.writestr("a.npy", b"no array")
    with pytest.raises(FormatError):
        read_flex_pickle(tmp_path / "m.npz")


def test_what_is_no_map_is_described(tmp_path):
    (tmp_path / "m.pickle").write_bytes(b"(K\x01K\x02t.")
    with pytest.raises(FormatError, match="one two-dimensional array a panel expected, got int, int"):
        read_maps(tmp_path / "m.pickle")


def test_a_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(XdpError, match="cannot be read"):
        read_flex_pickle(tmp_path / "none.pickle")


class Bomb:
    """Pickles as a call of os.system."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Canary:
    """A bomb and the place where its smoke would be seen."""

    def __init__(self, path):
        self.path = path
        self.bomb = Bomb(path)

    def check(self):
        assert not self.path.exists()


@pytest.fixture
def canary(tmp_path):
    return Canary(tmp_path / "executed")


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_of_the_shell_is_only_a_name(tmp_path, canary, protocol):
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps((np.bool_, canary.bomb), protocol))
    with pytest.raises(FormatError, match=r"evil\.pickle: it asks for .*; only flex arrays"):
        read_flex_pickle(tmp_path / "evil.pickle")
    canary.check()


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
    (grid_of(2, 3), b"\x02\x05" + b"11111"),
    (grid_of(2, 3), b"\x02\x06" + b"11111"),
    (grid_of(2, 3), b"\x02\x06" + b"1111111"),
    (grid_of(2, 3), b"\x09" + b"\xff" * 8 + b"111111"),
    (grid_of(2, 3), b"\x82\x06" + b"111111"),
    (grid_of(2, 3), b"\x7f\x06"),
    (grid_of(2, 3), b""),
    (grid_of(), b"\x02\x01" + b"1"),
    (GRID + b"((K\x02K\x00t(K\x01K\x01ttR", b"\x00"),
    (GRID + b"((K\x00t(K\x01K\x01ttR", b"\x02\x01" + b"1"),
    (GRID + b"((t(t(ttR", b"\x00"),
    (b"K\x01", b"\x02\x01" + b"1"),
])
def test_arrays_that_disagree_with_themselves_are_refused(grid, numbers):
    with pytest.raises(FormatError):
        load_flex(flex_of(b"bool", grid, numbers) + b".", "x")


@pytest.mark.parametrize("kind", [b"int", b"double"])
@pytest.mark.parametrize("third", [b"", b"\x05\x01", b"\x7f\x01", b"\x00\x00", b"\x06\x01\x01", b"\x0a" + b"\x01" * 9])
def test_numbers_that_end_early_or_late_are_refused(kind, third):
    with pytest.raises(FormatError):
        load_flex(flex_of(kind, grid_of(3), b"\x02\x03\x00\x00" + third) + b".", "x")


def bounded(raw: bytes, limit: int = 4_000_000) -> None:
    """Reading refuses, in little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            load_flex(raw, "x")
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def test_announced_lengths_are_not_believed():
    bounded(b"B" + struct.pack("<I", 2**32 - 1) + b"x.")
    bounded(b"\x8e" + struct.pack("<Q", 2**62) + b"x.")
    bounded(b"\x95" + struct.pack("<Q", 2**62) + b"x.")
    bounded(b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x.")


def test_shared_parts_do_not_multiply():
    doubled = b"K\x01\x85" + b"2\x86" * 60 + b"."  # A tuple of 2^60 ones, made of 60 tuples.
    bounded(doubled)
    bounded(b"}" + doubled[:-1] + b"K\x01s.")  # As a key it would be hashed for ever.
    bounded(GRID + doubled[:-1] + b"\x85R.")
    listed = b"]q\0" + b"h\0h\0e".replace(b"e", b"ah\0a") * 40 + b"."
    bounded(listed)


def test_depth_is_bounded():
    bounded(b")" + b"\x85" * 100_000 + b".", 20_000_000)
    bounded(b"]q\0h\0a.")


def test_repeated_states_do_not_multiply_memory():
    state = b"B" + struct.pack("<I", 10_002) + b"\x03\x10\x27"[:3] + b"1" * 9_999
    grid = GRID + b"((K\0K\0t(M\x10\x27K\x01t\x88tR"
    one = FLEX + b"bool\n)R(" + grid + b"h\0tb"
    bounded(state + b"q\0(" + one * 1000 + b"t.")
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\0"
    bounded(b"(" + text + b"c_codecs\nencode\n(h\0Vlatin1\ntR" * 100 + b"t.")


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
    raw = bytearray(dials_mask(protocol))
    for at, value in changes:
        raw[at % len(raw)] = value
    read_or_refuse(bytes(raw[: cut or None]))


@FUZZ
@given(st.lists(st.sampled_from([bytes([code]) for code in range(256)] + [b"os\nsystem\n", b"K\x01", b"t", b")R"])))
def test_arbitrary_opcodes(parts):
    read_or_refuse(b"".join(parts))
