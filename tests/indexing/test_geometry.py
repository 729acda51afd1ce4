"""Sweeps with shifted detectors and the opposite sense of rotation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from indexing_data import make_sweep

from xdp.experiment.experiment import ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.indexing.geometry import invert_rotation, shift_sweeps


def test_shared_detectors_move_together_and_stay_shared():
    one = make_sweep()
    moved = shift_sweeps(ExperimentList([one, one], {"note": "kept"}), (1.0, -2.0))
    assert moved[0].detector is moved[1].detector
    assert moved.extra == {"note": "kept"}
    # fast is x, slow is -y
    np.testing.assert_allclose(np.subtract(moved[0].detector[0].origin, one.detector[0].origin), [1.0, 2.0, 0])


def test_inverting_twice_changes_nothing():
    one = make_sweep()
    inverted = invert_rotation(ExperimentList([one, one, replace(one, goniometer=None)]))
    assert inverted[0].goniometer is inverted[1].goniometer
    assert inverted[2].goniometer is None
    np.testing.assert_allclose(inverted[0].goniometer.rotation_axis_lab, -one.goniometer.rotation_axis_lab)
    again = invert_rotation(inverted)[0].goniometer
    np.testing.assert_array_equal(again.rotation_axis, one.goniometer.rotation_axis)


def test_only_the_scan_axis_of_several_is_inverted():
    kappa = Goniometer.multi_axis([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], (0.0, 0.0), ("omega", "kappa"), 0)
    axes = invert_rotation(ExperimentList([replace(make_sweep(), goniometer=kappa)]))[0].goniometer.axes
    assert [tuple(a) for a in axes] == [(-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
