"""Groups of panels, and nodes that move."""

from __future__ import annotations

import numpy as np
from metrology_data import disturb_detector

from xdp.experiment import Detector
from xdp.serial.metrology.draw import make_quadrant_detector
from xdp.serial.metrology.fit import make_turn
from xdp.serial.metrology.nodes import (
    Motion,
    average_detectors,
    count_levels,
    find_groups,
    find_node_frame,
    find_panel_centre,
    fit_motion,
    move_groups,
)
from xdp.simulation.models import make_detector


def test_groups_of_each_level():
    detector = make_quadrant_detector()
    assert count_levels(detector) == 3
    assert [len(find_groups(detector, level)) for level in (0, 1, 2, 5)] == [1, 4, 16, 16]
    quadrants = find_groups(detector, 1)
    assert [group.name for group in quadrants] == ["Q0", "Q1", "Q2", "Q3"]
    assert [group.parent for group in find_groups(detector, 2)] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    np.testing.assert_allclose(find_groups(detector, 0)[0].pivot, [0.0, 0.0, -120.0], atol=0.3)  # gaps are no wider
    for group in quadrants:
        np.testing.assert_allclose(group.axes @ group.axes.T, np.eye(3), atol=1e-12)


def test_a_detector_in_one_piece_has_two_levels():
    detector = make_detector((300, 260))
    assert [len(find_groups(detector, level)) for level in (0, 1)] == [1, 1]


def test_nodes_move_and_panels_keep_their_places_in_them():
    detector = make_quadrant_detector()
    group = find_groups(detector, 1)[2]
    motion = Motion(make_turn(np.array([0.01, -0.02, 0.03])), group.pivot, group.pivot + np.array([1.0, 2.0, -3.0]))
    still = Motion(np.eye(3), np.zeros(3), np.zeros(3))
    groups = find_groups(detector, 1)
    moved = move_groups(detector, groups, [motion if g.name == "Q2" else still for g in groups])
    for panel in range(len(detector)):
        expected = motion.move(detector.d_matrix(panel)) if panel in group.panels else detector.d_matrix(panel)
        np.testing.assert_allclose(moved.d_matrix(panel), expected, atol=1e-9)
        assert moved[panel].origin == detector[panel].origin
    assert moved.hierarchy["children"][2]["origin"] != detector.hierarchy["children"][2]["origin"]
    assert Detector.from_dict(moved.to_dict()) == moved


def test_panels_move_where_they_are_the_groups():
    detector = make_quadrant_detector()
    moved = disturb_detector(detector, {2: 0.1})
    assert moved.hierarchy == detector.hierarchy
    shift = find_panel_centre(moved, 3) - find_panel_centre(detector, 3)
    assert 0.01 < np.abs(shift).max() < 1.0


def test_the_frame_of_a_node_is_that_of_its_path():
    frame = find_node_frame(make_quadrant_detector().hierarchy, (2,))
    np.testing.assert_allclose(frame[:, 3], [3.0, -3.0, -120.0])


def test_the_average_of_two_detectors_is_half_way():
    one = make_quadrant_detector()
    root = find_groups(one, 0)
    other = move_groups(one, root, [Motion(np.eye(3), root[0].pivot, root[0].pivot + np.array([0.0, 0.0, 2.0]))])
    mean = average_detectors([one, other])
    np.testing.assert_allclose(mean.d_matrix(7)[:, 2], one.d_matrix(7)[:, 2] + [0.0, 0.0, 1.0])
    assert average_detectors([one]) is one


def test_a_motion_is_found_from_points():
    points = np.random.default_rng(1).normal(0.0, 10.0, (8, 3))
    true = Motion(make_turn(np.array([0.1, 0.2, -0.1])), np.zeros(3), np.array([1.0, 2.0, 3.0]))
    found = fit_motion(points, points @ true.turn.T + true.pivot, np.zeros(3))
    np.testing.assert_allclose(found.turn, true.turn, atol=1e-12)
    np.testing.assert_allclose(found.pivot, true.pivot, atol=1e-12)
