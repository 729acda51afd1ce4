"""One indexing for all lattices: operators, right choices, confidence, twins left alone."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from still_data import P4, draw_stills, get_metric, make_known

from xdp.merging.stills.ambiguity import (
    compare_with_others,
    describe_operator,
    draw_density,
    find_indexing,
    list_indexings,
)
from xdp.merging.stills.observations import gather_stills
from xdp.merging.unique import list_rotations
from xdp.simulation.structures.structure import draw_intensities


@pytest.mark.parametrize(("cell", "group", "n"), [
    ((70, 70, 55, 90, 90, 120), "P 3", 4), ((79, 79, 38, 90, 90, 90), "P 4", 2), ((70, 70, 55, 90, 90, 120), "P 63", 2),
    ((95, 95, 95, 90, 90, 90), "I 2 3", 2), ((58, 64, 58, 90, 103, 90), "P 1 21 1", 2),
    ((58, 64, 71, 90, 103, 90), "P 1 21 1", 1), ((79, 79, 38, 90, 90, 90), "P 43 21 2", 1)])
def test_operators_follow_from_lattice_and_point_group(cell, group, n):
    axes = np.asarray(gemmi.UnitCell(*cell).orth.mat.tolist()).T
    found = list_indexings(axes, gemmi.SpaceGroup(group))
    assert len(found) == n
    assert np.array_equal(found[0], np.eye(3))
    own = {r.tobytes() for r in list_rotations(gemmi.SpaceGroup(group))}
    assert all(r.tobytes() not in own for r in found[1:])


def _mix(form, n=80, seed=4):
    drawn = draw_stills(n, form)
    experiments = drawn.experiments
    crystal = experiments[0].known.crystal
    operators = list_indexings(crystal.real_space_matrix, crystal.space_group)
    seen = gather_stills(experiments, make_known(drawn), get_metric(experiments))
    truth = np.where(np.random.default_rng(seed).random(n) < 0.35, len(operators) - 1, 0)
    return seen, truth, operators, crystal.space_group, get_metric(experiments)


def test_lattices_are_rightly_assigned_and_sure():
    seen, truth, operators, group, metric = _mix(P4)
    found = find_indexing(seen.reindex(np.array(operators)[truth]), group, metric, operators, len(truth))
    assert found.is_decided
    assert np.mean((found.choice == truth) & (found.probability > 0.99)) >= 0.985
    assert not np.any((found.choice != truth) & (found.probability > 0.99))
    # most lattices were as they are to be, and stay
    assert np.mean(found.choice == 0) > 0.5


def test_lattices_of_one_indexing_stay_as_they_are():
    seen, truth, operators, group, metric = _mix(P4)
    assert not find_indexing(seen, group, metric, operators, len(truth)).choice.any()


def test_twins_of_equal_parts_are_left_as_they_are():
    drawn = draw_stills(60, P4)
    crystal, ids = drawn.experiments[0].known.crystal, drawn.reflections["id"]
    operators = list_indexings(crystal.real_space_matrix, crystal.space_group)
    table = make_known(drawn)
    other = draw_intensities(crystal, table["miller_index"] @ operators[1], wilson_b=20.0, seed=1)
    square = np.square(table["miller_index"] @ crystal.B.T).sum(axis=1)
    strength = 400.0 * np.exp(drawn.log_scale[ids] - 0.5 * drawn.b_factor[ids] * square)
    counts = np.random.default_rng(1).poisson(strength * drawn.partiality * 0.5 * (drawn.intensity + other) + 30.0)
    twinned = table.with_columns(**{"intensity.sum.value": counts - 30.0,
                                    "intensity.sum.variance": np.maximum(counts, 1.0)})
    metric = get_metric(drawn.experiments)
    seen = gather_stills(drawn.experiments, twinned, metric)
    found = find_indexing(seen, crystal.space_group, metric, operators, 60)
    assert not found.is_decided
    assert not found.choice.any()


def test_a_density_has_the_area_one_and_the_ratio_its_limits():
    x = np.linspace(-3, 30, 6001)
    area = np.trapezoid(draw_density(x, np.full(len(x), 0.04), np.full(len(x), 0.04)), x)
    assert area == pytest.approx(1.0, abs=0.01)
    ratio = compare_with_others(x, np.full(len(x), 0.04), np.full(len(x), 2.0), np.full(len(x), 0.1), np.zeros(len(x)))
    assert ratio.min() >= np.log(0.05) - 1e-9
    assert x[ratio.argmax()] == pytest.approx(2.0, abs=0.5)


def test_an_operator_is_described():
    assert describe_operator(np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])) == "2-fold along 1,1,0"
