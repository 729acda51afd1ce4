"""Mini CBF headers: fields, time stamps, models, modules."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.find import find_format


def test_models_survive_writing(tmp_path, image_files):
    image = image_files.pixels()
    expected = image_files.flat_models(image, 3, wavelength=0.9795)
    found = find_format(image_files.cbf_file(tmp_path / "a_003.cbf", image, 3, wavelength=0.9795)).models()
    assert found.beam.wavelength == 0.9795
    assert found.scan == expected.scan
    panel, wanted = found.detector[0], expected.detector[0]
    # Millimetres are written as pixels and metres and back: a few roundings of doubles.
    np.testing.assert_allclose(panel.origin, wanted.origin, rtol=1e-14)
    np.testing.assert_allclose(panel.pixel_size, wanted.pixel_size, rtol=1e-14)
    assert (panel.trusted_range, panel.material, panel.image_size) == ((0.0, 1048575.0), "Si", (40, 31))
    assert panel.thickness == pytest.approx(0.32, rel=1e-12)
    assert panel.px_mm_strategy == "ParallaxCorrectedPxMmStrategy"
    # NIST's table between 10 and 15 keV at 0.9795 Å, times 2.33 g/cm³.
    assert panel.mu == pytest.approx(3.9603861351765324, rel=1e-12)


@pytest.mark.parametrize(("start", "width", "scan", "axis"), [
    ("12.5", "-0.25", (-12.5, 0.25), (-1.0, 0.0, 0.0)),
    ("359.5", "-359.75", (359.5, 0.25), (1.0, 0.0, 0.0)),  # the end is told as 0, not 360; as DIALS takes it
])
def test_a_scan_backwards_is_one_about_the_opposite_axis(tmp_path, image_files, start, width, scan, axis):
    path = image_files.cbf_file(tmp_path / "a_003.cbf", number=3)
    lines = path.read_bytes().split(b"\r\n")
    for i, line in enumerate(lines):
        if line.startswith(b"# Start_angle"):
            lines[i] = f"# Start_angle {start} deg.".encode()
        if line.startswith(b"# Angle_increment"):
            lines[i] = f"# Angle_increment {width} deg.".encode()
    path.write_bytes(b"\r\n".join(lines))
    models = find_format(path).models()
    assert models.scan.oscillation == scan
    assert models.goniometer.rotation_axis == axis


@pytest.mark.parametrize(("line", "change", "message"), [
    (b"# Wavelength", b"# Wavelength nan A", "Wavelength must be a finite number, got 'nan A'"),
    (b"# Wavelength", b"# Wavelength -1 A", "wavelength must be above 0"),
    (b"# Detector_distance", b"", "Detector_distance must be a finite number, got 'none'"),
    (b"# Beam_xy", b"# Beam_xy (inf, nan) pixels", "Beam_xy must be two finite numbers"),
    (b"# Start_angle", b"# Start_angle inf deg.", "Start_angle must be a finite number"),
    (b"# Pixel_size", b"# Pixel_size 0 m x 0 m", "pixel size must be above 0"),
])
def test_headers_without_sense_are_errors(tmp_path, image_files, line, change, message):
    path = image_files.cbf_file(tmp_path / "odd_1.cbf")
    lines = [change if old.startswith(line) else old for old in path.read_bytes().split(b"\r\n")]
    path.write_bytes(b"\r\n".join(lines))
    with pytest.raises(FormatError, match=f"odd_1.cbf: .*{message}"):
        find_format(path).models()


def test_modules_as_panels_show_the_same_pixels(tmp_path, image_files):
    image = image_files.pixels(407, 981)
    path = image_files.cbf_file(tmp_path / "m_1.cbf", image)
    whole, parts = find_format(path), find_format(path, {"multi_panel": True})
    panels, detector = parts.raw(), parts.models().detector
    assert [panel.shape for panel in panels] == [(195, 487)] * 4 == detector.panel_shapes
    np.testing.assert_array_equal(panels[3], image[212:, 494:])
    # The corner of the last module lies where the whole panel has that pixel.
    corner = whole.models().detector.d_matrix(0) @ [494 * 0.172, 212 * 0.172, 1.0]
    np.testing.assert_allclose(detector.d_matrix(3)[:, 2], corner, atol=1e-12)


def change_header(path, **fields):
    """Replace header lines, or drop those whose value is None."""
    lines = path.read_bytes().split(b"\r\n")
    for name, value in fields.items():
        start = f"# {name}".encode()
        lines = [start + b" " + value.encode() if line.startswith(start) and value is not None else line
                 for line in lines if value is not None or not line.startswith(start)]
    path.write_bytes(b"\r\n".join(lines))
    return path


def test_units_are_read(tmp_path, image_files):
    path = image_files.cbf_file(tmp_path / "a_1.cbf")
    expected = find_format(path).models()
    found = find_format(change_header(
        path, Wavelength="0.1 nm", Detector_distance="100 mm", Pixel_size="0.172 mm x 0.172 mm",
        Beam_xy="(3.5, 2.5) mm", Start_angle="0 rad", Angle_increment="0.00872664625997165 rad",
        Exposure_period="100 ms")).models()
    np.testing.assert_allclose(found.detector[0].origin, expected.detector[0].origin, rtol=1e-12)
    np.testing.assert_allclose(found.detector[0].pixel_size, (0.172, 0.172), rtol=1e-12)
    np.testing.assert_allclose(found.scan.oscillation, (0.0, 0.5), atol=1e-12)
    assert found.scan.exposure_time == pytest.approx((0.1,))
    assert found.beam.wavelength == pytest.approx(1.0)
    with pytest.raises(FormatError, match=r"Detector_distance: its units are 'furlongs'"):
        find_format(change_header(path, Detector_distance="1 furlongs")).models()


def test_detector_on_a_two_theta_arm_is_turned_and_told(tmp_path, image_files):
    path = image_files.cbf_file(tmp_path / "a_1.cbf")
    square = find_format(path).models().detector[0]
    opened = find_format(change_header(path, Detector_2theta="90.0000 deg."))
    panel = opened.models().detector[0]
    x, y, z = square.origin
    # About +x from behind the sample (-z) upwards (+y).
    np.testing.assert_allclose(panel.origin, (x, -z, y), atol=1e-12)
    np.testing.assert_allclose(panel.slow_axis, (0.0, 0.0, -1.0), atol=1e-12)
    assert "Detector_2theta is 90 degrees" in opened.notes[0]
    assert find_format(change_header(path, Detector_2theta="0.001 deg.")).models().detector[0] == square


def test_motors_that_cannot_be_read_are_not_at_zero(tmp_path, image_files):
    path = image_files.cbf_file(tmp_path / "a_1.cbf")
    text = path.read_bytes().replace(b"# Wavelength", b"# Kappa -?- deg.\r\n# Wavelength")
    start = text.index(b"# Detector:")
    text = text[:start] + b"# Detector: PILATUS 6M, S/N 60-0100 Diamond" + text[text.index(b"\r\n", start):]
    path.write_bytes(text)
    with pytest.raises(FormatError, match=r"a_1.cbf: header field Kappa must be an angle, got '-\?- deg\.'"):
        find_format(path).models()


def test_what_is_given_need_not_be_in_the_header(tmp_path, image_files):
    missing = {"Wavelength": "wavelength", "Detector_distance": "distance", "Beam_xy": "beam_centre",
               "Pixel_size": "pixel_size", "Count_cutoff": "trusted_range", "Start_angle": "oscillation",
               "Angle_increment": "oscillation"}
    path = change_header(image_files.cbf_file(tmp_path / "a_1.cbf"), **dict.fromkeys(missing), Exposure_period=None)
    models = find_format(path, {"given": set(missing.values())}).models()
    assert models.scan.exposure_time == (0.0,)
    for quantity in set(missing.values()):
        with pytest.raises(FormatError, match=r"; geometry\.\S+ gives it"):
            find_format(path, {"given": set(missing.values()) - {quantity}}).models()


def test_times_that_cannot_be_read_are_noted(tmp_path, image_files):
    opened = find_format(change_header(image_files.cbf_file(tmp_path / "a_1.cbf"), Exposure_period="? s"))
    assert opened.models().scan.exposure_time == (0.0,)
    assert "exposure times are not known" in opened.notes[0]
