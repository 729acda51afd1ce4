"""Which entry, data and detector of a NeXus file are meant."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from nexus_maker import edit_entry, example_counts, group

from xdp.images.formats.hdf5.nexus import NXmx
from xdp.images.formats.hdf5.nexus_groups import find_data, list_signals


def add_old_signal(entry):
    """`@signal` on the data set, as NeXus had it, beside an array of errors that comes first by name."""
    data = entry["data"]
    del data.attrs["signal"]
    data.move("data", "raw")
    data["raw"].attrs["signal"] = 1
    data.create_dataset("a_error", data=np.zeros(data["raw"].shape, np.float32))


def add_errors_without_signal(entry):
    del entry["data"].attrs["signal"]
    entry["data"].create_dataset("a_errors", data=np.zeros(entry["data/data"].shape, np.float32))


def add_monitor(entry):
    monitor = group(entry, "a_monitor", "NXdata")
    monitor.attrs["signal"] = "counts"
    monitor["counts"] = np.arange(5.0)


def add_other_data_and_default(entry):
    other = group(entry, "a_other", "NXdata")
    other["data"] = np.zeros((5, 8, 9), np.uint16)
    entry.attrs["default"] = "data"


def add_diode(entry):
    diode = group(entry["instrument"], "a_diode", "NXdetector")
    diode["data"] = np.arange(5.0)


def add_camera(entry):
    """A second detector with a module of another size."""
    camera = group(entry["instrument"], "a_camera", "NXdetector")
    entry.copy(entry["instrument/detector/module_0"], camera, "module_0")
    del camera["module_0/data_size"]
    camera["module_0/data_size"] = np.array([8, 9])


def add_default_detector(entry):
    add_camera(entry)
    del entry["instrument/a_camera/module_0/data_size"]
    entry["instrument/a_camera/module_0/data_size"] = entry["instrument/detector/module_0/data_size"][()]
    entry["instrument"].attrs["default"] = "detector"


@pytest.mark.parametrize("change", [add_old_signal, add_errors_without_signal, add_monitor, add_other_data_and_default,
                                    add_diode, add_camera, add_default_detector])
def test_what_stands_beside_images_and_detector_is_not_read(tmp_path, maker, change):
    opened = NXmx(edit_entry(maker.write_nxmx(tmp_path / "a.h5"), change))
    np.testing.assert_array_equal(opened.raw(2)[0], example_counts().view(np.int32)[2])
    assert opened.stack_models().detector[0].name == "/entry/instrument/detector/module_0"


def test_detector_that_owns_the_images(tmp_path, maker):
    path = edit_entry(maker.write_nxmx(tmp_path / "a.h5"), add_default_detector)

    def link(entry):
        del entry["instrument"].attrs["default"]
        entry["instrument/detector/data"] = entry["data/data"]

    assert NXmx(edit_entry(path, link)).stack_models().detector[0].name == "/entry/instrument/detector/module_0"


def test_default_entry(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5")
    with h5py.File(path, "r+") as handle:
        handle.copy("entry", "a_entry")
        handle["a_entry/data/data"][...] = 0
        handle.attrs["default"] = "entry"
    assert NXmx(path).raw(0)[0].any()


def test_signals_of_a_group(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        data = handle.create_group("data")
        data.attrs["NX_class"] = "NXdata"
        assert list_signals(data) == []
        data["x"] = np.zeros(3)
        assert list_signals(data) == ["x"]
        data["one"] = np.zeros((4, 5))
        assert list_signals(data) == ["one"]
        for name in ("data_000002", "data_000001"):
            data[name] = np.zeros((2, 4, 5))
        assert list_signals(data) == ["data_000001", "data_000002"]
        assert find_data(handle).name == "/data"


def test_what_is_not_read_is_noted(tmp_path, maker):
    path = edit_entry(maker.write_nxmx(tmp_path / "a.h5"), add_camera)
    with h5py.File(path, "r+") as handle:
        handle.copy("entry", "other")
    assert NXmx(path).notes == ["entries that are not read: other (entry is)",
                                "of its 2 detectors /entry/instrument/detector is read, with the images of /entry/data"]
