"""Detectors of CrystFEL geometries, against a slow reader: real files, written and read again, and through .expt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from geometry_twins import find_pixels_slowly, read_geom_slowly

from xdp.errors import FormatError
from xdp.experiment import Experiment, ExperimentList, read_experiments, write_experiments
from xdp.images.geometry_files.crystfel_detector import (
    build_energy_beam,
    build_geometry_detector,
    find_clen,
    mark_bad_pixels,
)
from xdp.images.geometry_files.read_crystfel import parse_crystfel_geometry, read_crystfel_geometry
from xdp.images.geometry_files.write_crystfel import convert_detector, write_crystfel_geometry

FILES = (
    "Eiger16M-binning2-nativefiles.geom", "agipd_vds.geom", "coffset05.geom", "cspad-cxiformat.geom",
    "cspad_psgeom.geom", "epix10k2M_lcls_mfx.geom", "ev_enum1.geom", "ev_enum2.geom", "ev_enum3.geom",
    "header_read_arr.geom", "header_read_single.geom", "jf-swissfel-16M.geom", "jf4m_vds.geom",
    "jungfrau4M_lcls_cxi.geom", "lcls-dec.geom", "lcls-june-r0013-r0128.geom", "origin.geom", "pilatus.geom",
    "rayonix_lcls.geom", "simple.geom", "stream_roundtrip.geom", "wavelength_geom1.geom", "wavelength_geom2.geom",
    "wavelength_geom3.geom", "wavelength_geom4.geom", "wavelength_geom5.geom", "wavelength_geom6.geom",
)
# From CrystFEL's laboratory to DIALS', and metres to millimetres.
TO_DIALS = np.array([-1000.0, 1000.0, -1000.0])


def check_positions(detector, panels, clen):
    """Corners and some pixels of each panel agree with the slow reader, to 1e-6 px."""
    assert [panel.name for panel in detector] == list(panels)
    for index, (name, slow_panel) in enumerate(panels.items()):
        panel = detector[index]
        n_fast, n_slow = panel.image_size
        assert n_fast == int(float(slow_panel["max_fs"])) - int(float(slow_panel["min_fs"])) + 1, name
        pixel = 1000.0 / float(slow_panel["res"])
        for fast, slow in [(0, 0), (n_fast, 0), (0, n_slow), (n_fast, n_slow), (n_fast // 3, n_slow // 2)]:
            wanted = find_pixels_slowly(slow_panel, clen, fast, slow) * TO_DIALS
            d = detector.d_matrix(index)
            found = d @ np.array([fast * panel.pixel_size[0], slow * panel.pixel_size[1], 1.0])
            assert np.abs(found - wanted).max() < 1e-6 * pixel, (name, fast, slow)


@pytest.mark.parametrize("name", FILES)
def test_pixels_of_real_files_are_where_a_slow_reader_has_them(shared_data, name, tmp_path):
    path = shared_data / "serial/geom" / name
    panels = read_geom_slowly(path)
    geometry = read_crystfel_geometry(path)
    own = find_clen(geometry)
    clen = 0.1 if own is None else own
    detector = build_geometry_detector(geometry, None if own is not None else clen)
    check_positions(detector, panels, clen)
    # Written as it is, and read again.
    write_crystfel_geometry(tmp_path / "again.geom", geometry)
    again = read_crystfel_geometry(tmp_path / "again.geom")
    check_positions(build_geometry_detector(again, None if own is not None else clen), panels, clen)
    assert again.groups == geometry.groups
    assert again.bad_regions == geometry.bad_regions
    assert [p.masks for p in again.panels] == [p.masks for p in geometry.panels]
    assert [p.dims for p in again.panels] == [p.dims for p in geometry.panels]
    # Through .expt, and from there to a geometry file without looking at the first one.
    beam = build_energy_beam(9500.0)
    write_experiments(tmp_path / "a.expt", ExperimentList([Experiment(beam=beam, detector=detector)]))
    read = read_experiments(tmp_path / "a.expt")[0]
    check_positions(read.detector, panels, clen)
    for like in (None, geometry):
        written, _ = convert_detector(read.detector, read.beam, like)
        write_crystfel_geometry(tmp_path / "b.geom", written)
        from_detector = read_crystfel_geometry(tmp_path / "b.geom")
        names = [panel.name for panel in from_detector.panels]
        check_positions(build_geometry_detector(from_detector), dict(zip(names, panels.values(), strict=True)), clen)


@pytest.mark.parametrize("name", ["epix10k2M_lcls_mfx.geom", "jf-swissfel-16M.geom", "cspad-cxiformat.geom"])
def test_axes_that_are_not_at_right_angles_are_written_for_other_programs_too(shared_data, tmp_path, name):
    geometry = read_crystfel_geometry(shared_data / "serial/geom" / name)
    detector = build_geometry_detector(geometry, 0.1)
    source = detector.to_dict()
    for panel in source["panels"]:
        assert abs(np.dot(panel["fast_axis"], panel["slow_axis"])) < 1e-14


def test_groups_become_the_hierarchy():
    text = """
        clen = 0.1
        res = 10000
        group_a = p0,p1
        group_q = a,p2
        group_all = q,p3
    """ + "".join(f"p{i}/min_fs=0\np{i}/max_fs=9\np{i}/min_ss={10 * i}\np{i}/max_ss={10 * i + 9}\n"
                  f"p{i}/corner_x={20 * i}\np{i}/corner_y=0\n" for i in range(4))
    geometry = parse_crystfel_geometry(text)
    detector = build_geometry_detector(geometry)
    root = detector.hierarchy
    assert root["origin"] == [0.0, 0.0, -100.0]
    assert [child.get("name", child.get("panel")) for child in root["children"]] == ["q", 3]
    q = root["children"][0]
    assert [child.get("name", child.get("panel")) for child in q["children"]] == ["a", 2]
    assert q["children"][0]["children"] == [{"panel": 0}, {"panel": 1}]
    written, _ = convert_detector(detector)
    assert written.groups == {"a": ("p0", "p1"), "q": ("a", "p2"), "all": ("q", "p3")}


def test_bad_regions_in_both_kinds_of_coordinates():
    geometry = parse_crystfel_geometry("""
        clen = 0.1
        res = 10000
        a/min_fs = 10
        a/max_fs = 19
        a/min_ss = 0
        a/max_ss = 4
        a/corner_x = -5
        a/corner_y = 100
        b/min_fs = 20
        b/max_fs = 29
        b/min_ss = 0
        b/max_ss = 4
        b/corner_x = -5
        b/corner_y = 0
        b/fs = -x
        bad_one/min_fs = 18
        bad_one/max_fs = 21
        bad_one/min_ss = 1
        bad_one/max_ss = 2
        bad_two/min_x = -8
        bad_two/max_x = -7
        bad_two/min_y = 0
        bad_two/max_y = 1.5
        bad_three/min_fs = 10
        bad_three/max_fs = 10
        bad_three/min_ss = 0
        bad_three/max_ss = 0
        bad_three/panel = b
    """)
    a, b = mark_bad_pixels(geometry)
    assert sorted(map(tuple, np.argwhere(a).tolist())) == [(1, 8), (1, 9), (2, 8), (2, 9)]
    assert sorted(map(tuple, np.argwhere(b).tolist())) == [
        (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1)]


def test_edges_of_panels_are_masked():
    geometry = parse_crystfel_geometry("mask_edge_pixels = 2\nclen=0.1\nres=1e4\na/min_fs=0\na/max_fs=9\na/min_ss=0\n"
                                       "a/max_ss=7\na/corner_x=0\na/corner_y=0\n")
    (bad,) = mark_bad_pixels(geometry)
    assert bad.sum() == 80 - 6 * 4


def test_a_camera_length_that_images_have_is_asked_for(shared_data):
    geometry = read_crystfel_geometry(shared_data / "serial/geom/cspad-cxiformat.geom")
    with pytest.raises(FormatError, match=r"EncoderValue.*geometry\.detector\.distance"):
        build_geometry_detector(geometry)


def test_stills_dev_has_the_geometry_of_its_images(shared_data):
    from xdp.images.formats.find import find_format

    detector = build_geometry_detector(read_crystfel_geometry(shared_data / "stills_dev/stills_dev.geom"))
    other = find_format(Path(shared_data) / "stills_dev/stills_dev.h5").models(0).detector
    assert np.abs(detector.d_matrix(0) - other.d_matrix(0)).max() < 2e-3  # its numbers have four decimals of a pixel
