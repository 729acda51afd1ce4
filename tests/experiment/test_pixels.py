from __future__ import annotations

import numpy as np
import pytest
from experiment_examples import beam, flat_panel, mounted_detector, thick_panel

from xdp.experiment import Detector
from xdp.experiment import pixels as px

pytestmark = pytest.mark.kernels

XY = np.array([[0.0, 0.0], [50.0, 40.0], [12.5, 70.25], [100.0, 80.0]])


def test_simple_strategy_by_hand():
    np.testing.assert_allclose(px.px_to_mm(flat_panel(), [10, 20]), [1.0, 2.0])
    np.testing.assert_allclose(px.mm_to_px(flat_panel(), [1.0, 2.0]), [10, 20])


def test_lab_by_hand():
    lab = px.px_to_lab(Detector((flat_panel(),)), 0, [50, 40])
    np.testing.assert_allclose(lab, [0, 0, -50], atol=1e-14)  # the beam centre of this panel
    np.testing.assert_allclose(px.px_to_lab(Detector((flat_panel(),)), 0, [60, 30]), [1, 1, -50])


def test_no_parallax_where_the_ray_is_normal():
    np.testing.assert_allclose(px.px_to_mm(thick_panel(), [50, 40]), [5.0, 4.0], atol=1e-15)


def test_parallax_moves_back_towards_the_beam_by_the_mean_depth():
    """The mean depth of absorption, integrated numerically over the path t with weight mu exp(-mu s)."""
    panel = thick_panel()
    counted = np.array([10.0, 4.0])  # mm, 5 mm from the centre along fast
    cosine = 50.0 / np.hypot(50.0, 5.0)
    path = panel.thickness / cosine
    s = np.linspace(0.0, path, 200_001)
    mean = np.trapezoid(s * panel.mu * np.exp(-panel.mu * s), s)
    moved = px.px_to_mm(panel, counted / 0.1)
    # 1e-9: the trapezium rule's error
    np.testing.assert_allclose(moved, counted - [mean * 5.0 / np.hypot(50.0, 5.0), 0.0], atol=1e-9)


def test_there_and_back():
    np.testing.assert_allclose(px.mm_to_px(flat_panel(), px.px_to_mm(flat_panel(), XY)), XY, atol=1e-12)
    back = px.mm_to_px(thick_panel(), px.px_to_mm(thick_panel(), XY))
    # both evaluate the shift at the point they are given, as DIALS does: not exact inverses
    np.testing.assert_allclose(back, XY, atol=0.02)
    assert np.abs(back - XY).max() > 0


def test_a_thin_or_transparent_sensor_moves_by_half_its_path():
    """For small mu t the photons that are absorbed lie evenly along the path: o -> mu t^2 / 2."""
    panel = thick_panel()
    import dataclasses

    panel = dataclasses.replace(panel, mu=1e-3, thickness=0.01)
    shift = px.px_to_mm(flat_panel(), [100, 40]) - px.px_to_mm(panel, [100, 40])
    t = 0.01 * np.hypot(50, 5) / 50
    np.testing.assert_allclose(shift[0], 1e-3 * t**2 / 2 * 5 / np.hypot(50, 5), rtol=1e-3)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (0,)])
def test_any_number_of_points(shape):
    detector = Detector((thick_panel(),))
    xy = np.full((*shape, 2), 10.0)
    assert px.px_to_mm(detector[0], xy).shape == (*shape, 2)
    assert px.px_to_s1(detector, beam(), 0, xy).shape == (*shape, 3)
    assert px.resolution(detector, beam(), 0, xy).shape == shape


def test_s1_has_the_wave_vectors_length():
    s1 = px.px_to_s1(mounted_detector(), beam(), 1, XY)
    np.testing.assert_allclose(np.linalg.norm(s1, axis=1), 1.0 / beam().wavelength)


def test_rays_meet_the_panel_where_they_came_from():
    detector = mounted_detector()
    mm = px.px_to_mm(detector[0], np.vstack([XY[1:3], [[0.1, 0.1], [105.0, 80.0]]]))
    s1 = 7.0 * px.mm_to_lab(detector, 0, mm)
    xy, hits = px.ray_intersection(detector, 0, s1)
    np.testing.assert_allclose(xy, mm, atol=1e-12)
    np.testing.assert_array_equal(hits, [True, True, True, False])


def test_rays_backwards_miss():
    xy, hits = px.ray_intersection(Detector((flat_panel(),)), 0, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    assert not hits.any()
    assert np.isnan(xy).all()


def test_resolution_by_braggs_law():
    detector = Detector((flat_panel(),))
    theta = np.arctan2(3.0, 50.0) / 2
    assert px.resolution(detector, beam(), 0, [80, 40]) == pytest.approx(beam().wavelength / (2 * np.sin(theta)))
    assert px.two_theta(detector, beam(), 0, [80, 40]) == pytest.approx(2 * theta)


def test_resolution_in_the_direct_beam_is_large_and_finite():
    assert px.resolution(Detector((flat_panel(),)), beam(), 0, [50, 40]) == beam().wavelength / 2e-9


def test_the_map_without_parallax():
    detector, plain = Detector((thick_panel(),)), Detector((flat_panel(),))
    np.testing.assert_array_equal(px.resolution_map(detector, beam(), 0, disable_parallax_correction=True),
                                  px.resolution_map(plain, beam(), 0))
    assert np.any(px.resolution_map(detector, beam(), 0) != px.resolution_map(plain, beam(), 0))
