from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from xdp.experiment.hull import convex_hull


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
