"""Bits of masks that geometry files name; layouts of masks are tested with the images (test_laid_out)."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.hdf5.slabs import ImageEvent
from xdp.images.geometry_files.crystfel import GeometryPanel, PanelMask
from xdp.images.geometry_files.masks import OwnMasks, read_panel_mask


@pytest.fixture
def panel():
    return GeometryPanel("a", 0, 3, 0, 0, 0.0, 0.0, (1.0, 0, 0), (0, 1.0, 0), 1e4, dims=("%", "ss", "fs"))


@pytest.mark.parametrize(("good", "bad", "wanted"), [
    (0, 0xFF, [1, 0, 0, 0]), (0x1, 0, [0, 1, 0, 1]), (0x1, 0x2, [0, 1, 0, 0]), (0, 0, [1, 1, 1, 1])])
def test_bits(tmp_path, panel, good, bad, wanted):
    with h5py.File(tmp_path / "m.h5", "w") as handle:
        handle["mask"] = np.array([[0, 1, 2, 3]], np.uint16)
    file = str(tmp_path / "m.h5")
    found = read_panel_mask(file, "x.geom", panel, PanelMask("/mask", None, good, bad), None)
    assert found.tolist() == [[bool(w) for w in wanted]]


def test_masks_that_are_not_there_or_do_not_fit(tmp_path, panel):
    with h5py.File(tmp_path / "m.h5", "w") as handle:
        handle["mask"] = np.zeros((1, 1, 1, 4), np.uint16)
    file = str(tmp_path / "m.h5")
    with pytest.raises(FormatError, match="has no mask /absent"):
        read_panel_mask(file, "x.geom", panel, PanelMask("/absent", None, 0, 1), None)
    with pytest.raises(FormatError, match="wanted 3 dimensions"):
        read_panel_mask(file, "x.geom", panel, PanelMask("/mask", None, 0, 1), None)
    with pytest.raises(FormatError, match=r"absent\.h5"):
        read_panel_mask(file, str(tmp_path / "x.geom"), panel, PanelMask("/mask", "absent.h5", 0, 1), None)


@pytest.mark.parametrize("stored", [{}, {"chunks": (1, 1, 4), "compression": "gzip"}])
def test_masks_of_images_are_read_once_and_equal_ones_are_the_same_array(tmp_path, panel, stored):
    values = np.zeros((4, 1, 4), np.uint16)
    values[2, 0, 1] = 1
    with h5py.File(tmp_path / "m.h5", "w") as handle:
        handle.create_dataset("mask", data=values, **stored)
    own, mask = OwnMasks(), PanelMask("/mask", None, 0, 1)
    goods = [own.read_good(str(tmp_path / "m.h5"), panel, mask, ImageEvent((), (i,))) for i in range(4)]
    assert goods[0] is goods[1]
    assert goods[2] is not goods[1]
    assert [good.tolist() for good in goods] == [[[not v for v in row]] for row in values[:, 0].tolist()]
    found = read_panel_mask(str(tmp_path / "m.h5"), "x.geom", panel, mask, ImageEvent((), (2,)), own)
    assert found.tolist() == [[True, False, True, True]]
    assert read_panel_mask(str(tmp_path / "m.h5"), "x.geom", panel, mask, None, own) is None
