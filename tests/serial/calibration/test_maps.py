"""Maps of a number a pixel, from files of several kinds."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError, XdpError
from xdp.images.masks.pickles import write_map_pickle, write_mask_pickle
from xdp.serial.calibration.maps import fit_map, read_bad_mask, read_map


def test_kinds_of_files(tmp_path, shared_data):
    panels = np.arange(24.0).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", panels)
    write_map_pickle(tmp_path / "a.pickle", list(panels))
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["data"] = panels
    with h5py.File(tmp_path / "b.h5", "w") as handle:
        for i in range(2):
            handle[f"data/{i}"] = panels[i]
    for name in ("a.npy", "a.pickle", "a.h5", "b.h5"):
        assert np.array_equal(np.stack(read_map(tmp_path / name)), panels), name
    image = read_map(shared_data / "thermolysin_cspad/idx-20130301060858401.cbf.gz")
    assert len(image) == 64


def test_panels_one_below_the_other_are_cut():
    stacked = np.arange(24).reshape(6, 4)
    parts = fit_map([stacked], [(2, 4), (4, 4)], "dark")
    assert [part.tolist() for part in parts] == [stacked[:2].tolist(), stacked[2:].tolist()]
    for panels, shapes in (([stacked], [(5, 4)]), ([stacked], [(3, 5), (3, 5)]), ([], [(2, 4)])):
        with pytest.raises(FormatError, match="wrong shape"):
            fit_map(panels, shapes, "dark")


def test_masks(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, -2, -100000, 5]]))
    assert read_bad_mask(tmp_path / "a.npy")[0].tolist() == [[True, False, False, True]]
    write_mask_pickle(tmp_path / "a.mask", [np.array([[True, False]])])
    assert read_bad_mask(tmp_path / "a.mask")[0].tolist() == [[True, False]]


def test_what_is_no_map(tmp_path):
    (tmp_path / "a.txt").write_text("no map")
    with pytest.raises(XdpError, match=r"a\.txt"):
        read_map(tmp_path / "a.txt")
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["data"] = np.zeros(5)
    with pytest.raises(FormatError, match="one image"):
        read_map(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.cxi", "w") as handle:
        handle["cxi_version"], handle["entry_1/data_1/data"] = 160, np.zeros((0, 3, 4))
    with pytest.raises(FormatError, match=r"b\.cxi"):
        read_map(tmp_path / "b.cxi")
