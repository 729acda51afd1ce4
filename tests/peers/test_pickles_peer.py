"""Masks and maps between xdp and DIALS, both ways."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.images.masks.pickles import read_flex_pickle, read_maps, write_map_pickle, write_mask_pickle

pytestmark = pytest.mark.peer

UNPICKLE = """
import sys, pickle, numpy as np
from dials.array_family import flex
panels = pickle.load(open(sys.argv[1], "rb"))
np.savez("out.npz", **{f"panel{i}": panel.as_numpy_array() for i, panel in enumerate(panels)})
"""

PICKLE = """
import pickle, numpy as np
from dials.array_family import flex
values = np.random.default_rng(0).normal(size=(7, 5)) * 1000
saved = {}
for kind, dtype in [("int", np.int32), ("double", np.float64), ("float", np.float32), ("size_t", np.uint64),
                    ("bool", np.bool_)]:
    array = np.abs(values).astype(dtype) if kind == "size_t" else values.astype(dtype)
    if kind == "bool":
        array[::2] = False
    saved[kind] = array
    for protocol in range(5):
        with open(f"{kind}{protocol}.pickle", "wb") as file:
            pickle.dump({"DATA": getattr(flex, kind)(array), "SIZE1": 7}, file, protocol)
np.savez("out.npz", **saved)
"""


@pytest.mark.parametrize("kind", ["mask", "map"])
def test_dials_unpickles_what_we_write(dials, tmp_path, kind):
    rng = np.random.default_rng(1)
    panels = [rng.normal(size=shape) for shape in [(300, 7), (1, 1), (33, 4000)]]
    if kind == "mask":
        panels = [panel > 0 for panel in panels]
    (write_mask_pickle if kind == "mask" else write_map_pickle)(tmp_path / "ours.pickle", panels)
    theirs = dials.script(UNPICKLE, tmp_path / "ours.pickle", cwd=tmp_path)
    for i, panel in enumerate(panels):
        np.testing.assert_array_equal(theirs[f"panel{i}"], panel)
        assert theirs[f"panel{i}"].dtype == panel.dtype


def test_we_read_what_dials_pickles(dials, tmp_path):
    saved = dials.script(PICKLE, cwd=tmp_path)
    for kind, array in saved.items():
        for protocol in range(5):
            dark = read_flex_pickle(tmp_path / f"{kind}{protocol}.pickle")
            np.testing.assert_array_equal(dark["DATA"], array)
            assert dark["DATA"].dtype == array.dtype
            assert dark["SIZE1"] == 7


def test_the_mask_of_generate_mask(dials, shared_data, tmp_path):
    frame = sorted((shared_data / "rot_dev" / "cbf").glob("*.cbf.gz"))[0]
    dials.command("dials.import", frame, cwd=tmp_path)
    dials.command("dials.generate_mask", "imported.expt", "border=5", "untrusted.circle=100,100,50", cwd=tmp_path)
    (ours,) = read_maps(tmp_path / "pixels.mask")
    theirs = dials.script(UNPICKLE, tmp_path / "pixels.mask", cwd=tmp_path)["panel0"]
    np.testing.assert_array_equal(ours, theirs)
    assert not ours[:5].any()
    assert 0.9 < ours.mean() < 1
