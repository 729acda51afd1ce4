"""Full imgCIF: one panel, hierarchy, sections."""

from __future__ import annotations

import numpy as np
import pytest
from imgcif_maker import SECTIONS, write_imgcif

from xdp.errors import FormatError
from xdp.images.formats.find import find_format


def test_single_panel_on_a_two_theta_arm(tmp_path, image_files):
    image = image_files.pixels()
    opened = write_imgcif(tmp_path / "a_0012.cbf", image, measurement="_diffrn_measurement_axis.axis_id OMEGA")
    models = opened.models()
    assert opened.name == "imgCIF"
    assert models.beam.wavelength == 1.25
    panel = models.detector[0]
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    np.testing.assert_allclose(panel.fast_axis, (1, 0, 0), atol=1e-15)
    np.testing.assert_allclose(panel.slow_axis, (0, -c, -s), atol=1e-15)
    np.testing.assert_allclose(panel.origin, (-3, 4 * c + 100 * s, 4 * s - 100 * c), atol=1e-13)
    assert (panel.image_size, panel.pixel_size, panel.gain) == ((40, 31), (0.1, 0.2), 2.0)
    # imgCIF's overload and undefined value are the first that cannot be trusted.
    assert panel.trusted_range == (0.0, 999.0)
    assert models.goniometer.names == ("PHI", "OMEGA")
    assert (models.goniometer.angles, models.goniometer.scan_axis) == ((20.0, 10.0), 1)
    assert models.scan.oscillation == (10.0, 0.5)
    assert (models.scan.image_range, models.scan.exposure_time) == ((12, 12), (0.5,))
    assert models.scan.epochs == (1457168282.5,)
    np.testing.assert_array_equal(opened.raw()[0], image)


def test_axis_that_turns_back_is_turned_round(tmp_path, image_files):
    models = write_imgcif(tmp_path / "a_1.cbf", image_files.pixels(), omega="-0.5",
                         measurement="_diffrn_measurement_axis.axis_id OMEGA").models()
    assert models.goniometer.axes[1] == (-1.0, 0.0, 0.0)
    assert models.scan.oscillation == (-10.0, 0.5)


def test_file_without_goniometer_is_a_still(tmp_path, image_files):
    models = write_imgcif(tmp_path / "a_1.cbf", image_files.pixels()).models()
    assert models.goniometer is None
    assert models.scan is None


def test_hierarchy_of_bodies_and_sections(tmp_path, image_files):
    image = image_files.pixels()
    opened = write_imgcif(tmp_path / "a_1.cbf", image, SECTIONS, component="_axis.equipment_component", c0=".",
                          c1="arm", c2="left", c3="right")
    detector = opened.models().detector
    flat = write_imgcif(tmp_path / "b_1.cbf", image, SECTIONS).models().detector
    assert [panel.name for panel in detector] == ["LEFT", "RIGHT"]
    assert detector.panel_shapes == [(31, 15), (31, 25)]
    assert detector.hierarchy["name"] == "Z"
    for i in range(2):
        np.testing.assert_allclose(detector.d_matrix(i), flat.d_matrix(i), atol=1e-13)
    left, right = opened.raw()
    np.testing.assert_array_equal(left, image[:, :15])
    np.testing.assert_array_equal(right, image[:, 15:])


@pytest.mark.parametrize(("old", "new", "message"), [
    (" Z translation detector TT", " Z translation detector F", "depends on itself"),
    (" Z translation detector TT", " Z translation detector NOWHERE", "axis NOWHERE, which it does not define"),
    ("wavelength 1.25", "wavelength nan", "wavelength must be a finite number"),
    ("TT 30 0 0", "TT inf 0 0", "angle_start must be a finite number"),
    (" A1 2 31 2 S", " A1 2 0 2 S", "two axes of at least 1 pixel"),
    (" F 0.1", " F 0.0", "pixel size must be above 0"),
])
def test_tables_without_sense_are_errors(tmp_path, image_files, old, new, message):
    write_imgcif(tmp_path / "odd_1.cbf", image_files.pixels())
    path = tmp_path / "odd_1.cbf"
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode()))
    with pytest.raises(FormatError, match=f"odd_1.cbf: .*{message}"):
        find_format(path).models()
