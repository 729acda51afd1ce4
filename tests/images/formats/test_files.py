"""Reading files of images, plain and compressed."""

from __future__ import annotations

import bz2
import gzip
import zlib

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats import files
from xdp.images.formats.find import find_format


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress)])
def test_read_bytes_gives_what_was_compressed(tmp_path, suffix, pack):
    content = np.random.default_rng(0).integers(0, 9, 300_000, dtype=np.uint8).tobytes()
    path = tmp_path / f"file.dat{suffix}"
    path.write_bytes(pack(content))
    assert files.read_bytes(path) == content
    assert files.read_head(path) == content[: files.HEAD_SIZE]
    assert files.read_head(path, 10) == content[:10]


def test_members_and_padding_of_gzip_files(tmp_path):
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two") + bytes(512))
    assert files.read_bytes(path) == b"one two"


@pytest.mark.parametrize("cut", [5, 100, -3])
def test_truncated_compressed_file_is_an_error(tmp_path, cut):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(np.random.default_rng(0).bytes(5000))[:cut])
    with pytest.raises(FormatError, match=r"cut.gz: (cannot be decompressed: it is truncated|its compressed data)"):
        files.read_bytes(path)


def test_damaged_compressed_file_is_an_error(tmp_path):
    path = tmp_path / "bad.bz2"
    path.write_bytes(b"BZh9 and no more of bzip2")
    with pytest.raises(FormatError, match=r"bad.bz2: its compressed data are damaged"):
        files.read_bytes(path)


def test_bomb_stops_at_the_largest_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_INFLATED_BYTES", 1 << 16)
    path = tmp_path / "bomb.gz"
    path.write_bytes(zlib.compress(bytes(1 << 20), wbits=31))
    with pytest.raises(FormatError, match="more than 65536 bytes"):
        files.read_bytes(path)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_images_open_like_plain_ones(tmp_path, image_files, suffix, pack):
    image = image_files.pixels(32, 32)
    written = [image_files.cbf_file(tmp_path / "a_0001.cbf", image), image_files.smv_file(tmp_path / "a_1.img", image),
               image_files.marccd_file(tmp_path / "a_1.mccd", image)]
    for path in written:
        packed = path.with_name(path.name + suffix)
        packed.write_bytes(pack(path.read_bytes()))
        plain, opened = find_format(path), find_format(packed)
        np.testing.assert_array_equal(opened.raw()[0], plain.raw()[0])
        assert opened.models() == plain.models()
