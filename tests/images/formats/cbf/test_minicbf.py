"""Mini CBF headers: fields, time stamps, models, sites, modules."""

import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.cbf import minicbf, p12m
from xdp.images.formats.cbf.sites import goniometer_of
from xdp.images.formats.find import find_format
from xdp.images.formats.modules import EIGER2, PILATUS, gaps_of


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


@pytest.mark.parametrize(("stamp", "epoch"), [
    ("2017-11-23T15:23:41.880", 1511450621.88), ("2007/Oct/22 15:32:16.289", 1193067136.289),
    ("2019-02-14T14:25:57", 1550154357.0), ("no time at all", None), ("2019-13-41T14:25:57", None)])
def test_epochs(stamp, epoch):
    assert minicbf.epoch_of(stamp) == (None if epoch is None else pytest.approx(epoch, abs=1e-6))


def test_comment_fields():
    text = "# Detector: PILATUS 2M\n# 2016-03-05T09:04:57.290\n# Tau = 124e-9 s\n# Beam_xy (1.5, 2) pixels\nno\n"
    assert minicbf.comment_fields(text) == {"Detector": "PILATUS 2M", "timestamp": "2016-03-05T09:04:57.290",
                                            "Tau": "124e-9 s", "Beam_xy": "(1.5, 2) pixels"}


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


def test_pilatus_6m_has_15_gaps_and_eiger_16m_10():
    assert len(gaps_of((2463, 2527), (PILATUS,))) == 15
    assert gaps_of((981, 407), (PILATUS,)) == ((487, 0, 494, 407), (0, 195, 981, 212))
    assert len(gaps_of((4148, 4362), (EIGER2,))) == 10
    assert gaps_of((212 + 195, 981), (PILATUS,)) == ((0, 487, 407, 494), (195, 0, 212, 981))
    assert gaps_of((1000, 1000)) == ()


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


def test_p12m_banks_lie_on_a_circle_around_the_sample():
    header = {"Beam_xy": "(1075, 2594) pixels", "Detector_distance": "0.0 m", "Silicon": "sensor, thickness 0.00032 m"}
    detector = p12m.detector(header, 1.0)
    assert len(detector) == 24
    assert len(p12m.detector(header, 1.0, by_module=True)) == 120
    for i in range(24):
        frame = detector.d_matrix(i)
        normal = np.cross(frame[:, 0], frame[:, 1])
        assert abs(frame[:, 2] @ normal) == pytest.approx(250.0, abs=1e-9)


def test_bad_modules_of_p12m_depend_on_the_date():
    header = {"Beam_xy": "(1075, 2594)", "Detector_distance": "0.0 m", "epoch": "1580000000.0"}
    masked = {i: panel.mask for i, panel in enumerate(p12m.detector(header, 1.0)) if panel.mask}
    assert masked == {17: ((0, 0, 487, 195), (1976, 0, 2463, 195))}
    assert not any(panel.mask for panel in p12m.detector(header | {"epoch": "1700000000"}, 1.0))


@pytest.mark.parametrize(("detector", "year", "axis"), [
    ("PILATUS3 6M, S/N 60-0119", 2019, (0, 1, 0)), ("PILATUS3 6M, S/N 60-0119", 2012, (1, 0, 0)),
    ("PILATUS 6M, S/N 60-0125", 2012, (-1, 0, 0)), ("PILATUS 6M, S/N 60-9999", 2012, (1, 0, 0))])
def test_goniometers_of_sites(detector, year, axis):
    assert goniometer_of({"Detector": detector, "Oscillation_axis": "X.CW"}, year).rotation_axis == axis


def test_smargon_keeps_its_angles():
    header = {"Detector": "EIGER 16M S/N 160-0001", "Phi": "10 deg.", "Chi": "20 deg.", "Omega": "30.5 deg."}
    goniometer = goniometer_of(header, 2020)
    assert goniometer.names == ("GON_PHI", "GON_CHI", "GON_OMEGA")
    assert (goniometer.angles, goniometer.scan_axis) == ((10.0, 20.0, 30.5), 2)
