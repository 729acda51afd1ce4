"""Goniometer and scan of NXmx files."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from nexus_maker import edit_entry

from xdp.images.formats.hdf5.nexus import NXmx


def test_several_axes_make_a_multi_axis_goniometer(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5")

    def add_kappa(entry):
        chain = entry["sample/transformations"]
        maker.axis(chain, "phi", [20.0], "rotation", (-1, 0, 0), "kappa")
        maker.axis(chain, "kappa", [30.0], "rotation", (0, 0.6, 0.8), "omega")
        maker.axis(chain, "sam_x", [1.0], "translation", (1, 0, 0), "phi")
        del entry["sample/depends_on"]
        entry["sample/depends_on"] = "transformations/sam_x"

    goniometer = NXmx(edit_entry(path, add_kappa)).stack_models().goniometer
    assert goniometer.names == ("phi", "kappa", "omega")
    assert goniometer.angles == (20.0, 30.0, 10.0)
    assert goniometer.scan_axis == 2
    np.testing.assert_allclose(goniometer.axes, [(1, 0, 0), (0, 0.6, -0.8), (1, 0, 0)], atol=1e-15)


def test_backward_rotation_is_turned_round(tmp_path, maker):
    models = NXmx(maker.write_nxmx(tmp_path / "a.h5", omega=[10.0, 9.5, 9.0, 8.5, 8.0])).stack_models()
    assert models.scan.oscillation == (-10.0, 0.5)
    assert models.goniometer.rotation_axis == (-1.0, 0.0, 0.0)


def test_units_of_angles(tmp_path, maker):
    def to_radians(entry):
        omega = entry["sample/transformations/omega"]
        omega[...] = np.radians(omega[...])
        omega.attrs["units"] = "rad"
        del entry["sample/transformations/omega_end"]

    scan = NXmx(edit_entry(maker.write_nxmx(tmp_path / "a.h5"), to_radians)).stack_models().scan
    np.testing.assert_allclose(scan.oscillation, (10.0, 0.5), rtol=1e-13)


def test_stills_have_no_scan(tmp_path, maker):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", rotation=False))
    models = opened.stack_models()
    assert (models.goniometer, models.scan) == (None, None)
    assert opened.n_images == 5


def test_one_setting_for_many_frames_means_stills(tmp_path, maker):
    opened = NXmx(maker.write_nxmx(tmp_path / "a.h5", omega=[30.0]))
    assert opened.stack_models().scan is None
    assert opened.n_images == 5


def test_frames_of_unequal_width_are_warned_about(tmp_path, maker, caplog):
    path = maker.write_nxmx(tmp_path / "a.h5", omega=[0.0, 0.5, 1.0, 1.5, 2.0])
    edit_entry(path, lambda e: e["sample/transformations/omega_end"].__setitem__(3, 2.2))
    with caplog.at_level(logging.WARNING):
        scan = NXmx(path).stack_models().scan
    assert scan.oscillation == (0.0, 0.5)
    assert "widths of some frames differ from their median 0.5" in caplog.text


@pytest.mark.parametrize("with_ends", [True, False])
def test_one_angle_more_than_images_is_the_end_of_the_last(tmp_path, maker, with_ends):
    path = maker.write_nxmx(tmp_path / "a.h5", omega=10.0 + 0.5 * np.arange(6))
    if not with_ends:
        edit_entry(path, lambda e: e["sample/transformations"].__delitem__("omega_end"))
    opened = NXmx(path)
    scan = opened.stack_models().scan
    assert (scan.image_range, scan.oscillation) == ((1, 5), (10.0, 0.5))
    assert "6 angles for 5 images" in opened.notes[0]


def test_frame_angles_go_through_360_degrees(tmp_path, maker):
    path = maker.write_nxmx(tmp_path / "a.h5", omega=[359.0, 359.5, 0.0, 0.5, 1.0])
    edit_entry(path, lambda e: e["sample/transformations"].__delitem__("omega_end"))
    opened = NXmx(path)
    assert opened.stack_models().scan.oscillation == (359.0, 0.5)
    np.testing.assert_array_equal(opened.frame_angles()[1], 0.5)


def test_ends_have_units_of_their_own(tmp_path, maker):
    def to_radians(entry):
        ends = entry["sample/transformations/omega_end"]
        ends[...] = np.radians(ends[...])
        ends.attrs["units"] = "rad"

    scan = NXmx(edit_entry(maker.write_nxmx(tmp_path / "a.h5"), to_radians)).stack_models().scan
    np.testing.assert_allclose(scan.oscillation, (10.0, 0.5), rtol=1e-12)
