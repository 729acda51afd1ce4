"""SMV images."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.images.formats.find import find_format


@pytest.mark.parametrize("order", ["little_endian", "big_endian"])
def test_smv_pixels_and_models(tmp_path, image_files, order):
    image = image_files.pixels()
    opened = find_format(image_files.smv_file(tmp_path / "a_004.img", image, order))
    (back,) = opened.raw()
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, image)
    models = opened.models()
    panel = models.detector[0]
    # ADSC's beam x is down the slow axis, y along the fast one.
    assert panel.origin == (-1.5, 2.0, -150.0)
    assert panel.type == "SENSOR_CCD"
    # Serial 925 is a Q315, binned by hardware.
    assert panel.gain == 2.4
    assert panel.trusted_range == (0.0, 65534.0)
    assert models.goniometer.rotation_axis == (1.0, 0.0, 0.0)
    assert models.scan.oscillation == (12.0, 1.0)
    assert models.scan.epochs == (1210857462.0,)


def test_smv_of_a_still_or_a_reversed_beamline_turns_back(tmp_path, image_files):
    path = image_files.smv_file(tmp_path / "a_1.img", serial="928")
    assert find_format(path).models().goniometer.rotation_axis == (-1.0, 0.0, 0.0)
    path.write_bytes(path.read_bytes().replace(b"OSC_RANGE=1.0", b"OSC_RANGE=0.0").replace(b"928", b"925"))
    models = find_format(path).models()
    assert models.goniometer.rotation_axis == (-1.0, 0.0, 0.0)
    assert models.scan.is_still


@pytest.mark.parametrize(("old", "new", "message"), [
    (b"SIZE1=40", b"SIZE1=4000", "is truncated: its header promises 4000 x 31 pixels"),
    (b"SIZE1=40", b"SIZE1=-4", "header fields SIZE1 and SIZE2 must be numbers of pixels"),
    (b"SIZE1=40", b"SIZE1=99999999", "header fields SIZE1 and SIZE2 must be numbers of pixels"),
    (b"HEADER_BYTES= 1024", b"HEADER_BYTES= 9999999999", "HEADER_BYTES must be 16 to"),
    (b"HEADER_BYTES= 1024", b"HEADER_BYTES= 500000", "is truncated: its header promises 500000 bytes of header"),
    (b"unsigned_short", b"complex_number", "pixels of type 'complex_number' are not known"),
])
def test_bad_smv_is_named(tmp_path, image_files, old, new, message):
    path = image_files.smv_file(tmp_path / "bad_1.img")
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(FormatError, match=f"bad_1.img: {message}"):
        find_format(path).raw()


@pytest.mark.parametrize("value", [b"nan", b"inf", b"one"])
def test_smv_geometry_must_be_finite(tmp_path, image_files, value):
    path = image_files.smv_file(tmp_path / "bad_1.img")
    path.write_bytes(path.read_bytes().replace(b"DISTANCE=150.0", b"DISTANCE=" + value))
    with pytest.raises(FormatError, match=r"bad_1.img: header field DISTANCE must be a finite number"):
        find_format(path).models()


def test_what_is_given_need_not_be_in_the_header(tmp_path, image_files):
    path = image_files.smv_file(tmp_path / "a_0001.img")
    text = path.read_bytes()
    for line in (b"DISTANCE=150.0;", b"WAVELENGTH=0.98;", b"BEAM_CENTER_X=2.0;"):
        text = text.replace(line, b"#" * (len(line) - 1) + b";")
    path.write_bytes(text)
    assert find_format(path).models().detector is None
    models = find_format(path, {"given": {"distance", "wavelength", "beam_centre"}}).models()
    assert models.detector[0].pixel_size == (0.1024, 0.1024)


@pytest.mark.parametrize("beamline", [b"", b"BEAMLINE=fake;\n"])
def test_an_arm_of_unknown_kind_turns_as_most_do(tmp_path, image_files, beamline):
    """About +x, with the beam centre of the header; a warning says so. dxtbx leaves such detectors square."""
    path = image_files.smv_file(tmp_path / "a_0001.img")
    whole = path.read_bytes()

    def read(two_theta: bytes):
        path.write_bytes(whole.replace(b"BIN=2x2;", beamline + b"TWOTHETA=" + two_theta + b";", 1))
        opened = find_format(path)
        return opened.models().detector[0].d_matrix, opened.notes

    square, notes = read(b"0.0")
    assert notes == []
    turned, (note,) = read(b"15.0")
    np.testing.assert_allclose(turned, axis_angle_matrix((1.0, 0.0, 0.0), 15.0) @ square, atol=1e-12)
    assert note.startswith("TWOTHETA is 15 degrees: the detector is turned about +x, as most arms turn, and the beam")
    assert "geometry.detector.panel" in note
    assert read(b"-0.004")[1] == []  # an encoder at rest
    np.testing.assert_array_equal(read(b"-0.004")[0], square)


@pytest.mark.parametrize("distance", [b"0.000", b"-10.0"])
def test_distance_is_above_zero(tmp_path, image_files, distance):
    path = image_files.smv_file(tmp_path / "a_0001.img")
    path.write_bytes(path.read_bytes().replace(b"DISTANCE=150.0;", b"DISTANCE=" + distance + b";"))
    with pytest.raises(FormatError, match=r"DISTANCE must be above 0 mm, got .*geometry\.detector\.distance gives it"):
        find_format(path).models()
