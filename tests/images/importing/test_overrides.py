"""The user's geometry on top of the headers'."""

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment import Beam, Detector, Goniometer, Panel, Scan
from xdp.images.importing import overrides
from xdp.images.importing.detector_overrides import override_detector, set_beam_centre, set_distance
from xdp.images.importing.options import (
    BeamOverride,
    DetectorOverride,
    GoniometerOverride,
    HierarchyOverride,
    PanelOverride,
    ScanOverride,
)

BEAM = Beam((0.0, 0.0, 1.0), 1.0)


def detector(two_theta=0.0, mu=0.0):
    c, s = np.cos(np.deg2rad(two_theta)), np.sin(np.deg2rad(two_theta))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    vectors = (tuple((turn @ v).tolist()) for v in ((1, 0, 0), (0, -1, 0), (-5, 4, -100)))
    return Detector((Panel(*vectors, (100, 80), (0.1, 0.1), (0, 1000), thickness=0.32 if mu else 0.0,
                           material="Si" if mu else "", mu=mu),))


def beam_centre(d, two_theta=0.0):
    """Where a beam that is turned with the arm meets the panel, mm."""
    c, s = np.cos(np.deg2rad(two_theta)), np.sin(np.deg2rad(two_theta))
    x, y, w = np.linalg.solve(d.d_matrix(0), [0, s, -c])
    return x / w, y / w


@pytest.mark.parametrize("two_theta", [0.0, 2.0, 30.0, -25.0])
def test_beam_centre_moves_the_detector_in_its_plane(two_theta):
    moved = set_beam_centre(detector(two_theta), BEAM, (3.0, 2.0))
    # A detector that is a few degrees off is shifted as it stands, one on an arm where the arm is at zero.
    seen_from = two_theta if abs(two_theta) > 5 else 0.0
    assert beam_centre(moved, seen_from) == pytest.approx((3.0, 2.0), abs=1e-10)
    normal = np.cross(moved.d_matrix(0)[:, 0], moved.d_matrix(0)[:, 1])
    if seen_from or not two_theta:
        assert moved.d_matrix(0)[:, 2] @ normal == pytest.approx(100.0, abs=1e-10)
    np.testing.assert_allclose(moved.d_matrix(0)[:, :2], detector(two_theta).d_matrix(0)[:, :2], atol=1e-14)


def test_beam_centre_conventions():
    by_pixel = override_detector(detector(), DetectorOverride(fast_slow_beam_centre=(30, 20)), BEAM)
    by_mosflm = override_detector(detector(), DetectorOverride(mosflm_beam_centre=(2.0, 3.0)), BEAM)
    by_slow = override_detector(detector(), DetectorOverride(slow_fast_beam_centre=(20, 30, 0)), BEAM)
    for moved in (by_pixel, by_mosflm, by_slow):
        assert beam_centre(moved) == pytest.approx((3.0, 2.0), abs=1e-12)
    with pytest.raises(OptionError, match="whole number below 1, got 4"):
        override_detector(detector(), DetectorOverride(fast_slow_beam_centre=(30, 20, 4)), BEAM)


def test_distance_is_along_the_normal():
    moved = set_distance(detector(30.0), 250.0).d_matrix(0)
    assert moved[:, 2] @ np.cross(moved[:, 0], moved[:, 1]) == pytest.approx(250.0, abs=1e-11)
    assert moved[:, 2] @ moved[:, 0] == pytest.approx(-5.0, abs=1e-12)


def test_panel_values_and_attenuation_follow():
    entry = PanelOverride(gain=2.0, trusted_range=(1, 99), origin=(-1, 1, -50), material="CdTe", thickness=1.0)
    changed = override_detector(detector(mu=4.2), DetectorOverride(panel=(entry,)), BEAM)[0]
    assert (changed.gain, changed.trusted_range, changed.origin) == (2.0, (1, 99), (-1, 1, -50))
    correct = DetectorOverride(panel=(PanelOverride(parallax_correction=True),))
    on = override_detector(detector(mu=4.2), correct, BEAM)[0]
    # Silicon at 1 Å by NIST's table.
    assert on.mu == pytest.approx(4.207985875566822, rel=1e-12)
    assert on.px_mm_strategy == "ParallaxCorrectedPxMmStrategy"
    off = override_detector(detector(mu=4.2), DetectorOverride(panel=(PanelOverride(parallax_correction=False),)), BEAM)
    assert off[0].px_mm_strategy == "SimplePxMmStrategy"


@pytest.mark.parametrize(("entry", "message"), [
    ({"id": 3}, "id must be below 1, got 3"), ({"fast_axis": (0, 1, 0)}, "make no right angle"),
    ({"trusted_range": (5, 1)}, "trusted_range must be low,high"),
    ({"parallax_correction": True}, "needs a material, a thickness"),
])
def test_panel_values_without_sense(entry, message):
    with pytest.raises(OptionError, match=message):
        override_detector(detector(), DetectorOverride(panel=(PanelOverride(**entry),)), BEAM)


def test_hierarchy_shifts_all_panels():
    moved = override_detector(detector(), DetectorOverride(hierarchy=HierarchyOverride(origin=(1, 2, 3))), BEAM)
    np.testing.assert_allclose(moved.d_matrix(0)[:, 2], (-4, 6, -97), atol=1e-12)


def test_beam_values():
    changed = overrides.override_beam(BEAM, BeamOverride(direction=(0, 0, 2), flux=3.0, transmission=0.5))
    assert (changed.direction, changed.flux, changed.transmission, changed.wavelength) == ((0, 0, 1), 3.0, 0.5, 1.0)
    assert overrides.override_beam(None, BeamOverride()) is None
    assert overrides.override_beam(None, BeamOverride(wavelength=2.0)) == Beam((0.0, 0.0, 1.0), 2.0)
    with pytest.raises(OptionError, match="vector of some length"):
        overrides.override_beam(BEAM, BeamOverride(direction=(0, 0, 0)))


def test_goniometer_of_one_axis():
    inverted = overrides.override_goniometer(Goniometer(),
                                             GoniometerOverride(axis=(0, 2, 0), invert_rotation_axis=True))
    assert inverted.rotation_axis == (0, -1, 0)
    with pytest.raises(OptionError, match="rotation matrix"):
        overrides.override_goniometer(Goniometer(), GoniometerOverride(fixed_rotation=(1,) * 9))
    with pytest.raises(OptionError, match="needs a goniometer of several axes"):
        overrides.override_goniometer(Goniometer(), GoniometerOverride(angles=(1, 2)))


def test_goniometer_of_several_axes():
    made = overrides.override_goniometer(None, GoniometerOverride(axes=(1, 0, 0, 0, 3, 0), angles=(90, 0),
                                                                  names=("phi", "omega"), scan_axis=1))
    assert made.axes == ((1, 0, 0), (0, 1, 0))
    np.testing.assert_allclose(made.F, [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-15)
    turned = overrides.override_goniometer(made, GoniometerOverride(angles=(0, 0)))
    np.testing.assert_allclose(turned.F, np.eye(3), atol=1e-15)
    with pytest.raises(OptionError, match="angles must be of 2 axes, got 3"):
        overrides.override_goniometer(made, GoniometerOverride(angles=(1, 2, 3)))


def test_image_range_keeps_angles_and_extrapolates_times():
    scan = Scan((1, 3), (10.0, 0.5), (0.1,) * 3, (5.0, 6.0, 7.0))
    inside = overrides.override_scan(scan, ScanOverride(image_range=(2, 3)))
    assert (inside.oscillation, inside.n_frames) == ((10.5, 0.5), 2)
    longer = overrides.override_scan(scan, ScanOverride(image_range=(1, 5)))
    assert longer.epochs == (5.0, 6.0, 7.0, 0.0, 0.0)
    further = overrides.override_scan(scan, ScanOverride(image_range=(1, 5), extrapolate_scan=True))
    assert further.epochs == pytest.approx((5.0, 6.0, 7.0, 7.1, 7.2))
    with pytest.raises(OptionError, match="must rise"):
        overrides.override_scan(scan, ScanOverride(image_range=(5, 2)))


def test_the_words_of_a_command_line_make_one_panel():
    words = (PanelOverride(pixel_size=(0.1, 0.2)), PanelOverride(image_size=(30, 40)),
             PanelOverride(trusted_range=(0, 9)), PanelOverride(fast_axis=(0, 1, 0)),
             PanelOverride(slow_axis=(1, 0, 0)),
             PanelOverride(trusted_range=(0, 99)), PanelOverride(id=1, pixel_size=(1, 1), image_size=(2, 3),
                                                                 trusted_range=(0, 1)))
    made = override_detector(None, DetectorOverride(panel=words), Beam((0.0, 0.0, 1.0), 1.0))
    assert [panel.image_size for panel in made] == [(30, 40), (2, 3)]
    assert (made[0].pixel_size, made[0].trusted_range, made[0].fast_axis) == ((0.1, 0.2), (0, 99), (0, 1, 0))


def test_axes_of_a_panel_turn_together():
    turned = override_detector(detector(), DetectorOverride(panel=(PanelOverride(fast_axis=(0, 1, 0)),
                                                                   PanelOverride(slow_axis=(1, 0, 0)))), None)
    assert (turned[0].fast_axis, turned[0].slow_axis) == ((0, 1, 0), (1, 0, 0))
