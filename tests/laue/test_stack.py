"""Reading images by frames and by rows, whatever their chunks and filters."""

from __future__ import annotations

import pickle

import h5py
import hdf5plugin
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.laue.stack import ImageStack, RowTiles, choose_tile_rows, is_tiled, read_design, split_rows

IMAGES = np.random.default_rng(0).integers(0, 60000, (9, 21, 33)).astype(np.uint16)
STORED = [
    {"chunks": (1, 21, 33), "compression": "gzip"},
    {"chunks": (1, 5, 33), "compression": "gzip", "shuffle": True},
    {"chunks": (4, 8, 10), "compression": "gzip", "shuffle": True},
    {"chunks": (2, 8, 33), "compression": "lzf"},
    {"chunks": (1, 8, 33), **hdf5plugin.Bitshuffle()},
    {"chunks": (1, 8, 33)},
    {},
]


def write(path, data=IMAGES, name="images", **how):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=data, **how)
    return path


@pytest.mark.parametrize("how", STORED, ids=lambda how: str(how.get("chunks")))
def test_frames_and_rows(tmp_path, how):
    stack = ImageStack(write(tmp_path / "a.h5", **how))
    assert stack.shape == IMAGES.shape
    for frame in (0, 8):
        assert np.array_equal(stack.read_frame(frame), IMAGES[frame])
    for begin, end in ((0, 21), (3, 4), (7, 18), (20, 21)):
        assert np.array_equal(stack.read_rows(begin, end), IMAGES[:, begin:end])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, ">u2"])
def test_types_of_counts(tmp_path, dtype):
    data = (IMAGES % 200).astype(dtype)
    stack = ImageStack(write(tmp_path / "a.h5", data, chunks=(1, 7, 33), compression="gzip", shuffle=True))
    assert np.array_equal(stack.read_rows(2, 9), data[:, 2:9])


def test_chunks_never_written_are_zero(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("images", (3, 20, 10), np.uint16, chunks=(1, 10, 10), compression="gzip")
        data[1, :10] = 7
    rows = ImageStack(tmp_path / "a.h5").read_rows(5, 15)
    assert rows[1, :5].min() == 7
    assert rows.sum() == 7 * 50


def test_stack_opens_again_after_pickling(tmp_path):
    stack = pickle.loads(pickle.dumps(ImageStack(write(tmp_path / "a.h5", compression="gzip"))))
    assert np.array_equal(stack.read_frame(2), IMAGES[2])


def test_another_name_if_it_is_the_only_stack(tmp_path):
    assert np.array_equal(ImageStack(write(tmp_path / "a.h5", name="data/mccd")).read_frame(1), IMAGES[1])


@pytest.mark.parametrize(("make", "message"), [
    (lambda p: p.write_text("no"), "not a readable HDF5"),
    (lambda p: write(p, IMAGES[0]), "no dataset 'images'"),
    (lambda p: write(p, IMAGES[:0]), "at least one frame"),
    (lambda p: write(p, IMAGES.astype("S4")), "must hold numbers"),
], ids=["text", "2d", "empty", "strings"])
def test_files_without_images(tmp_path, make, message):
    make(tmp_path / "a.h5")
    with pytest.raises(FormatError, match=message):
        ImageStack(tmp_path / "a.h5")


def test_damaged_chunk(tmp_path):
    path = write(tmp_path / "a.h5", chunks=(1, 21, 33), compression="gzip")
    with h5py.File(path, "r+") as file:
        file["images"].id.write_direct_chunk((2, 0, 0), b"x\x9c not deflate")
        file["images"].id.write_direct_chunk((3, 0, 0), __import__("zlib").compress(bytes(10_000)))
        file["images"].id.write_direct_chunk((4, 0, 0), __import__("zlib").compress(bytes(10)))
    stack = ImageStack(path)
    for frame, message in ((2, "damaged"), (3, "damaged"), (4, "10 came")):
        with pytest.raises(FormatError, match=message):
            stack.read_frame(frame)


@pytest.mark.parametrize("tile_rows", [1, 4, 21, 40])
def test_row_tiles_in_a_scratch_file(tmp_path, tile_rows):
    path = tmp_path / "scratch"
    path.touch()
    tiles = RowTiles(str(path), IMAGES.shape, IMAGES.dtype, tile_rows)
    with open(path, "r+b") as file:
        for frame in (5, 0, 8, 1, 2, 3, 4, 6, 7):
            tiles.write_frame(file.fileno(), frame, IMAGES[frame])
    for begin, end in split_rows(21, tile_rows):
        assert np.array_equal(tiles.read_rows(begin, end), IMAGES[:, begin:end])
    for frame in (0, 3, 8):
        assert np.array_equal(tiles.read_frame(frame), IMAGES[frame])


def test_choice_of_tiles(tmp_path):
    tiled = ImageStack(write(tmp_path / "a.h5", chunks=(1, 5, 33)))
    whole = ImageStack(write(tmp_path / "b.h5", chunks=(1, 21, 33)))
    per_row = 9 * 33 * 2
    assert choose_tile_rows(tiled, 12 * per_row) == 10
    assert choose_tile_rows(tiled, per_row) == 1
    assert choose_tile_rows(whole, 12 * per_row) == 12
    assert is_tiled(tiled, 10)
    assert not is_tiled(tiled, 7)
    assert not is_tiled(whole, 12)
    assert is_tiled(whole, 21)


def add_group(path, **columns):
    with h5py.File(path, "a") as file:
        for name, column in columns.items():
            file[f"lauecollect/{name}"] = column
    return path


def test_laser_from_delay(tmp_path):
    path = add_group(write(tmp_path / "a.h5"), angle=np.arange(3.0), delay=np.array([np.nan, 1e-9, np.nan]))
    design = read_design(path, 3)
    assert design.laser.tolist() == [False, True, False]
    assert design.is_laser


def test_missing_angle_and_wrong_length(tmp_path):
    path = add_group(write(tmp_path / "a.h5"), laser=np.zeros(9))
    with pytest.raises(FormatError, match="no dataset lauecollect/angle"):
        read_design(path, 9)
    add_group(path, angle=np.zeros(8))
    with pytest.raises(FormatError, match=r"shape \(8,\), but there are 9 frames"):
        read_design(path, 9)


@pytest.mark.parametrize(("value", "message"), [
    (None, "must be a dataset"), (["a"] * 4, "must hold a number for each frame"),
    (h5py.Empty("f8"), "must hold a number for each frame"), (h5py.ExternalLink("none.h5", "/x"), "cannot be read"),
    (h5py.SoftLink("/none"), "cannot be read")])
def test_an_angle_that_is_none(tmp_path, value, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("lauecollect")
        if value is None:
            group.create_group("angle")
        else:
            group["angle"] = value
    with pytest.raises(FormatError, match=message):
        read_design(tmp_path / "a.h5", 4)


def test_images_behind_a_link_that_leads_nowhere(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = h5py.ExternalLink("none.h5", "/images")
    with pytest.raises(FormatError, match=r"a\.h5: cannot be read as HDF5"):
        ImageStack(tmp_path / "a.h5")
