"""Finding formats, and reading compressed files."""

import bz2
import gzip
import zlib

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats import base


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress)])
def test_read_bytes_gives_what_was_compressed(tmp_path, suffix, pack):
    content = np.random.default_rng(0).integers(0, 9, 300_000, dtype=np.uint8).tobytes()
    path = tmp_path / f"file.dat{suffix}"
    path.write_bytes(pack(content))
    assert base.read_bytes(path) == content
    assert base.read_head(path) == content[: base.HEAD_SIZE]
    assert base.read_head(path, 10) == content[:10]


def test_members_and_padding_of_gzip_files(tmp_path):
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two") + bytes(512))
    assert base.read_bytes(path) == b"one two"


@pytest.mark.parametrize("cut", [5, 100, -3])
def test_truncated_compressed_file_is_an_error(tmp_path, cut):
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(np.random.default_rng(0).bytes(5000))[:cut])
    with pytest.raises(FormatError, match=r"cut.gz: (cannot be decompressed: it is truncated|its compressed data)"):
        base.read_bytes(path)


def test_damaged_compressed_file_is_an_error(tmp_path):
    path = tmp_path / "bad.bz2"
    path.write_bytes(b"BZh9 and no more of bzip2")
    with pytest.raises(FormatError, match=r"bad.bz2: its compressed data are damaged"):
        base.read_bytes(path)


def test_bomb_stops_at_the_largest_file(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "MAX_FILE_SIZE", 1 << 16)
    path = tmp_path / "bomb.gz"
    path.write_bytes(zlib.compress(bytes(1 << 20), wbits=31))
    with pytest.raises(FormatError, match="more than 65536 bytes"):
        base.read_bytes(path)


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "it is empty"), (b"# a text file\n", "it begins with b'# a text"), (None, "it is a folder")])
def test_unknown_files_are_named(tmp_path, content, reason):
    path = tmp_path / "thing.txt"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(FormatError, match=f"thing.txt: not an image file of a known format .{reason}"):
        base.find_format(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"nowhere.cbf: cannot be read: No such file"):
        base.find_format(tmp_path / "nowhere.cbf")


def test_formats_are_found_by_content_not_by_name(tmp_path, image_files):
    assert base.find_format(image_files.cbf_file(tmp_path / "a_1.dat")).name == "mini CBF"
    assert base.find_format(image_files.smv_file(tmp_path / "b_1.dat")).name == "SMV"
    assert base.find_format(image_files.marccd_file(tmp_path / "c_1.dat")).name == "MarCCD"


def test_site_formats_come_through_entry_points(tmp_path, monkeypatch):
    class Site(base.Format):
        name = "site's own"

        @classmethod
        def understands(cls, path, head):
            return head.startswith(b"SITE")

        def models(self, index=0):
            return base.Models()

        def raw(self, index=0):
            return [np.zeros((2, 3), np.int32)]

    class Entry:
        name = "site"

        @staticmethod
        def load():
            return Site

    base._plug_ins.cache_clear()
    offered = {"xdp.formats": [Entry]}
    monkeypatch.setattr(base.importlib.metadata, "entry_points", lambda group: offered.get(group, []))
    path = tmp_path / "x.site"
    path.write_bytes(b"SITE 1")
    try:
        assert base.find_format(path).raw()[0].shape == (2, 3)
    finally:
        base._plug_ins.cache_clear()
