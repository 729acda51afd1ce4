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


@pytest.mark.parametrize("make", [
    lambda m: m[None], lambda m: m.astype(np.float32), lambda m: m.astype(bool), lambda m: m.astype(np.int8),
    lambda m: np.stack([m, 0 * m, 0 * m, 0 * m, 0 * m])])
def test_masks_of_other_shapes_and_types_are_used(tmp_path, maker, make):
    mask = np.zeros((37, 41), np.uint32)
    mask[3, 4] = 2
    valid, = NXmx(maker.write_nxmx(tmp_path / "a.h5", mask=make(mask))).static_mask()
    assert list(zip(*np.nonzero(~valid), strict=True)) == [(3, 4)]


@pytest.mark.parametrize(("mask", "complaint"), [
    (np.ones((41, 37), np.uint32), r"pixel_mask has shape \(41, 37\), frames have \(37, 41\): it cannot be used"),
    (np.ones((3, 37, 20), np.uint32), r"pixel_mask has shape \(3, 37, 20\)"),
    (np.full((37, 41), b"bad"), r"pixel_mask must be an array of numbers, it is \|S3"),
])
def test_masks_that_cannot_be_used_are_refused(tmp_path, maker, mask, complaint):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", mask=mask))
    with pytest.raises(FormatError, match=complaint + r".*lookup\.mask"):
        opened.static_mask()


def test_a_mask_in_a_missing_file_is_refused(tmp_path, maker):
    link = h5py.ExternalLink("gone.h5", "/mask")
    path = edit_entry(maker.write_nxmx(tmp_path / "a.h5"), lambda e: e["instrument/detector"].__setitem__(
        "pixel_mask", link))
    with pytest.raises(FormatError, match=r"gone\.h5 is missing"):
        NXmx(path).static_mask()


@pytest.mark.parametrize("layout", ["links", "virtual", "alternating"])
def test_frames_before_a_missing_data_file_are_there(tmp_path, maker, layout):
    """Of five frames the second file holds two, or every second one."""
    path = maker.write_nxmx(tmp_path / "m.h5", layout=layout)
    (tmp_path / "m_data_000002.h5").unlink()
    opened = NXmx(path, {"given": ["images"]})
    assert opened.n_images == (1 if layout == "alternating" else 3)
    assert "m_data_000002.h5 is missing" in opened.missing
    np.testing.assert_array_equal(opened.raw(0)[0], maker.example_counts().view(np.int32)[0])
    with pytest.raises(FormatError, match=r"image 4 is not there: its scan has 5 images.*m_data_000002.h5 is missing"):
        opened.raw(3)


@pytest.mark.parametrize("layout", ["links", "virtual"])
def test_a_master_file_may_be_a_link(tmp_path, maker, layout):
    (tmp_path / "raw").mkdir()
    maker.write_nxmx(tmp_path / "raw" / "m.h5", layout=layout)
    (tmp_path / "here.h5").symlink_to("raw/m.h5")
    opened = NXmx(tmp_path / "here.h5")
    np.testing.assert_array_equal(opened.raw(4)[0], maker.example_counts().view(np.int32)[4])
