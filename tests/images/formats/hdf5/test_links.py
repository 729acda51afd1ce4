"""The files that an HDF5 file takes its data from."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.images.formats.hdf5.links import list_linked_files


@pytest.mark.parametrize("layout", ["links", "virtual", "alternating"])
def test_data_files_of_a_master_file(tmp_path, maker, layout):
    path = maker.write_nxmx(tmp_path / "m.h5", layout=layout)
    expected = {str(tmp_path / f"m_data_00000{i}.h5") for i in (1, 2)}
    assert set(list_linked_files(str(path))) == expected


def test_links_are_followed_once_and_only_to_files_that_are_there(tmp_path):
    for name, target in (("a.h5", "b.h5"), ("b.h5", "a.h5"), ("c.h5", "nowhere.h5")):
        with h5py.File(tmp_path / name, "w") as handle:
            handle["link"] = h5py.ExternalLink(target, "/x")
    assert list_linked_files(str(tmp_path / "a.h5")) == [str(tmp_path / "b.h5"), str(tmp_path / "a.h5")]
    assert list_linked_files(str(tmp_path / "c.h5")) == []


def test_external_storage_counts(tmp_path):
    np.arange(6, dtype=np.int32).tofile(tmp_path / "raw.bin")
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle.create_dataset("group/data", (6,), np.int32, external=[("raw.bin", 0, 24)])
    assert list_linked_files(str(tmp_path / "a.h5")) == [str(tmp_path / "raw.bin")]


def test_files_of_other_kinds_have_no_links(tmp_path):
    (tmp_path / "a.txt").write_text("no HDF5")
    (tmp_path / "b.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    assert list_linked_files(str(tmp_path / "a.txt")) == list_linked_files(str(tmp_path / "b.h5")) == []
