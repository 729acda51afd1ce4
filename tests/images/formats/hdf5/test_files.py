"""HDF5 files, opened and asked with care."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError, OptionError
from xdp.images.formats.hdf5.files import (
    convert_hdf5_errors,
    decode_text,
    explain_missing,
    find_external_file,
    get_child,
    list_children_of_class,
    locate_data_file,
    open_hdf5,
    read_number,
    read_stated_number,
    read_text,
)


@pytest.fixture
def handle(tmp_path):
    """A file with a bit of everything."""
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["words"] = "ten"
        handle["bytes"] = np.bytes_("ten")
        handle["number"] = np.float32(1.5)
        handle["numbers"] = [1, 2]
        handle["infinite"] = np.inf
        handle["link"] = h5py.ExternalLink("b.h5", "/x")
        for name in ("second", "first"):
            handle.create_group(name).attrs["NX_class"] = np.bytes_("NXdetector")
        yield handle


@pytest.mark.parametrize(("value", "expected"), [
    ("a", "a"), (b"a", "a"), (np.array([b"a"]), "a"), (np.array("a", object), "a"), (np.array([b"a", b"b"]), None),
    (1, None), (b"\xff", "\ufffd")])
def test_text_is_read_however_it_was_written(value, expected):
    assert decode_text(value) == expected


def test_what_is_not_there_or_of_another_kind_is_none(handle):
    assert (read_text(handle, "words"), read_text(handle, "bytes")) == ("ten", "ten")
    assert [read_text(handle, name) for name in ("number", "numbers", "nowhere", "first")] == [None] * 4
    assert read_number(handle, "number") == 1.5
    assert [read_number(handle, name) for name in ("words", "numbers", "infinite", "nowhere")] == [None] * 4
    assert get_child(handle, "link") is None
    assert [group.name for group in list_children_of_class(handle, "NXdetector")] == ["/first", "/second"]


def test_missing_data_files_are_explained(handle, tmp_path):
    assert find_external_file(handle, "number") is None
    assert find_external_file(handle, "link") == str(tmp_path / "b.h5")
    assert explain_missing(handle["first"], "x") == "has no data set /first/x"
    assert "is missing" in explain_missing(handle, "link")
    (tmp_path / "b.h5").write_bytes(b"")
    assert "cannot be found in its data file" in explain_missing(handle, "link")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(50)])
def test_what_is_no_sound_file_is_named(tmp_path, content):
    (tmp_path / "bad.h5").write_bytes(content)
    with pytest.raises(FormatError, match=r"bad\.h5: "), open_hdf5(tmp_path / "bad.h5"):
        pass


def test_errors_name_the_file_once_and_on_one_line():
    complaint = r"^a\.h5: is damaged: no such key$"
    with pytest.raises(FormatError, match=complaint), convert_hdf5_errors("a.h5", "is damaged"):
        raise ValueError("no\nsuch  key")
    with pytest.raises(FormatError, match=r"^a\.h5: of our own$"), convert_hdf5_errors("a.h5"):
        raise FormatError("a.h5: of our own")
    with pytest.raises(FormatError, match=r"^a\.h5: of our own$"), convert_hdf5_errors("a.h5"):
        raise OptionError("of our own")
    with pytest.raises(ZeroDivisionError), convert_hdf5_errors("a.h5"):
        raise ZeroDivisionError


def test_numbers_that_count_are_read_or_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        for name, value in {"number": 7, "text": "7", "bytes": b" 7.0 ", "equal": [7.0, 7.0]}.items():
            handle[name] = value
            assert read_stated_number(handle, name) == 7.0
        for name, value in {"nan": np.nan, "word": "high", "unequal": [1.0, 2.0]}.items():
            handle[name] = value
            with pytest.raises(FormatError, match=f"/{name} must be one finite number"):
                read_stated_number(handle, name)
        assert read_stated_number(handle, "absent") is None


def test_data_files_are_sought_as_the_library_does(tmp_path):
    (tmp_path / "raw").mkdir()
    for name in ("raw/m.h5", "raw/d.h5"):
        (tmp_path / name).touch()
    (tmp_path / "link.h5").symlink_to("raw/m.h5")
    found = str(tmp_path / "raw" / "d.h5")
    assert locate_data_file(str(tmp_path / "raw" / "m.h5"), "d.h5") == found
    assert locate_data_file(str(tmp_path / "link.h5"), "d.h5") == found
    assert locate_data_file(str(tmp_path / "link.h5"), "/beamline/disk/d.h5") == found  # moved with its data
    assert locate_data_file(str(tmp_path / "link.h5"), "gone.h5") == str(tmp_path / "gone.h5")
