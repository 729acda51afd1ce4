"""Inputs that never end, or grow when they are unpacked: pipes, devices, compressed bombs. One line, at once."""

from __future__ import annotations

import bz2
import gzip
import os
import resource
import struct
import time
import zipfile
import zlib
from pathlib import Path

import msgpack
import numpy as np
import pytest
from image_files import cbf_file, edf_bytes, marccd_file, pixels, smv_file, tiff_bytes

from xdp.cli.main import main
from xdp.errors import FormatError
from xdp.images.formats import files
from xdp.images.formats.find import find_format
from xdp.images.formats.limits import MAX_INFLATED_BYTES
from xdp.images.masks.pickles import read_flex_pickle
from xdp.logs import stop_log
from xdp.reflections.refl import read_reflections

SECONDS = 2.0
WORDS = [
    "import {}.cbf", "show {}.cbf", "find_spots {}.cbf", "import {}.h5", "import {}.npy", "import {}_####.cbf",
    "show {}.expt", "find_spots {}.expt", "index good.expt {}.refl", "show {}.refl", "integrate {}.expt {}.refl",
    "show {}.refl.gz", "find_spots good_0001.cbf lookup.mask={}.mask", "import good_0001.cbf lookup.gain={}.mask",
    "import good_0001.cbf lookup.mask={}.mask", "import good_0001.cbf reference_geometry={}.expt",
    "find_spots good_0001.cbf {}.phil", "find_spots good_0001.cbf --phil {}.phil", "laue_spots {}.h5",
    "laue_import {}.log good_0001.cbf", "laue_import {}.jp2 start=0 step=1",
    "find_spots good_0001.cbf mp.method=slurm cluster.config={}.yaml",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with one good image and its experiment."""
    monkeypatch.chdir(tmp_path)
    cbf_file(Path("good_0001.cbf"))
    assert main(["import", "good_0001.cbf", "output.experiments=good.expt", "output.log=None"]) == 0
    yield tmp_path
    stop_log()


def complaint(capsys, words: list[str]) -> str:
    """What a command says that ends with one line in time."""
    capsys.readouterr()
    start = time.perf_counter()
    status = main(words)
    seconds = time.perf_counter() - start
    error = capsys.readouterr().err
    assert status == 1, words
    assert error.count("\n") == 1, error
    assert seconds < SECONDS
    return error


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("words", WORDS)
def test_pipes_and_devices_are_no_files(folder, capsys, kind, words):
    for ending in ("cbf", "h5", "npy", "expt", "refl", "refl.gz", "mask", "phil", "log", "jp2", "yaml", "pickle"):
        for name in (f"bad.{ending}", f"bad_0001.{ending}"):
            os.mkfifo(name) if kind == "pipe" else os.symlink("/dev/zero", name)
    error = complaint(capsys, words.format(*["bad"] * 2).split())
    assert f"it is a {kind}" in error or "no such image file" in error or "is not a file" in error, error
    assert "bad" in error


def test_an_image_that_became_a_pipe(folder, capsys):
    os.unlink("good_0001.cbf")
    os.mkfifo("good_0001.cbf")
    for command in ("find_spots", "convert", "export_images", "estimate_gain"):
        assert "it is a pipe" in complaint(capsys, [command, "good.expt"])


def test_links_of_master_files_to_pipes(folder, capsys):
    import h5py

    os.mkfifo("data.h5")
    with h5py.File("master.h5", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = np.bytes_("NXentry")
        data = entry.create_group("data")
        data.attrs["NX_class"] = np.bytes_("NXdata")
        data["data_000001"] = h5py.ExternalLink("data.h5", "/entry/data/data")
    assert "master.h5" in complaint(capsys, ["import", "master.h5"])


# ---- compressed files


IMAGES = {
    "cbf": lambda path: cbf_file(path).read_bytes(), "img": lambda path: smv_file(path).read_bytes(),
    "mccd": lambda path: marccd_file(path).read_bytes(), "edf": lambda path: edf_bytes(pixels()),
    "tif": lambda path: tiff_bytes(pixels().astype(np.uint16)),
    "edf_stack": lambda path: 3 * edf_bytes(pixels()),
}


def bomb(path: Path, data: bytes, gigabytes: int) -> None:
    """Write data followed by zeros as a compressed file: of gzip in one stream without an end."""
    zeros, n = bytes(1 << 24), 64 * gigabytes
    if path.suffix == ".bz2":
        path.write_bytes(bz2.compress(data) + n * bz2.compress(zeros))
        return
    pack = zlib.compressobj(wbits=31)
    head = pack.compress(data) + pack.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(head + n * (pack.compress(zeros) + pack.flush(zlib.Z_FULL_FLUSH)))


@pytest.fixture
def little_memory():
    """A limit of what this process may allocate beyond what it has: a gigabyte."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("ending", IMAGES)
def test_no_more_is_unpacked_than_the_header_needs(tmp_path, little_memory, ending):
    """Ten kinds of images with half a gigabyte of zeros behind them give the same pixels as without."""
    plain = tmp_path / f"a_0001.{ending.partition('_')[0]}"
    data = IMAGES[ending](plain)
    plain.write_bytes(data)
    good = find_format(plain)
    bad = tmp_path / f"{plain.name}.gz"
    bomb(bad, data, 2)
    start = time.perf_counter()
    found = find_format(bad)
    assert found.n_images == good.n_images
    for i in range(good.n_images):
        assert all(np.array_equal(a, b) for a, b in zip(found.raw(i), good.raw(i), strict=True))
    assert time.perf_counter() - start < SECONDS


def test_the_case_of_a_user(folder, capsys):
    """A small file that unpacks to gigabytes opens in a moment."""
    path = Path("bomb_0001.img.bz2")
    data = smv_file(Path("plain_0001.img")).read_bytes()
    bomb(path, data, 1)
    assert path.stat().st_size < 10_000
    start = time.perf_counter()
    assert main(["show", str(path), "image_statistics.show_raw=True"]) == 0
    assert time.perf_counter() - start < SECONDS


def test_headers_that_promise_gigabytes(tmp_path, little_memory):
    path = tmp_path / "a_0001.img.gz"
    header = (b"{\nHEADER_BYTES=512;\nTYPE=unsigned_short;\nSIZE1=20000;\nSIZE2=20000;\nBYTE_ORDER=little_endian;\n}\n")
    bomb(path, header.ljust(512), 2)
    with pytest.raises(FormatError, match=r"a_0001\.img\.gz: its header promises 1600000512 bytes, more than"):
        find_format(path).raw()


def test_a_tiff_whose_directory_lies_gigabytes_away(tmp_path, little_memory):
    path = tmp_path / "a_0001.tif.gz"
    bomb(path, b"II*\0" + struct.pack("<I", 0xF0000000), 2)
    start = time.perf_counter()
    with pytest.raises(FormatError, match=r"a_0001\.tif\.gz"):
        find_format(path)
    assert time.perf_counter() - start < SECONDS


def test_what_has_no_header_stops_at_a_gigabyte(tmp_path, monkeypatch):
    assert MAX_INFLATED_BYTES == 1 << 30
    monkeypatch.setattr(files, "MAX_INFLATED_BYTES", 1 << 26)
    path = tmp_path / "a.gz"
    bomb(path, b"", 1)
    with pytest.raises(FormatError, match="holds more than 67108864 bytes"):
        files.read_bytes(path)


def test_tables_whose_columns_are_longer_than_their_rows(tmp_path, little_memory):
    """The length of a column is known before it is read."""
    path = tmp_path / "a.refl.gz"
    head = msgpack.packb("dials::af::reflection_table"), msgpack.packb(1)
    columns = (msgpack.packb("id") + b"\x92" + msgpack.packb("int") + b"\x92" + msgpack.packb(3)
               + b"\xc6\xff\xff\xff\xfc")
    parts = msgpack.packb("nrows") + msgpack.packb(3) + msgpack.packb("data") + b"\x81" + columns
    bomb(path, b"\x93" + b"".join(head) + b"\x82" + parts, 4)
    start = time.perf_counter()
    with pytest.raises(FormatError, match=r"a\.refl\.gz: .*3 rows of int need 12 bytes, got 4294967292"):
        read_reflections(path)
    assert time.perf_counter() - start < SECONDS


def test_masks_that_unpack_to_gigabytes(tmp_path, little_memory):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("a.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "|b1", "fortran_order": False, "shape": (2**15, 36864)})
        for _ in range(72):
            member.write(bytes(1 << 24))
    with pytest.raises(FormatError, match=r"a\.npz: .*its arrays take more than 1 GiB"):
        read_flex_pickle(path)


def test_damage_behind_the_pixels_is_still_seen(tmp_path):
    """The checksum at the end of a gzip file is looked at, since an image is no longer than its header says."""
    path = tmp_path / "a_0001.cbf"
    packed = bytearray(gzip.compress(cbf_file(path).read_bytes()))
    packed[-6] ^= 1
    bad = tmp_path / "a_0001.cbf.gz"
    bad.write_bytes(packed)
    with pytest.raises(FormatError, match="damaged"):
        find_format(bad).raw()
