"""Heads are compared with what the msgpack package writes and reads."""

from __future__ import annotations

import io

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdp.errors import FormatError
from xdp.reflections import messages
from xdp.reflections.messages import MessageReader


def reader(raw: bytes) -> MessageReader:
    return MessageReader(io.BytesIO(raw), "x.refl", len(raw))


@given(st.integers(0, 2**64 - 1))
def test_numbers(value):
    assert reader(msgpack.packb(value)).read_number() == value
    assert messages.pack(value) == msgpack.packb(value)


@given(st.text(max_size=300))
def test_texts(value):
    assert reader(msgpack.packb(value)).read_text() == value


@pytest.mark.parametrize("n", [0, 255, 256, 65535, 65536])
def test_blobs(n):
    raw = messages.pack_blob(n) + bytes(n)
    assert raw == msgpack.packb(bytes(n))
    assert reader(raw).read_blob().tobytes() == bytes(n)


@pytest.mark.parametrize("n", [0, 15, 16, 70000])
def test_maps_and_arrays(n):
    assert reader(messages.pack_map(n)).read_map() == n
    reader(messages.pack_array(n)).read_array(n)


def test_a_blob_is_writable():
    blob = reader(msgpack.packb(b"abc")).read_blob()
    blob[0] = 0
    assert blob.dtype == np.uint8


@pytest.mark.parametrize("method", ["read_number", "read_text", "read_map", "read_blob"])
def test_another_item_is_refused(method):
    with pytest.raises(FormatError, match=r"x\.refl: .*expected, got byte 0xc0"):
        getattr(reader(msgpack.packb(None)), method)()


def test_an_announced_length_is_not_believed():
    announced = b"\xc6\xff\xff\xff\xff" + b"abc"
    with pytest.raises(FormatError, match="4294967295 bytes announced, 3 left"):
        reader(announced).read_blob()
    with pytest.raises(FormatError, match="3 left"):
        MessageReader(io.BytesIO(announced), "x.refl.gz").read_blob()
