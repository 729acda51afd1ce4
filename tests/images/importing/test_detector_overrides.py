"""The user's detector geometry on top of the header's."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment import Beam, Detector, Panel
from xdp.images.importing.detector_overrides import override_detector, set_beam_centre, set_distance
from xdp.images.importing.options import DetectorOverride, HierarchyOverride, PanelOverride

BEAM = Beam((0.0, 0.0, 1.0), 1.0)


def make_detector(two_theta=0.0, mu=0.0):
    c, s = np.cos(np.deg2rad(two_theta)), np.sin(np.deg2rad(two_theta))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    vectors = (tuple((turn @ v).tolist()) for v in ((1, 0, 0), (0, -1, 0), (-5, 4, -100)))
    return Detector((Panel(*vectors, (100, 80), (0.1, 0.1), (0, 1000), thickness=0.32 if mu else 0.0,
                           material="Si" if mu else "", mu=mu),))


def find_beam_centre(d, two_theta=0.0):
    """Where a beam that is turned with the arm meets the panel, mm."""
    c, s = np.cos(np.deg2rad(two_theta)), np.sin(np.deg2rad(two_theta))
    x, y, w = np.linalg.solve(d.d_matrix(0), [0, s, -c])
    return x / w, y / w


@pytest.mark.parametrize("two_theta", [0.0, 2.0, 30.0, -25.0])
def test_beam_centre_moves_the_detector_in_its_plane(two_theta):
    moved = set_beam_centre(make_detector(two_theta), BEAM, (3.0, 2.0))
    # A detector that is a few degrees off is shifted as it stands, one on an arm where the arm is at zero.
    seen_from = two_theta if abs(two_theta) > 5 else 0.0
    assert find_beam_centre(moved, seen_from) == pytest.approx((3.0, 2.0), abs=1e-10)
    normal = np.cross(moved.d_matrix(0)[:, 0], moved.d_matrix(0)[:, 1])
    if seen_from or not two_theta:
        assert moved.d_matrix(0)[:, 2] @ normal == pytest.approx(100.0, abs=1e-10)
    np.testing.assert_allclose(moved.d_matrix(0)[:, :2], make_detector(two_theta).d_matrix(0)[:, :2], atol=1e-14)


def test_beam_centre_conventions():
    by_pixel = override_detector(make_detector(), DetectorOverride(fast_slow_beam_centre=(30, 20)), BEAM)
    by_mosflm = override_detector(make_detector(), DetectorOverride(mosflm_beam_centre=(2.0, 3.0)), BEAM)
    by_slow = override_detector(make_detector(), DetectorOverride(slow_fast_beam_centre=(20, 30, 0)), BEAM)
    for moved in (by_pixel, by_mosflm, by_slow):
        assert find_beam_centre(moved) == pytest.approx((3.0, 2.0), abs=1e-12)
    with pytest.raises(OptionError, match="whole number below 1, got 4"):
        override_detector(make_detector(), DetectorOverride(fast_slow_beam_centre=(30, 20, 4)), BEAM)
    for name, values in (("fast_slow_beam_centre", (1e4,)), ("slow_fast_beam_centre", (1.0, 2.0, 0.0, 3.0))):
        with pytest.raises(OptionError, match=f"{name} wants two pixel positions.*got {len(values)} numbers"):
            override_detector(make_detector(), DetectorOverride(**{name: values}), BEAM)


def test_distance_is_along_the_normal():
    moved = set_distance(make_detector(30.0), 250.0).d_matrix(0)
    assert moved[:, 2] @ np.cross(moved[:, 0], moved[:, 1]) == pytest.approx(250.0, abs=1e-11)
    assert moved[:, 2] @ moved[:, 0] == pytest.approx(-5.0, abs=1e-12)


def test_panel_values_and_attenuation_follow():
    entry = PanelOverride(gain=2.0, trusted_range=(1, 99), origin=(-1, 1, -50), material="CdTe", thickness=1.0)
    changed = override_detector(make_detector(mu=4.2), DetectorOverride(panel=(entry,)), BEAM)[0]
    assert (changed.gain, changed.trusted_range, changed.origin) == (2.0, (1, 99), (-1, 1, -50))
    correct = DetectorOverride(panel=(PanelOverride(parallax_correction=True),))
    on = override_detector(make_detector(mu=4.2), correct, BEAM)[0]
    # Silicon at 1 Å by NIST's table.
    assert on.mu == pytest.approx(4.207985875566822, rel=1e-12)
    assert on.px_mm_strategy == "ParallaxCorrectedPxMmStrategy"
    uncorrected = DetectorOverride(panel=(PanelOverride(parallax_correction=False),))
    off = override_detector(make_detector(mu=4.2), uncorrected, BEAM)
    assert off[0].px_mm_strategy == "SimplePxMmStrategy"


@pytest.mark.parametrize(("entry", "message"), [
    ({"id": 3}, "id must be below 1, got 3"), ({"fast_axis": (0, 1, 0)}, "make no right angle"),
    ({"trusted_range": (5, 1)}, "trusted_range must be low,high"),
    ({"parallax_correction": True}, "needs a material, a thickness"),
])
def test_panel_values_without_sense(entry, message):
    with pytest.raises(OptionError, match=message):
        override_detector(make_detector(), DetectorOverride(panel=(PanelOverride(**entry),)), BEAM)


def test_hierarchy_shifts_all_panels():
    moved = override_detector(make_detector(), DetectorOverride(hierarchy=HierarchyOverride(origin=(1, 2, 3))), BEAM)
    np.testing.assert_allclose(moved.d_matrix(0)[:, 2], (-4, 6, -97), atol=1e-12)


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
    turned = override_detector(make_detector(), DetectorOverride(panel=(PanelOverride(fast_axis=(0, 1, 0)),
                                                                   PanelOverride(slow_axis=(1, 0, 0)))), None)
    assert (turned[0].fast_axis, turned[0].slow_axis) == ((0, 1, 0), (1, 0, 0))


def make_two_panels(gap):
    """Two panels of 10 x 10 mm beside each other across the beam, `gap` mm apart, tilted by 20 degrees as one."""
    tilt = np.radians(20.0)
    fast, normal = (np.cos(tilt), 0.0, np.sin(tilt)), np.array([np.sin(tilt), 0.0, -np.cos(tilt)])
    panels = []
    for x in (-10.0 - gap / 2, gap / 2):
        origin = x * np.array(fast) + (0.0, 5.0, 0.0) + 80.0 * normal
        panels.append(Panel(fast, (0.0, -1.0, 0.0), tuple(origin.tolist()), (100, 100), (0.1, 0.1)))
    return Detector(tuple(panels))


@pytest.mark.parametrize("gap", [0.0, 4.0])
def test_distance_moves_all_panels(gap):
    before = make_two_panels(gap)
    after = set_distance(before, 120.0)
    for i in range(2):
        frame = after.d_matrix(i)
        assert frame[:, 2] @ np.cross(frame[:, 0], frame[:, 1]) == pytest.approx(120.0, abs=1e-9)
    between = [detector.d_matrix(1) - detector.d_matrix(0) for detector in (before, after)]
    np.testing.assert_allclose(*between, atol=1e-9)
