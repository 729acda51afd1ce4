"""Pictures of planes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import image

from xdp.errors import XdpError
from xdp.laue.find import find_laue_spots
from xdp.laue.options import LaueSpotsOptions
from xdp.laue.pictures import check_planes, outline_spots


def test_pictures_of_all_kinds(scan, scan_file, tmp_path):
    planes = ("avg", "std", "masks_raw:3", "masks_filtered:3", "masks_synced:1", "labels:1", "frame:3")
    find_laue_spots(scan_file, LaueSpotsOptions(output=str(tmp_path / "a.h5"), sync="pairs", png=planes))
    for plane in planes:
        picture = image.imread(tmp_path / f"a_{plane.replace(':', '-')}.png")
        assert picture.shape[:2] == scan.images.shape[1:]
        assert picture.std() > 0


def test_outline_is_round_the_spot():
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    picture = outline_spots(np.zeros((5, 5)), mask, np.zeros((5, 5)))
    red = (picture == (220, 30, 30)).all(axis=2)
    assert np.argwhere(red).tolist() == [[1, 2], [2, 1], [2, 3], [3, 2]]


@pytest.mark.parametrize("plane", ["mean", "frame", "frame:x", "labels:-1", "avg:2", "../x:1"])
def test_names_of_planes(plane):
    with pytest.raises(XdpError, match="no such plane"):
        check_planes((plane,))


@pytest.mark.parametrize(("plane", "message"), [("frame:99", "below 72"), ("masks_synced:0", "not synchronised"),
                                                ("p_value", "makes no such map")])
def test_planes_that_are_not_there(scan_file, tmp_path, plane, message):
    with pytest.raises(XdpError, match=message):
        find_laue_spots(scan_file, LaueSpotsOptions(output=str(tmp_path / "a.h5"), png=(plane,)))
