"""Data sets whose values lie in plain files outside of HDF5: refused, since any file of the user could be named."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from nexus_maker import example_counts, write_nxmx

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.formats.hdf5.files import EXTERNAL_VARIABLE
from xdp.laue.stack import ImageStack, read_design


def move_outside(path, name) -> None:
    """Put the values of a data set into a plain file, as HDF5 allows."""
    with h5py.File(path, "r+") as file:
        values, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        (path.parent / "secret.txt").write_bytes(values.tobytes())
        item = file.create_dataset(name, values.shape, values.dtype, external=[("secret.txt", 0, values.nbytes)])
        item.attrs.update(attributes)


@pytest.fixture
def counts():
    return example_counts(3, 6, 8)


def test_frames_and_what_else_is_read(tmp_path, counts, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.h5"
    write_nxmx(path, counts, mask=np.zeros((6, 8), np.uint8))
    with h5py.File(path) as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    frames = next(name for name in names if name.endswith("/data"))
    move_outside(path, frames)
    with pytest.raises(FormatError, match=r"a\.h5: the values of .*data lie in the plain file secret\.txt"):
        find_format(path).raw(0)
    monkeypatch.setenv(EXTERNAL_VARIABLE, "allow")
    assert np.array_equal(find_format(path).raw(1)[0], counts[1])


def test_angles(tmp_path, counts, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.h5"
    write_nxmx(path, counts)
    move_outside(path, "entry/sample/transformations/omega")
    with pytest.raises(FormatError, match="external storage"):
        find_format(path).stack_models()


def test_behind_a_virtual_data_set(tmp_path, counts, monkeypatch):
    """One that maps parts of frames is read by libhdf5 itself, which would follow."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.h5"
    write_nxmx(path, counts)
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        frames = next(name for name in names if name.endswith("/data"))
        values, attributes = file[frames][()], dict(file[frames].attrs)
        del file[frames]
        for half, columns in (("left", slice(0, 4)), ("right", slice(4, 8))):
            file[half] = values[:, :, columns]
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        layout[:, :, :4] = h5py.VirtualSource(".", "left", (*values.shape[:2], 4))
        layout[:, :, 4:] = h5py.VirtualSource(".", "right", (*values.shape[:2], 4))
        file.create_virtual_dataset(frames, layout).attrs.update(attributes)
    assert np.array_equal(find_format(path).raw(0)[0], counts[0])
    move_outside(path, "right")
    with pytest.raises(FormatError, match="external storage"):
        find_format(path).raw(0)


def test_laue_stacks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a__mccd.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((2, 5, 6), np.uint16)
        file["lauecollect/angle"] = np.arange(2.0)
    move_outside(path, "lauecollect/angle")
    with pytest.raises(FormatError, match="external storage"):
        read_design(path, 2)
    move_outside(path, "images")
    with pytest.raises(FormatError, match="external storage"):
        ImageStack(path)
