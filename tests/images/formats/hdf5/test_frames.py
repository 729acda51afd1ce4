"""Frames of HDF5 data sets in every storage: as h5py reads them, without libhdf5 where it can be done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import nexus_maker
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.hdf5.frames import Frames

pytestmark = pytest.mark.kernels


def write(path, counts, storage="bitshuffle-lz4", chunks=None):
    with h5py.File(path, "w") as handle:
        nexus_maker.write_frames(handle, "data", counts, nexus_maker.STORAGES[storage], chunks)
    return str(path)


def is_direct(frames):
    return all(frames._get_chunks(segment) is not None for segment in frames._segments)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32])
@pytest.mark.parametrize("storage", nexus_maker.STORAGES)
def test_reads_what_h5py_reads(tmp_path, storage, dtype):
    counts = nexus_maker.example_counts(dtype=dtype)
    frames = Frames(write(tmp_path / "a.h5", counts, storage), ["data"])
    assert len(frames) == len(counts)
    for i, frame in enumerate(counts):
        np.testing.assert_array_equal(frames[i], frame)
    assert frames[0].dtype == dtype
    assert frames[0].flags.c_contiguous
    assert is_direct(frames) == (storage in nexus_maker.DIRECT)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (64, 64), (101, 203)])
def test_sizes_around_the_blocks_of_bitshuffle(tmp_path, shape):
    # 8 pixels are shuffled together, 4096 or 2048 make a block: sizes below, between and beyond.
    counts = np.random.default_rng(2).integers(0, 1 << 32, (2, *shape), np.uint32)
    frames = Frames(write(tmp_path / "a.h5", counts), ["data"])
    np.testing.assert_array_equal(np.stack([frames[0], frames[1]]), counts)


def test_frames_stored_in_one_piece(tmp_path):
    counts = nexus_maker.example_counts()
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["data"] = counts
    frames = Frames(str(tmp_path / "a.h5"), ["data"])
    np.testing.assert_array_equal(frames[3], counts[3])
    assert is_direct(frames)


@pytest.mark.parametrize("chunks", [(1, 10, 41), (2, 37, 41), (1, 37, 20)])
def test_chunks_that_are_no_frames_are_left_to_h5py(tmp_path, chunks):
    counts = nexus_maker.example_counts()
    frames = Frames(write(tmp_path / "a.h5", counts, chunks=chunks), ["data"])
    np.testing.assert_array_equal(frames[4], counts[4])
    assert not is_direct(frames)


def test_big_endian_and_floating_pixels(tmp_path):
    for dtype in (">u2", ">i4", "<f4", ">f4"):
        counts = nexus_maker.example_counts(dtype=np.uint16).astype(dtype)
        frames = Frames(write(tmp_path / f"{dtype[1:]}{dtype[0] == '>'}.h5", counts, "shuffle-gzip"), ["data"])
        assert frames[1].dtype.isnative
        np.testing.assert_array_equal(frames[1], counts[1])


def test_frame_that_was_never_written_has_the_fill_value(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        data = handle.create_dataset("data", (3, 4, 5), "u2", chunks=(1, 4, 5), fillvalue=7)
        data[0] = 1
    frames = Frames(str(tmp_path / "a.h5"), ["data"])
    assert (frames[0] == 1).all()
    assert (frames[2] == 7).all()


def test_chunk_whose_filter_was_skipped(tmp_path):
    counts = nexus_maker.example_counts(2)
    path = write(tmp_path / "a.h5", counts, "shuffle-gzip")
    with h5py.File(path, "r+") as handle:
        # Bits 0 and 1: neither shuffled nor compressed.
        handle["data"].id.write_direct_chunk((1, 0, 0), counts[0].tobytes(), filter_mask=3)
    frames = Frames(path, ["data"])
    np.testing.assert_array_equal(frames[1], counts[0])


@pytest.mark.parametrize("layout", ["links", "virtual", "alternating"])
def test_frames_in_several_files(tmp_path, maker, layout):
    counts = nexus_maker.example_counts(7)
    path = maker.write_nxmx(tmp_path / "m.h5", counts, layout=layout)
    names = ["entry/data/data_000001", "entry/data/data_000002"] if layout == "links" else ["entry/data/data"]
    frames = Frames(str(path), names)
    assert is_direct(frames)
    assert {segment.file for segment in frames._segments} == {str(tmp_path / f"m_data_00000{i}.h5") for i in (1, 2)}
    for i, frame in enumerate(counts):
        np.testing.assert_array_equal(frames[i], frame)


def test_virtual_data_set_of_parts_of_frames_is_left_to_h5py(tmp_path):
    counts = nexus_maker.example_counts(4)
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        for name, part in (("left", counts[:, :, :20]), ("right", counts[:, :, 20:])):
            nexus_maker.write_frames(handle, name, part)
        layout = h5py.VirtualLayout(counts.shape, counts.dtype)
        layout[:, :, :20] = h5py.VirtualSource(".", "left", (4, 37, 20))
        layout[:, :, 20:] = h5py.VirtualSource(".", "right", (4, 37, 21))
        handle.create_virtual_dataset("data", layout)
    frames = Frames(str(tmp_path / "a.h5"), ["data"])
    np.testing.assert_array_equal(frames[2], counts[2])


def test_threads_share_a_file(tmp_path):
    counts = nexus_maker.example_counts(40)
    frames = Frames(write(tmp_path / "a.h5", counts), ["data"])
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(frames.__getitem__, [*range(40)] * 3))
    np.testing.assert_array_equal(np.stack(read), np.concatenate([counts] * 3))


def chunk_place(path, frame):
    with h5py.File(path) as handle:
        info = handle["data"].id.get_chunk_info_by_coord((frame, 0, 0))
    return info.byte_offset, info.size


def test_truncated_data_are_named(tmp_path):
    path = write(tmp_path / "a.h5", nexus_maker.example_counts())
    frames = Frames(path, ["data"])
    frames[0]
    offset, size = chunk_place(path, 4)
    with open(path, "r+b") as stream:
        stream.truncate(offset + size // 2)
    with pytest.raises(FormatError, match=r"a\.h5.*truncated"):
        frames[4]


@pytest.mark.parametrize("storage", sorted(nexus_maker.DIRECT - {"none", "shuffle"}))
def test_damaged_chunk_is_an_error_or_other_pixels(tmp_path, storage):
    counts = nexus_maker.example_counts(2)
    path = write(tmp_path / "a.h5", counts, storage)
    offset, size = chunk_place(path, 1)
    original = Path(path).read_bytes()
    random = np.random.default_rng(3)
    n_refused = 0
    for _ in range(100):
        data = bytearray(original)
        at = offset + random.integers(0, size, 4)
        for i in at:
            data[i] = random.integers(0, 256)
        with open(path, "wb") as stream:
            stream.write(data)
        frames = Frames(path, ["data"])
        try:
            assert frames[1].shape == counts.shape[1:]
        except FormatError as error:
            assert "a.h5" in str(error)  # noqa: PT017  other bytes may decode too
            n_refused += 1
        np.testing.assert_array_equal(frames[0], counts[0])
    assert n_refused > 0


@pytest.mark.parametrize(("field", "value"), [("total", 1 << 40), ("block", 12), ("block", 0), ("block", 1 << 31)])
def test_header_of_a_bitshuffled_chunk_is_checked(tmp_path, field, value):
    path = write(tmp_path / "a.h5", nexus_maker.example_counts(1))
    offset, _ = chunk_place(path, 0)
    with open(path, "r+b") as stream:
        stream.seek(offset + (0 if field == "total" else 8))
        stream.write(value.to_bytes(8 if field == "total" else 4, "big"))
    with pytest.raises(FormatError, match="frame 1 is damaged"):
        Frames(path, ["data"])[0]


def test_huge_frames_are_not_allocated(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.create_dataset("data", (1, 1 << 20, 1 << 20), "u4", chunks=(1, 1024, 1024))
    with pytest.raises(FormatError, match="claims frames"):
        Frames(str(tmp_path / "a.h5"), ["data"])


def test_data_sets_that_do_not_fit_together(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["a"], handle["b"], handle["c"] = (np.zeros((2, 3, 4), "u2"), np.zeros((2, 3, 5), "u2"),
                                                 np.zeros((2, 3, 4), "u4"))
        handle["flat"], handle["words"] = np.zeros(3), np.array([[[b"a"]]])
    path = str(tmp_path / "a.h5")
    for names, complaint in ((["a", "b"], "different sizes"), (["a", "c"], "different types"),
                             (["flat"], "three dimensions"), (["words"], "must hold numbers"), ([], "no stack")):
        with pytest.raises(FormatError, match=complaint):
            Frames(path, names)


def test_frame_beyond_the_end(tmp_path):
    frames = Frames(write(tmp_path / "a.h5", nexus_maker.example_counts(2)), ["data"])
    with pytest.raises(IndexError):
        frames[2]


def test_one_frame_without_a_frame_axis(tmp_path):
    counts = np.arange(12, dtype=np.uint16).reshape(3, 4)
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["data"] = counts
        handle["row"] = counts[0]
    frames = Frames(str(tmp_path / "a.h5"), ["data"])
    assert (len(frames), frames.shape) == (1, (3, 4))
    np.testing.assert_array_equal(frames[0], counts)
    with pytest.raises(FormatError, match=r"row must be a stack of frames"):
        Frames(str(tmp_path / "a.h5"), ["row"])
