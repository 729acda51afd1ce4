"""Plans of levels and rings, what is free, how errors spread."""

from __future__ import annotations

import numpy as np
import pytest
from metrology_data import BEAM

from xdp.errors import OptionError
from xdp.options.named import make_options
from xdp.serial.metrology.draw import make_quadrant_detector
from xdp.serial.metrology.fit import make_sums, make_turn
from xdp.serial.metrology.levels import (
    compute_sum_rmsds,
    find_rings,
    get_frames,
    make_freedom,
    make_panel_jacobian,
    plan_stages,
)
from xdp.serial.metrology.nodes import find_groups
from xdp.serial.metrology.options import RefineMetrologyOptions


def make(**named):
    return make_options(RefineMetrologyOptions, None, named)


@pytest.fixture(scope="module")
def detector():
    return make_quadrant_detector()


def test_rings_take_the_nearest_of_each_branch(detector):
    rings = find_rings(find_groups(detector, 2), BEAM)
    assert [len(ring) for ring in rings] == [4, 4, 4, 4]
    distances = [np.mean([np.hypot(*group.pivot[:2]) for group in ring]) for ring in rings]
    assert distances == sorted(distances)
    assert {group.name for group in rings[0]} == {"Q0S3", "Q1S2", "Q2S0", "Q3S1"}


def test_plans(detector):
    assert [s.name for s in plan_stages(detector, make(), BEAM)] == ["level0", "level1", "level2"]
    some = plan_stages(detector, make(panel_filter=(3, 1)), BEAM)
    assert some[0].panels.tolist() == [1, 3]
    steps = plan_stages(detector, make(method="expanding", panel_filter=(0, 1, 2, 3)), BEAM)
    assert [s.panels.tolist() for s in steps][-1] == [0, 1, 2, 3]
    with pytest.raises(OptionError, match="panel 16"):
        plan_stages(detector, make(panel_filter=(16,)), BEAM)


def test_what_is_free(detector):
    groups = find_groups(detector, 1)
    moves = np.array([True, True, True, False])
    free = make_freedom(groups, moves, 1, make(), BEAM)
    assert free.free.shape == (25, 18)
    assert free.held.shape == (1, 25)
    assert make_freedom(groups, moves, 1, make(refine_distance=False), BEAM).held.shape == (2, 25)
    assert make_freedom(groups[:1], moves[:1], 0, make(refine_energy=True), BEAM).free.shape == (7, 7)
    named = {"refinement.parameterisation.detector.fix_list": ("Group2,Tau1",)}
    assert make_freedom(groups, moves, 1, make(**named), BEAM).free.shape == (25, 10)
    with pytest.raises(OptionError, match="fix_list names Tau9"):
        make_freedom(groups, moves, 1, make(**{"refinement.parameterisation.detector.fix_list": ("Tau9",)}), BEAM)
    with pytest.raises(OptionError, match="nothing is left"):
        make_freedom(groups, ~np.ones(4, bool), 1, make(), BEAM)


def test_a_turn_about_the_beam_breaks_the_gauge(detector):
    """The condition's vector is the motion of all groups by a turn about the beam."""
    groups = find_groups(detector, 1)
    held = make_freedom(groups, np.ones(4, bool), 1, make(), BEAM).held[0]
    angle = 1e-6
    for g, group in enumerate(groups):
        shift = make_turn(BEAM * angle) @ group.pivot - group.pivot
        np.testing.assert_allclose(held[6 * g : 6 * g + 3] * angle, group.axes @ shift, atol=1e-10)


def test_the_jacobian_of_a_panel(detector):
    group = find_groups(detector, 1)[1]
    x = 1e-5 * np.arange(1.0, 7.0)
    centre = group.pivot + np.array([3.0, -4.0, 0.5])
    moved = make_turn(x[3:] @ group.axes) @ (centre - group.pivot) + group.pivot + x[:3] @ group.axes
    np.testing.assert_allclose((make_panel_jacobian(group, centre, group.pivot) @ x)[:3], moved - centre, atol=1e-8)
    assert get_frames(detector).shape == (16, 3, 3)


def test_rmsds_of_sums():
    sums = make_sums(1)
    sums.loss[1:5] = 4.0, 9.0, 16.0, 1.0
    assert compute_sum_rmsds(sums) == (2.0, 3.0, 4.0)
