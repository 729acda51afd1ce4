"""The CBF kernels against slow twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xdp.images.formats.cbf import _kernels as kernels
from xdp.images.formats.cbf.sections import encode_byte_offset

pytestmark = pytest.mark.kernels

INT32 = st.one_of(st.integers(-3, 3), st.integers(-200, 200), st.integers(-40000, 40000),
                  st.integers(-(2**31), 2**31 - 1))


def encode_twin(values):
    """Byte offset, as the manual's text has it."""
    out, last = bytearray(), 0
    for value in (int(v) for v in values):
        delta, last = value - last, value
        if abs(delta) < 128:
            out += delta.to_bytes(1, "little", signed=True)
        elif abs(delta) < 32768:
            out += b"\x80" + delta.to_bytes(2, "little", signed=True)
        elif abs(delta) < 2**31:
            out += b"\x80\x00\x80" + delta.to_bytes(4, "little", signed=True)
        else:
            out += b"\x80\x00\x80\x00\x00\x00\x80" + delta.to_bytes(8, "little", signed=True)
    return bytes(out)


def decode(data, n):
    out = np.full(n, -77, dtype=np.int32)
    return out, *kernels.decode_byte_offset(np.frombuffer(data, np.int8), out)


@settings(deadline=None)  # the first call compiles
@given(hnp.arrays(np.int32, st.integers(1, 60), elements=INT32))
def test_byte_offset_round_trip(values):
    data = encode_byte_offset(values)
    assert data == encode_twin(values)
    out, n_decoded, n_used = decode(data, values.size)
    assert n_decoded == values.size
    assert n_used == len(data)
    np.testing.assert_array_equal(out, values)


@settings(deadline=None)  # the first call compiles
@given(hnp.arrays(np.int32, st.integers(1, 30), elements=INT32), st.integers(1, 50))
def test_byte_offset_cut_short_gives_a_short_count(values, cut):
    data = encode_byte_offset(values)[:-cut]
    out, n_decoded, n_used = decode(data, values.size)
    assert n_decoded < values.size
    assert n_used <= len(data)
    np.testing.assert_array_equal(out[:n_decoded], values[:n_decoded])
    assert np.all(out[n_decoded:] == -77)


@settings(deadline=None)  # the first call compiles
@given(st.binary(max_size=200), st.integers(0, 100))
def test_byte_offset_of_any_bytes_stays_inside(data, n):
    buffer = np.full(n + 16, -77, dtype=np.int32)
    n_decoded, n_used = kernels.decode_byte_offset(np.frombuffer(data, np.int8), buffer[8:8 + n])
    assert 0 <= n_decoded <= n
    assert 0 <= n_used <= len(data)
    assert np.all(buffer[:8] == -77)
    assert np.all(buffer[8 + n:] == -77)


def predict_twin(image, z, y, x, correlated):
    """The mean that packing subtracts, by the picture of the manual: neighbours known already."""
    n_fast = image.shape[2]
    if y == 0:
        if x:
            return int(image[z, 0, x - 1])
        return int(image[z - 1, 0, 0]) if z else 0
    places = [(y, x - 1)] if x else []
    if x < n_fast - 1 or x == 0:
        places.append((y - 1, x + 1))
    places.append((y - 1, x))
    if 0 < x < n_fast - 1:
        places.append((y - 1, x - 1))
    values = [int(image[z, p, q]) for p, q in places]
    if z and correlated:
        values += [int(image[z - 1, p, q]) for p, q in places if p < y]
        values += [int(image[z - 1, y, x])] if x else []
    n = len(values)
    return (sum(values) + n // 2) // n if n in (2, 4, 8) else sum(values)


def pack_twin(image, correlated, table):
    """Pack an image (sections, slow, fast) one pixel a group, each with the fewest bits that hold it."""
    bits = []

    def put(value, width):
        bits.extend((value >> i) & 1 for i in range(width))

    code_bits = 3 if len(table) == 8 else 4
    for (z, y, x), value in np.ndenumerate(image):
        delta = int(value) - predict_twin(image, z, y, x, correlated)
        code = next(i for i, w in enumerate(table) if delta == 0 or (w and -(1 << (w - 1)) <= delta < 1 << (w - 1)))
        put(0, 3)
        put(code, code_bits)
        put(delta & ((1 << int(table[code])) - 1), int(table[code]))
    return bytes(kernels.PACKED_HEADER_SIZE) + np.packbits(bits, bitorder="little").tobytes()


@pytest.mark.parametrize("shape", [(1, 1, 7), (1, 5, 6), (3, 4, 5), (2, 1, 3)])
@pytest.mark.parametrize("correlated", [True, False])
@pytest.mark.parametrize("table", [kernels.PACKED_BITS, kernels.PACKED_BITS_V2], ids=["v1", "v2"])
def test_packed_gives_back_what_the_twin_packs(shape, correlated, table):
    rng = np.random.default_rng(3)
    image = np.where(rng.random(shape) < 0.2, rng.integers(-9000, 60000, shape), rng.poisson(9, shape)).astype(np.int32)
    data = np.frombuffer(pack_twin(image, correlated, table), np.uint8)
    out = np.zeros(image.size, dtype=np.int32)
    packing = kernels.Packing(shape[2], shape[1], table, correlated, True)
    assert kernels.decode_packed(data, out, packing) == image.size
    np.testing.assert_array_equal(out.reshape(shape), image)
    assert kernels.decode_packed(data[:-2], out, packing) < image.size


@settings(deadline=None)  # the first call compiles
@given(st.binary(min_size=0, max_size=150), st.integers(1, 9), st.integers(1, 5), st.booleans())
def test_packed_of_any_bytes_stays_inside(data, n_fast, n_mid, averaged):
    n = n_fast * n_mid * 2
    buffer = np.full(n + 16, -77, dtype=np.int32)
    packing = kernels.Packing(n_fast, n_mid, kernels.PACKED_BITS, True, averaged)
    n_decoded = kernels.decode_packed(np.frombuffer(data, np.uint8), buffer[8:8 + n], packing)
    assert 0 <= n_decoded <= n
    assert np.all(buffer[:8] == -77)
    assert np.all(buffer[8 + n:] == -77)
