"""LCLS geometries: pixels against a slow reader, written and read again, through .expt; faults with their line."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_twins import list_lcls_pixels_slowly

from xdp.errors import FormatError
from xdp.experiment import Experiment, ExperimentList, read_experiments, write_experiments
from xdp.images.geometry_files.crystfel_detector import build_energy_beam
from xdp.images.geometry_files.lcls import (
    LclsObject,
    build_lcls_detector,
    compute_object_turn,
    convert_detector_to_lcls,
    find_angles,
    find_segment_type,
    read_lcls_geometry,
    write_lcls_geometry,
)

FILES = ("cspad_cxih8015.data", "def-cspad.data", "def-epix10kaquad.data", "def-jungfrau16M.data",
         "def-jungfrau4M.data", "jungfrau4m.data", "rayonix.data")


def check_pixels(detector, segments, exact_order=True):
    """Corners of each panel: the middles of its first and last pixels are where the slow reader has them."""
    offsets = np.cumsum([0, *(len(points) for points in segments)])
    for i, panel in enumerate(detector):
        fast0, row = panel.raw_image_offset
        k = int(np.searchsorted(offsets, row, side="right")) - 1
        points = segments[k]
        n_fast, n_slow = panel.image_size
        for slow, fast in ((0, 0), (n_slow - 1, n_fast - 1), (0, n_fast - 1)):
            wanted = points[row - offsets[k] + slow, fast0 + fast]
            mm = (fast + 0.5) * panel.pixel_size[0], (slow + 0.5) * panel.pixel_size[1]
            found = detector.d_matrix(i) @ np.array([*mm, 1.0])
            assert np.abs(found - wanted).max() < 1e-6 * panel.pixel_size[0], (i, slow, fast)


@pytest.mark.parametrize("name", FILES)
def test_pixels_of_real_files(shared_data, name, tmp_path):
    path = shared_data / "serial/lcls_geometry" / name
    segments = list_lcls_pixels_slowly(path)
    geometry = read_lcls_geometry(path)
    detector = build_lcls_detector(geometry)
    check_pixels(detector, segments)
    write_lcls_geometry(tmp_path / "again.data", geometry)
    again = read_lcls_geometry(tmp_path / "again.data")
    assert [item._replace(line=0) for item in again.objects] == [item._replace(line=0) for item in geometry.objects]
    assert again.comments == geometry.comments
    write_experiments(tmp_path / "a.expt", ExperimentList([Experiment(beam=build_energy_beam(9500.0),
                                                                      detector=detector)]))
    read = read_experiments(tmp_path / "a.expt")[0].detector
    check_pixels(read, segments)
    # From the detector alone: a segment a panel.
    converted, notes = convert_detector_to_lcls(read)
    assert notes
    write_lcls_geometry(tmp_path / "b.data", converted)
    other = build_lcls_detector(read_lcls_geometry(tmp_path / "b.data"))
    for i in range(len(detector)):
        assert np.abs(other.d_matrix(i)[:, 2] - detector.d_matrix(i)[:, 2]).max() < 1e-7 * 50.0
        assert np.abs(other.d_matrix(i)[:, :2] - detector.d_matrix(i)[:, :2]).max() < 1e-10


def test_matrices_of_version_1_have_rows_along_x(tmp_path):
    (tmp_path / "x.data").write_text("IP 0 MTRX:4:6:100:50 0 1000 2000 -100000 0 0 0 0 0 0\n")
    detector = build_lcls_detector(read_lcls_geometry(tmp_path / "x.data"), distance=80.0)
    panel = detector[0]
    assert panel.image_size == (6, 4)
    middle = detector.d_matrix(0) @ np.array([(5 + 0.5) * panel.pixel_size[0], (3 + 0.5) * panel.pixel_size[1], 1.0])
    assert middle == pytest.approx([1.3, 2.25, -80.0])


def test_angles_of_rotations():
    rng = np.random.default_rng(1)
    geometry = "A 0 MTRX:2:2:1:1 0 0 0 0 {} {} {} {} {} {}"
    for _ in range(50):
        words = geometry.format(*rng.uniform(-180, 180, 6)).split()
        numbers = [float(word) for word in words[7:]]
        turn = compute_object_turn(LclsObject("A", 0, "B", 0, (0, 0, 0), tuple(numbers[:3]), tuple(numbers[3:6])))
        angles = find_angles(turn)
        again = compute_object_turn(LclsObject("A", 0, "B", 0, (0, 0, 0), angles, (0, 0, 0)))
        assert np.abs(again - turn).max() < 1e-12
    steep = compute_object_turn(LclsObject("A", 0, "B", 0, (0, 0, 0), (30.0, 90.0, 10.0), (0, 0, 0)))
    again = compute_object_turn(LclsObject("A", 0, "B", 0, (0, 0, 0), find_angles(steep), (0, 0, 0)))
    assert np.abs(again - steep).max() < 1e-12


LINE = "IP 0 MTRX:V2:4:5:100:100 0 0 0 -100000 0 0 0 0 0 0"


@pytest.mark.parametrize(("text", "message"), [
    ("", "no objects"), (LINE + " 1", "line 1: 13 words"), (LINE.replace("-100000", "x"), "line 1: a number"),
    (LINE.replace("IP 0", "IP a"), "line 1: an index"), (LINE + "\n" + LINE, "line 2: .*there already, on line 1"),
    (LINE.replace("MTRX:V2:4:5:100:100", "WHAT:V1"), "no segment that is known"),
    (LINE + "\nOTHER 0 PNCCD:V1 0 0 0 0 0 0 0 0 0 0", "one object that carries all others"),
    ("A 0 B 0 0 0 0 0 0 0 0 0 0\nB 0 A 0 0 0 0 0 0 0 0 0 0", "carry each other"), ("\xff", "13 words")])
def test_faults_have_their_line(tmp_path, text, message):
    (tmp_path / "x.data").write_text(text)
    with pytest.raises(FormatError, match=message):
        build_lcls_detector(read_lcls_geometry(tmp_path / "x.data"))


def test_segments():
    assert find_segment_type("QUAD:V1") is None
    assert find_segment_type("MTRX:1920:1920:89:89").pixel == (89.0, 89.0)
    assert find_segment_type("MTRX:V2:a:1920:89:89") is None
