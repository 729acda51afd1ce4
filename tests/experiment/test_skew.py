"""Axes that are not at right angles: written twice, restored where nobody moved the panel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.experiment import Detector, Panel
from xdp.experiment.skew import EXACT_AXES, is_skewed, make_right_angle, restore_axes

FAST, SLOW = (1.0, 0.0, 0.0), (3e-3, -1.0, 1e-3)


def make_detector():
    return Detector((Panel(FAST, SLOW, (-10.0, 10.0, -100.0), (20, 10), (0.1, 0.1), name="a"),))


def test_the_nearest_right_angle_turns_both_axes_equally():
    fast, slow = make_right_angle(FAST, SLOW)
    assert abs(np.dot(fast, slow)) < 1e-15
    unit = np.asarray(SLOW) / np.linalg.norm(SLOW)
    assert np.dot(fast, FAST) == pytest.approx(np.dot(slow, unit), abs=1e-15)


def test_axes_come_back_from_a_file():
    detector = make_detector()
    source = detector.to_dict()
    panel = source["panels"][0]
    assert abs(np.dot(panel["fast_axis"], panel["slow_axis"])) < 1e-15
    again = Detector.from_dict(source)
    assert np.array_equal(again.d_matrix(0), detector.d_matrix(0))
    assert again.to_dict() == source


def test_a_panel_that_another_program_moved_keeps_its_new_axes():
    source = make_detector().to_dict()
    source["panels"][0]["fast_axis"] = [0.0, 1.0, 0.0]
    source["panels"][0]["slow_axis"] = [1.0, 0.0, 0.0]
    again = Detector.from_dict(source)
    assert again[0].fast_axis == (0.0, 1.0, 0.0)
    assert EXACT_AXES not in again[0].extra


@pytest.mark.parametrize("entry", [None, {}, {"fast_axis": [1, 0], "slow_axis": [0, 1, 0]}, {"fast_axis": "x"},
                                   {"fast_axis": [0, 0, 0], "slow_axis": [0, 1, 0]},
                                   {"fast_axis": [1, 0, 0], "slow_axis": [1, 1, 0]}])
def test_damaged_entries_are_dropped(entry):
    assert restore_axes((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), entry) is None


def test_small_angles_are_kept_only_where_they_are_meant():
    slow = (5e-7, 1.0, 0.0)
    assert not is_skewed(FAST, slow, {})
    assert is_skewed(FAST, slow, {EXACT_AXES: {}})
    assert not is_skewed(FAST, (0.0, 1.0, 0.0), {EXACT_AXES: {}})


def test_other_panels_are_written_as_before():
    panel = dataclasses.replace(make_detector()[0], slow_axis=(0.0, -1.0, 0.0))
    assert EXACT_AXES not in panel.to_dict()
