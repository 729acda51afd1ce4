"""Decoders of pixels against slow ones, and against nonsense."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xdp.images.formats.hdf5 import _kernels as kernels

pytestmark = pytest.mark.kernels


def shuffled_planes(pixels: np.ndarray) -> bytes:
    """Bits of `pixels` plane by plane, lowest first: bitshuffle's block, in NumPy."""
    bits = np.unpackbits(pixels.view(np.uint8).reshape(len(pixels), -1), axis=1, bitorder="little")
    return np.packbits(bits.T, axis=1, bitorder="little").tobytes()


def encode(pixels: np.ndarray, block: int) -> np.ndarray:
    """A bitshuffle-LZ4 stream without HDF5's header."""
    stream, at = b"", 0
    while len(pixels) - at >= 8:
        n = min(block, (len(pixels) - at) // 8 * 8)
        packed = imagecodecs.lz4_encode(shuffled_planes(pixels[at:at + n]))
        stream += len(packed).to_bytes(4, "big") + packed
        at += n
    return np.frombuffer(stream + pixels[at:].tobytes(), np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("n", [0, 5, 8, 100, 2048, 5003])
@pytest.mark.parametrize("high", [4, 300, None])
def test_bitshuffle_against_numpy(dtype, n, high):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(n).integers(0, min(high or top, top), n).astype(dtype)
    pixels[n // 2:n // 2 + 9] = top
    decoded = np.empty_like(pixels)
    assert kernels.bitshuffle_lz4(encode(pixels, 1024), 0, 1024, decoded) == kernels.OK
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_byte_unshuffle_against_numpy(dtype):
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, 1001).astype(dtype)
    shuffled = np.ascontiguousarray(pixels.view(np.uint8).reshape(1001, -1).T).reshape(-1)
    shuffled.setflags(write=False)
    decoded = np.empty_like(pixels)
    kernels.byte_unshuffle(shuffled, decoded)
    np.testing.assert_array_equal(decoded, pixels)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 700)), max_size=12))
@settings(deadline=None)
def test_lz4_undoes_its_encoder(runs):
    data = b"".join(bytes([value]) * n + bytes(range(n % 17)) for value, n in runs) or b"x"
    source = np.frombuffer(imagecodecs.lz4_encode(data), np.uint8)
    target = np.zeros(len(data), np.uint8)
    assert kernels.lz4_block(source, np.int64(0), np.int64(source.size), target, len(data)) == len(data)
    assert target.tobytes() == data


def test_lz4_long_lengths_and_overlap():
    # 300 literals (15 + 255 + 30), then a copy of 1000 bytes from 3 back, then the end.
    literals = bytes(range(250)) + bytes(50)
    block = bytes([0xFF, 255, 30]) + literals + bytes([3, 0]) + bytes([255, 255, 255, 216]) + bytes([0x10, 9])
    wanted = literals + (literals[-3:] * 400)[:1000] + b"\x09"
    target = np.zeros(len(wanted), np.uint8)
    source = np.frombuffer(block, np.uint8)
    assert kernels.lz4_block(source, np.int64(0), np.int64(source.size), target, len(wanted)) == len(wanted)
    assert target.tobytes() == wanted


@given(st.binary(min_size=0, max_size=300))
@settings(deadline=None, max_examples=300)
def test_nonsense_stays_within_its_buffers(data):
    # A wall of known bytes on both sides of the target: nothing may be written there.
    wall = np.full(64 + 400 + 64, 0xA5, np.uint8)
    source = np.frombuffer(data, np.uint8)
    kernels.lz4_block(source, np.int64(0), np.int64(source.size), wall[64:464], 400)
    kernels.lz4_stream(source, 0, 100, wall[64:464])
    kernels.bitshuffle_lz4(source, 0, 64, wall[64:464].view(np.uint32))
    kernels.bitshuffle_lz4(source, 0, 64, wall[64:464].view(np.uint16))
    assert (wall[:64] == 0xA5).all()
    assert (wall[464:] == 0xA5).all()


@pytest.mark.parametrize(("stream", "status"), [
    (b"", kernels.BAD_LENGTH),
    (b"\0\0\0\xff\x10a", kernels.BAD_LENGTH),
    (b"\0\0\0\2\x10a", kernels.BAD_BLOCK),
    (b"\xff\xff\xff\xff", kernels.BAD_LENGTH),
])
def test_streams_that_end_early(stream, status):
    source = np.frombuffer(stream, np.uint8)
    assert kernels.bitshuffle_lz4(source, 0, 8, np.zeros(8, np.uint16)) == status
    assert kernels.lz4_stream(source, 0, 16, np.zeros(16, np.uint8)) == status
