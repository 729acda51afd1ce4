"""Eiger master files of older file writers."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.formats.hdf5.eiger import EigerHDF5


def test_models_and_pixels(tmp_path, maker):
    counts = maker.example_counts(5)
    opened = find_format(maker.write_eiger(tmp_path / "e_master.h5", counts))
    assert isinstance(opened, EigerHDF5)
    models = opened.stack_models()
    panel, = models.detector
    # The numbers of the maker are float32: seven digits.
    np.testing.assert_allclose(panel.origin, (-1.5, 1.125, -150.0), rtol=1e-6)
    np.testing.assert_allclose(panel.pixel_size, (0.075, 0.075), rtol=1e-6)
    assert (panel.fast_axis, panel.slow_axis) == ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    assert panel.trusted_range == (0.0, 60000.0)
    assert models.scan.image_range == (1, 5)
    assert models.scan.oscillation == (0.0, 0.25)
    assert models.goniometer.rotation_axis == (1.0, 0.0, 0.0)
    assert models.scan.exposure_time[0] == pytest.approx(0.02, rel=1e-6)
    for i in range(5):
        np.testing.assert_array_equal(opened.raw(i)[0], counts[i].view(np.int32))
    assert not opened.static_mask()[0][:, 20:22].any()
    assert opened.static_mask()[0].sum() == 37 * 39
    assert opened.models(3).scan.image_range == (4, 4)


def test_axis_of_the_file(tmp_path, maker):
    models = find_format(maker.write_eiger(tmp_path / "e.h5", omega=[5.0, 5.1, 5.2, 5.3, 5.4])).stack_models()
    assert models.goniometer.rotation_axis == (0.0, -1.0, 0.0)
    np.testing.assert_allclose(models.scan.oscillation, (5.0, 0.1), rtol=1e-12)


def test_panel_without_shift_lies_on_the_beam_centre(tmp_path, maker):
    path = maker.write_eiger(tmp_path / "e.h5")
    with h5py.File(path, "r+") as handle:
        handle["entry/instrument/detector/geometry/translation/distances"][:2] = 0.0
    origin = find_format(path).stack_models().detector[0].origin
    np.testing.assert_allclose(origin, (-20 * 0.075, 15 * 0.075, -150.0), rtol=1e-6)


@pytest.mark.parametrize("number", [1, 2])
def test_missing_data_file_is_named(tmp_path, maker, number):
    path = maker.write_eiger(tmp_path / "e_master.h5")
    (tmp_path / f"e_master_data_00000{number}.h5").unlink()
    with pytest.raises(FormatError, match=rf"e_master\.h5: its data file .*_data_00000{number}\.h5 is missing"):
        find_format(path)


@pytest.mark.parametrize("name", ["geometry/orientation/value", "x_pixel_size", "sensor_thickness"])
def test_missing_numbers_are_named(tmp_path, maker, name):
    path = maker.write_eiger(tmp_path / "e.h5")
    with h5py.File(path, "r+") as handle:
        del handle["entry/instrument/detector"][name]
    with pytest.raises(FormatError, match=name.rsplit("/", 1)[-1]):
        find_format(path)
