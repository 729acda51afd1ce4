"""CrystFEL geometries of detectors: what is written, and what the format cannot hold."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import Beam, Detector, Panel
from xdp.images.geometry_files.crystfel_detector import build_geometry_detector
from xdp.images.geometry_files.read_crystfel import parse_crystfel_geometry
from xdp.images.geometry_files.write_crystfel import check_beam, convert_detector, format_crystfel_geometry


def make_panel(**values):
    return Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-10.0, 10.0, -100.0), (20, 10), (0.1, 0.12),
                 **({"name": "a", "trusted_range": (0.0, 5000.0)} | values))


def test_a_detector_of_another_origin():
    detector = Detector((make_panel(raw_image_offset=(5, 7), mask=((1, 2, 4, 5),), gain=25.0),))
    geometry, notes = convert_detector(detector, Beam.along_z(1.3))
    again = parse_crystfel_geometry(format_crystfel_geometry(geometry))
    panel = again.panels[0]
    assert (panel.min_fs, panel.max_fs, panel.min_ss, panel.max_ss) == (5, 24, 7, 16)
    assert (panel.adu_per_photon, panel.max_adu) == (25.0, 5000.0)
    region = again.bad_regions[0]
    assert (region.low, region.high, region.panel) == ((6.0, 9.0), (8.0, 11.0), "a")
    assert np.allclose(build_geometry_detector(again).d_matrix(0), detector.d_matrix(0), atol=1e-12)
    assert build_geometry_detector(again)[0].pixel_size == pytest.approx((0.1, 0.12))
    assert not notes


def test_what_the_format_cannot_hold_is_said():
    detector = Detector((make_panel(thickness=0.32, material="Si", pedestal=10.0, trusted_range=(-5.0, 1e9)),))
    _, notes = convert_detector(detector, Beam((0.01, 0.0, 1.0), 1.0))
    assert [any(word in note for note in notes) for word in ("thickness", "pedestals", "lowest", "mrad")] == [True] * 4


def test_names_that_crystfel_would_misread_are_changed():
    detector = Detector((make_panel(name="/entry/det"), make_panel(name="bad one"), make_panel(name="")))
    geometry, _ = convert_detector(detector)
    assert [panel.name for panel in geometry.panels] == ["entry_det", "p_bad_one", "p"]
    detector = Detector((make_panel(name="x"), make_panel(name="x")))
    assert [panel.name for panel in convert_detector(detector)[0].panels] == ["p0", "p1"]


def test_a_beam_from_the_front_is_refused():
    check_beam(None)
    check_beam(Beam.along_z(1.0))
    with pytest.raises(XdpError, match="beam along -z"):
        check_beam(Beam((0.0, 1.0, 0.0), 1.0))
