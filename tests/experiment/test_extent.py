from __future__ import annotations

import numpy as np
import pytest
from experiment_examples import beam, flat_panel, mounted_detector
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from xdp.experiment import Beam, Detector
from xdp.experiment.extent import beam_centre, convex_hull, max_inscribed_resolution, max_resolution


def d_at(radius: float) -> float:
    """Resolution `radius` mm from the beam centre, 50 mm downstream, 1 Å."""
    return 1.0 / (2.0 * np.sin(np.arctan(radius / 50.0) / 2.0))


def test_beam_centre():
    panel, xy = beam_centre(Detector((flat_panel(),)), beam())
    assert panel == 0
    np.testing.assert_allclose(xy, [5.0, 4.0])


def test_beam_centre_on_the_second_panel_or_on_none():
    left = flat_panel(origin=(-20.0, 4.0, -50.0))
    assert beam_centre(Detector((left, flat_panel())), beam())[0] == 1
    assert beam_centre(Detector((left,)), beam()) is None
    assert beam_centre(Detector((flat_panel(),)), Beam((0.0, 0.0, -1.0), 1.0)) is None


def test_limits_of_one_panel():
    detector = Detector((flat_panel(),))
    assert max_resolution(detector, beam()) == pytest.approx(d_at(np.hypot(5, 4)))
    assert max_inscribed_resolution(detector, beam()) == pytest.approx(d_at(4.0))


def test_limits_of_four_panels_about_the_beam():
    """A 20 x 16 mm detector in four parts: the circle of 8 mm fits."""
    panels = tuple(flat_panel(origin=(x, y, -50.0)) for x in (-10.0, 0.0) for y in (8.0, 0.0))
    detector = Detector(panels)
    assert max_resolution(detector, beam()) == pytest.approx(d_at(np.hypot(10, 8)))
    # of the stereographic hull, whose sides are a little inside the projected ones: coarser by less than 1 %
    inscribed = max_inscribed_resolution(detector, beam())
    assert d_at(8.0) <= inscribed < 1.01 * d_at(8.0)


def test_mounted_panels_have_limits_too():
    assert 0 < max_resolution(mounted_detector(), beam()) < max_inscribed_resolution(mounted_detector(), beam())


def test_a_square_with_points_inside_and_on_its_sides():
    points = [(0, 0), (2, 0), (2, 2), (0, 2), (1, 1), (1, 0), (0, 1), (2, 0)]
    np.testing.assert_array_equal(convex_hull(np.array(points)), [(0, 0), (2, 0), (2, 2), (0, 2)])


def test_too_few_points_are_their_own_hull():
    assert convex_hull(np.empty((0, 2))).shape == (0, 2)
    np.testing.assert_array_equal(convex_hull(np.array([[1.0, 2.0], [0.0, 3.0]])), [[0.0, 3.0], [1.0, 2.0]])
    assert len(convex_hull(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))) == 2


@given(st.integers(0, 100_000), st.integers(4, 60))
def test_against_scipy(seed, n):
    points = np.random.default_rng(seed).normal(size=(n, 2))
    ours = convex_hull(points)
    theirs = points[ConvexHull(points).vertices]
    assert {tuple(p) for p in ours} == {tuple(p) for p in theirs}
