"""Finding the format of a file, also one of another package."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats import find
from xdp.images.formats.base import Format, Models


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "it is empty"), (b"# a text file\n", "it begins with b'# a text"), (None, "it is a folder")])
def test_unknown_files_are_named(tmp_path, content, reason):
    path = tmp_path / "thing.txt"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(FormatError, match=f"thing.txt: not an image file of a known format .{reason}"):
        find.find_format(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"nowhere.cbf: cannot be read: No such file"):
        find.find_format(tmp_path / "nowhere.cbf")


def test_formats_are_found_by_content_not_by_name(tmp_path, image_files):
    assert find.find_format(image_files.cbf_file(tmp_path / "a_1.dat")).name == "mini CBF"
    assert find.find_format(image_files.smv_file(tmp_path / "b_1.dat")).name == "SMV"
    assert find.find_format(image_files.marccd_file(tmp_path / "c_1.dat")).name == "MarCCD"


def test_site_formats_come_through_entry_points(tmp_path, monkeypatch):
    class Site(Format):
        name = "site's own"

        @classmethod
        def understands(cls, path, head):
            return head.startswith(b"SITE")

        def models(self, index=0):
            return Models()

        def raw(self, index=0):
            return [np.zeros((2, 3), np.int32)]

    class Entry:
        name = "site"

        @staticmethod
        def load():
            return Site

    find._load_plug_ins.cache_clear()
    offered = {"xdp.formats": [Entry]}
    monkeypatch.setattr(find.importlib.metadata, "entry_points", lambda group: offered.get(group, []))
    path = tmp_path / "x.site"
    path.write_bytes(b"SITE 1")
    try:
        assert find.find_format(path).raw()[0].shape == (2, 3)
    finally:
        find._load_plug_ins.cache_clear()
