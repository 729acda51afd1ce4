"""Full imgCIF: tables, axes, one panel, hierarchy, sections."""

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.cbf.cif import parse_cif, rows
from xdp.images.formats.cbf.imgcif_axes import Axes
from xdp.images.formats.cbf.sections import encode_section
from xdp.images.formats.find import find_format

HEADER = """###CBF: VERSION 1.7
data_x
_diffrn.id X
_diffrn_detector.type 'A DETECTOR'
_diffrn_radiation_wavelength.wavelength 1.25
_diffrn_scan_frame.integration_time 0.5
_diffrn_scan_frame.date 2016-03-05T08:58:02.5
{measurement}
loop_
_axis.id _axis.type _axis.equipment _axis.depends_on
_axis.vector[1] _axis.vector[2] _axis.vector[3] _axis.offset[1] _axis.offset[2] _axis.offset[3]
{component}
 OMEGA rotation goniometer . 1 0 0 . . . {c0}
 PHI rotation goniometer OMEGA 0 1 0 . . . {c0}
 SOURCE general source . 0 0 1 . . . {c0}
 TT rotation detector . 1 0 0 . . . {c1}
 Z translation detector TT 0 0 -1 0 0 0 {c1}
 S translation detector Z 0 -1 0 -3 4 0 {c2}
 F translation detector S 1 0 0 0 0 0 {c2}
 G translation detector Z 0 -1 0 3 4 0 {c3}
 H translation detector G 1 0 0 0 0 0 {c3}
loop_
_diffrn_scan_axis.axis_id _diffrn_scan_axis.angle_start _diffrn_scan_axis.angle_increment
_diffrn_scan_axis.displacement_start
 OMEGA 10 {omega} 0
 PHI 20 0 0
 TT 30 0 0
 Z 0 0 100
loop_
_array_structure_list_axis.axis_set_id _array_structure_list_axis.displacement_increment
 F 0.1
 S 0.2
 H 0.1
 G 0.2
loop_
_array_intensities.array_id _array_intensities.gain _array_intensities.overload _array_intensities.undefined_value
 A1 2.0 1000 -1
{arrays}
loop_
_array_data.data
;
"""
ONE = """loop_
_array_structure_list.array_id _array_structure_list.index _array_structure_list.dimension
_array_structure_list.precedence _array_structure_list.axis_set_id
 A1 1 40 1 F
 A1 2 31 2 S
"""
SECTIONS = """_diffrn_data_frame.array_id A1
_diffrn_data_frame.binary_id 1
loop_
_array_structure_list.array_id _array_structure_list.array_section_id _array_structure_list.dimension
_array_structure_list.precedence _array_structure_list.axis_set_id
 A1 . 40 1 .
 A1 . 31 2 .
 A1 LEFT 15 1 F
 A1 LEFT 31 2 S
 A1 RIGHT 25 1 H
 A1 RIGHT 31 2 G
loop_
_array_structure_list_section.id _array_structure_list_section.array_id _array_structure_list_section.index
_array_structure_list_section.start _array_structure_list_section.end
 LEFT A1 1 1 15
 LEFT A1 2 1 31
 RIGHT A1 1 16 40
 RIGHT A1 2 1 31
"""
BLANK = {"measurement": "", "component": "", "c0": "", "c1": "", "c2": "", "c3": "", "omega": "0.5"}


def imgcif_file(path, image, arrays=ONE, **fields):
    text = HEADER.format(**(BLANK | {"arrays": arrays} | fields))
    path.write_bytes(text.replace("\n", "\r\n").encode() + encode_section(image) + b";\r\n")
    return find_format(path)


def test_single_panel_on_a_two_theta_arm(tmp_path, image_files):
    image = image_files.pixels()
    opened = imgcif_file(tmp_path / "a_0012.cbf", image, measurement="_diffrn_measurement_axis.axis_id OMEGA")
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
    models = imgcif_file(tmp_path / "a_1.cbf", image_files.pixels(), omega="-0.5",
                         measurement="_diffrn_measurement_axis.axis_id OMEGA").models()
    assert models.goniometer.axes[1] == (-1.0, 0.0, 0.0)
    assert models.scan.oscillation == (-10.0, 0.5)


def test_file_without_goniometer_is_a_still(tmp_path, image_files):
    models = imgcif_file(tmp_path / "a_1.cbf", image_files.pixels()).models()
    assert models.goniometer is None
    assert models.scan is None


def test_hierarchy_of_bodies_and_sections(tmp_path, image_files):
    image = image_files.pixels()
    opened = imgcif_file(tmp_path / "a_1.cbf", image, SECTIONS, component="_axis.equipment_component", c0=".", c1="arm",
                         c2="left", c3="right")
    detector = opened.models().detector
    flat = imgcif_file(tmp_path / "b_1.cbf", image, SECTIONS).models().detector
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
    imgcif_file(tmp_path / "odd_1.cbf", image_files.pixels())
    path = tmp_path / "odd_1.cbf"
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode()))
    with pytest.raises(FormatError, match=f"odd_1.cbf: .*{message}"):
        find_format(path).models()


def test_cif_words():
    text = "data_x\n_a.b 'it''s' # comment\n_a.c\n;text\nfield\n;\nloop_\n_t.x _t.y\n1 .\n\"2 3\" ? 4\n_u.v w\n"
    tables = parse_cif(text)
    assert tables["a"] == {"b": ["it''s"], "c": ["text\nfield"]}
    assert rows(tables["t"]) == [{"x": "1", "y": None}, {"x": "2 3", "y": None}]
    assert tables["u"]["v"] == ["w"]


def test_chain_multiplies_from_the_lab_outwards():
    tables = parse_cif(HEADER.format(**(BLANK | {"arrays": ONE})).partition("_array_data.data")[0])
    axes = Axes(tables, "file")
    assert [axis.name for axis in axes.chain("F")] == ["F", "S", "Z", "TT"]
    assert axes.body_frame("F")[1] is None
