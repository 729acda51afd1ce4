"""Events in paths and dimensions, and panels cut out of what they have."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.hdf5.slabs import ImageEvent, cut_panel, fill_path, read_slab
from xdp.images.geometry_files.read_crystfel import parse_crystfel_geometry

GEOMETRY = """clen = 0.1
photon_energy = 9000
res = 10000
dim0 = %
dim1 = ss
dim2 = fs
p/min_fs = 1
p/max_fs = 3
p/min_ss = 0
p/max_ss = 1
p/corner_x = 0
p/corner_y = 0
p/fs = x
p/ss = y
"""


@pytest.fixture
def panel():
    return parse_crystfel_geometry(GEOMETRY).panels[0]


def test_an_event_is_read_and_its_panel_cut(panel, tmp_path):
    stack = np.arange(24).reshape(2, 3, 4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/e1/x"] = stack
        slab = read_slab(file, fill_path("/data/%/x", ["e1"]), panel, ImageEvent(("e1",), (1,)))
        np.testing.assert_array_equal(slab, stack[1])
        np.testing.assert_array_equal(cut_panel(slab, panel, "a.h5"), stack[1, :2, 1:4])
        with pytest.raises(FormatError, match="event e1//2 is not in it"):
            read_slab(file, "/data/e1/x", panel, ImageEvent(("e1",), (2,)))
        with pytest.raises(FormatError, match="has no data set"):
            read_slab(file, "/data/e2/x", panel, ImageEvent(("e2",), (0,)))


def test_a_slab_that_is_too_small_is_named(panel):
    with pytest.raises(FormatError, match="panel p does not lie"):
        cut_panel(np.zeros((2, 3)), panel, "a.h5")
