"""Files that are no reflection tables are told as what they are."""

from __future__ import annotations

import pickle

import pytest

from xdp.errors import FormatError
from xdp.reflections import read_reflections
from xdp.reflections.foreign import describe_foreign

PROTOCOL = b"\x80\x02c"


@pytest.mark.parametrize(("raw", "message"), [
    (PROTOCOL + b"dials_array_family_flex_ext\nreflection_table\nq\x01)R",
     r"a pickled reflection table of an old DIALS; old pickled ones can be converted by DIALS"),
    (PROTOCOL + b"scitbx_array_family_flex_ext\nbool\nq\x01)R", "a pickled mask; it goes in by lookup.mask="),
    (PROTOCOL + b"scitbx_array_family_flex_ext\ndouble\nq\x01)R", "a pickled map of numbers"),
    (pickle.dumps({"observations": [1.0], "wavelength": 1.3}, protocol=2),
     "a pickle of integrated intensities of cctbx"),
    (pickle.dumps({"a": 1}), "a pickle, such as a mask or an old table, but of another kind"),
    (pickle.dumps({"a": 1}, protocol=0), "a pickle, such as a mask or an old table, but of another kind"),
    (b'{"__id__": "ExperimentList"}', r"JSON text, as files of models \(.expt\)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"), (b"", "an empty file"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS")])
def test_files_are_told_as_what_they_are(tmp_path, raw, message):
    path = tmp_path / "a.refl"
    path.write_bytes(raw)
    with pytest.raises(FormatError, match=rf"a\.refl: not a reflection table in MessagePack \(\.refl\), but {message}"):
        read_reflections(path)


def test_nothing_is_said_of_what_is_not_known(tmp_path):
    assert describe_foreign(b"\x01\x02\x03") == ""
    (tmp_path / "a.refl").write_bytes(b"\x01\x02\x03")
    with pytest.raises(FormatError, match=r"not a reflection table in MessagePack \(\.refl\)$"):
        read_reflections(tmp_path / "a.refl")


def test_a_mask_of_numbers_is_not_taken_for_a_table_because_of_its_name(tmp_path):
    """A table of MessagePack is read under any name, a pickle under none."""
    (tmp_path / "strong.refl.gz").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(FormatError, match="a pickle, such as a mask or an old table, but of another kind"):
        read_reflections(tmp_path / "strong.refl.gz")
