"""Chunks of any shape, read from the file without libhdf5."""

from __future__ import annotations

import itertools
import zlib

import h5py
import hdf5plugin
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.hdf5 import chunks as module
from xdp.images.formats.hdf5.chunks import find_chunks

DATA = np.random.default_rng(3).poisson(9, (5, 22, 33)).astype(np.uint16)
FILTERS = {"none": {}, "gzip": {"compression": "gzip"}, "shuffle": {"compression": "gzip", "shuffle": True},
           "bitshuffle": dict(hdf5plugin.Bitshuffle()), "lz4": dict(hdf5plugin.LZ4()), "zstd": dict(hdf5plugin.Zstd())}


def write(path, data=DATA, **how):
    with h5py.File(path, "w", userblock_size=how.pop("userblock_size", 0)) as file:
        file.create_dataset("images", data=data, **how)
    return path


def found(path):
    with h5py.File(path, "r") as file:
        return find_chunks(file["images"])


def assemble(chunks, shape, dtype):
    """The whole data set from its chunks."""
    padded = np.empty([-(-n // size) * size for n, size in zip(shape, chunks.chunks, strict=True)], dtype)
    for place in itertools.product(*(range(-(-n // s)) for n, s in zip(shape, chunks.chunks, strict=True))):
        where = tuple(slice(i * size, (i + 1) * size) for i, size in zip(place, chunks.chunks, strict=True))
        padded[where] = chunks.read(place)
    return padded[tuple(map(slice, shape))]


@pytest.mark.parametrize("shape", [(1, 22, 33), (1, 8, 33), (2, 7, 10), (5, 22, 33)])
@pytest.mark.parametrize("filters", FILTERS)
def test_chunks_of_any_shape_are_those_that_h5py_reads(tmp_path, filters, shape):
    chunks = found(write(tmp_path / "a.h5", chunks=shape, **FILTERS[filters]))
    assert np.array_equal(assemble(chunks, DATA.shape, DATA.dtype), DATA)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.float32, np.float64, np.int64, ">u2"])
def test_bytes_of_numbers_of_any_size_are_unshuffled(tmp_path, dtype):
    data = DATA.astype(dtype)
    chunks = found(write(tmp_path / "a.h5", data, chunks=(1, 8, 33), compression="gzip", shuffle=True))
    whole = assemble(chunks, data.shape, dtype)
    assert whole.dtype == dtype
    assert np.array_equal(whole, data)


def test_a_chunk_is_decoded_to_where_it_is_wanted(tmp_path):
    chunks = found(write(tmp_path / "a.h5", chunks=(1, 22, 33), **FILTERS["shuffle"]))
    chunks.keep_open()
    out = np.zeros((1, 22, 33), np.uint16)
    assert chunks.read((3, 0, 0), out) is out
    assert np.array_equal(out[0], DATA[3])
    chunks.close()
    assert np.array_equal(chunks.read((4, 0, 0))[0], DATA[4])  # opens the file itself


def test_what_lies_in_one_piece_counts_as_chunks_of_a_frame(tmp_path):
    chunks = found(write(tmp_path / "a.h5"))
    assert chunks.chunks == (1, 22, 33)
    assert chunks.n_first == 5
    assert np.array_equal(chunks.read((2, 0, 0))[0], DATA[2])


def test_chunks_that_were_never_written_are_filled(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("images", (4, 20, 10), np.int32, chunks=(1, 10, 10), fillvalue=-7)
        data[1, :10] = 3
    chunks = found(tmp_path / "a.h5")
    assert (chunks.read((1, 0, 0)) == 3).all()
    assert (chunks.read((1, 1, 0)) == -7).all()
    assert (chunks.read((2, 1, 0), np.zeros((1, 10, 10), np.int32)) == -7).all()


def test_chunks_beyond_the_ends_of_a_shrunken_data_set_do_not_count(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("images", data=DATA, chunks=(1, 22, 33), maxshape=(None, 22, 33))
        data.resize((3, 22, 33))
    chunks = found(tmp_path / "a.h5")
    assert chunks.n_first == 3
    assert np.array_equal(chunks.read((2, 0, 0))[0], DATA[2])


@pytest.mark.parametrize("how", [
    {"compression": "lzf", "chunks": (1, 22, 33)}, {"chunks": (1, 22, 33), "userblock_size": 512},
    {"chunks": (1, 22, 33), "fletcher32": True}, {"dtype": "S2"}, {"dtype": "c16"}], ids=str)
def test_what_is_not_known_is_left_to_h5py(tmp_path, how):
    assert found(write(tmp_path / "a.h5", DATA.astype(how.pop("dtype", DATA.dtype)), **how)) is None


def test_too_many_chunks_are_left_to_h5py(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MAX_CHUNKS", 4)
    assert found(write(tmp_path / "a.h5", chunks=(1, 22, 33))) is None


def test_chunks_of_another_shape_are_not_looked_up(tmp_path):
    with h5py.File(write(tmp_path / "a.h5", chunks=(1, 8, 33)), "r") as file:
        assert find_chunks(file["images"], lambda chunks: chunks == (1, 22, 33)) is None
        assert find_chunks(file["images"], lambda chunks: chunks == (1, 8, 33)) is not None


@pytest.mark.parametrize(("chunk", "message"), [
    (b"x\x9c not deflate", "frame 3 is damaged: its deflate data are damaged"),
    (zlib.compress(bytes(10_000)), "frame 3 is damaged"),
    (zlib.compress(bytes(10)), "frame 3 is damaged: 1452 bytes expected, 10 came")])
def test_damaged_chunks(tmp_path, chunk, message):
    path = write(tmp_path / "a.h5", chunks=(1, 22, 33), compression="gzip")
    with h5py.File(path, "r+") as file:
        file["images"].id.write_direct_chunk((2, 0, 0), chunk)
    with pytest.raises(FormatError, match=message):
        found(path).read((2, 0, 0), name="frame 3")


def test_truncated_files(tmp_path):
    path = write(tmp_path / "a.h5", chunks=(1, 22, 33))
    chunks = found(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(FormatError, match=r"a\.h5: is truncated: chunk \(4, 0, 0\) should have 1452 bytes at"):
        chunks.read((4, 0, 0))
    path.unlink()
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        chunks.read((0, 0, 0))


def test_without_libdeflate_zlib_does_it(tmp_path, monkeypatch):
    import imagecodecs

    chunks = found(write(tmp_path / "a.h5", chunks=(1, 22, 33), compression="gzip"))
    monkeypatch.setattr(imagecodecs.DEFLATE, "available", False)
    monkeypatch.setattr(imagecodecs, "deflate_decode", None)
    assert np.array_equal(chunks.read((1, 0, 0))[0], DATA[1])
