"""CXI stacks: frames, panels, masks, and what the file states of the geometry."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.find import find_format
from xdp.images.formats.hdf5.cxi import CXI, convert_to_electronvolts


def write(path, counts, **values):
    with h5py.File(path, "w") as handle:
        handle["cxi_version"] = 160
        if counts is not None:
            handle["entry_1/data_1/data"] = counts
        for name, value in values.items():
            handle["entry_1/" + name.replace("__", "/")] = value
    return path


def test_frames_beam_and_detector(tmp_path, maker):
    counts = maker.example_counts(3, 10, 12, np.uint16)
    # 9.5 keV in joules, for each shot.
    energies = np.array([9500.0, 9510.0, 9520.0]) * 1.602176634e-19
    path = write(tmp_path / "a.cxi", counts, instrument_1__source_1__energy=energies,
                 instrument_1__detector_1__distance=0.08, instrument_1__detector_1__x_pixel_size=1.1e-4,
                 instrument_1__detector_1__y_pixel_size=1.1e-4)
    opened = find_format(path)
    assert isinstance(opened, CXI)
    assert opened.n_images == 3
    np.testing.assert_array_equal(opened.raw(2)[0], counts[2])
    assert opened.models(1).beam.wavelength == pytest.approx(12398.419843320026 / 9510.0, rel=1e-12)
    panel, = opened.models(0).detector
    assert panel.image_size == (12, 10)
    np.testing.assert_allclose(panel.origin, (-6 * 0.11, 5 * 0.11, -80.0))


def test_panels_have_an_axis_of_their_own(tmp_path):
    counts = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    opened = CXI(write(tmp_path / "a.cxi", counts))
    assert [panel.shape for panel in opened.raw(1)] == [(4, 5)] * 3
    np.testing.assert_array_equal(opened.raw(1)[2], counts[1, 2])
    assert opened.models(0).beam is None
    assert opened.models(0).detector is None


def test_static_mask(tmp_path):
    mask = np.zeros((4, 5), np.uint32)
    mask[1, 2] = 8
    opened = CXI(write(tmp_path / "a.cxi", np.zeros((2, 4, 5), "u2"), data_1__mask=mask))
    assert np.argwhere(~opened.static_mask()[0]).tolist() == [[1, 2]]
    of_frames = np.zeros((2, 4, 5), np.uint32)
    assert CXI(write(tmp_path / "b.cxi", np.zeros((2, 4, 5), "u2"), data_1__mask=of_frames)).static_mask() is None


def test_nothing_in_it(tmp_path):
    with pytest.raises(FormatError, match=r"a\.cxi: has no(ne of the)? data set"):
        CXI(write(tmp_path / "a.cxi", None, data_1__other=1))


def test_missing_data_file(tmp_path):
    path = write(tmp_path / "a.cxi", None)
    with h5py.File(path, "r+") as handle:
        handle.create_group("entry_1/data_1")["data"] = h5py.ExternalLink("gone.h5", "/data")
    with pytest.raises(FormatError, match=r"gone\.h5 is missing"):
        CXI(path)


def test_units_are_read(tmp_path):
    path = write(tmp_path / "a.cxi", np.zeros((2, 4, 5), "u2"), instrument_1__source_1__energy=9.5,
                 instrument_1__detector_1__distance=80.0, instrument_1__detector_1__x_pixel_size=1.1e-4,
                 instrument_1__detector_1__y_pixel_size=1.1e-4)
    with h5py.File(path, "r+") as handle:
        handle["entry_1/instrument_1/source_1/energy"].attrs["units"] = "keV"
        handle["entry_1/instrument_1/detector_1/distance"].attrs["units"] = "mm"
    models = CXI(path).models(0)
    assert models.beam.wavelength == pytest.approx(12398.419843320026 / 9500.0)
    assert models.detector[0].origin[2] == -80.0


def test_masks_of_single_frames_are_told_and_others_used_or_refused(tmp_path):
    bad = np.zeros((1, 4, 5), np.float32)
    bad[0, 1, 2] = 1.0
    counts = np.zeros((2, 4, 5), "u2")
    assert np.argwhere(~CXI(write(tmp_path / "a.cxi", counts, data_1__mask=bad)).static_mask()[0]).tolist() == [[1, 2]]
    assert "masks of single frames" in CXI(write(tmp_path / "b.cxi", counts, data_1__mask=np.ones((2, 4, 5)))).notes[0]
    with pytest.raises(FormatError, match=r"mask has shape \(5, 4\), frames have \(4, 5\)"):
        CXI(write(tmp_path / "c.cxi", counts, data_1__mask=np.ones((5, 4)))).static_mask()


def test_energies_without_a_unit_are_ev_or_joule_and_absurd_ones_warn_nobody():
    found = convert_to_electronvolts(np.array([9500.0, 1.602176634e-15, 1e300]), "", "source")
    np.testing.assert_allclose(found, [9500.0, 10_000.0, 1e300])
