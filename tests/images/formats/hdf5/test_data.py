"""Pixel masks and links to data files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from nexus_maker import edit_entry

from xdp.errors import FormatError
from xdp.images.formats.hdf5.nexus import NXmx


def test_pixel_masks_add_up(tmp_path, maker):
    mask = np.zeros((37, 41), np.uint32)
    mask[3, 4] = 1
    path = maker.write_nxmx(tmp_path / "a.h5", mask=mask)
    second = np.zeros_like(mask)
    second[5, 6] = 256
    edit_entry(path, lambda e: e["instrument/detector"].create_dataset("pixel_mask_2", data=second))
    valid, = NXmx(path).static_mask()
    assert sorted(zip(*np.nonzero(~valid), strict=True)) == [(3, 4), (5, 6)]


def test_no_mask_or_a_turned_one(tmp_path, maker):
    assert NXmx(maker.write_nxmx(tmp_path / "a.h5")).static_mask() is None
    turned = np.zeros((41, 37), np.uint32)
    assert NXmx(maker.write_nxmx(tmp_path / "b.h5", mask=turned)).static_mask() is None


def test_missing_data_file_is_named(tmp_path, maker):
    for layout in ("links", "virtual"):
        path = maker.write_nxmx(tmp_path / "m.h5", layout=layout)
        (tmp_path / "m_data_000002.h5").unlink()
        with pytest.raises(FormatError, match=r"m\.h5: its data file .*m_data_000002\.h5 is missing") as caught:
            NXmx(path)
        assert "\n" not in str(caught.value)
        path.unlink()


def test_links_beyond_the_scan_may_lead_nowhere(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "m.h5", layout="links")
    link = h5py.ExternalLink("m_data_000003.h5", "/entry/data/data")
    edit_entry(path, lambda e: e["data"].__setitem__("data_000003", link))
    assert NXmx(path).n_images == 5
