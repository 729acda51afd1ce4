"""The verb: models and indices in the new setting, however the group came about."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import ORTHORHOMBIC, TETRAGONAL, make_symmetric

import xdp
from xdp.errors import XdpError
from xdp.experiment.experiment import ExperimentList
from xdp.indexing.basis_change import change_basis
from xdp.symmetry.find import find_symmetry


def test_models_and_indices_go_together():
    experiments, table = make_symmetric("P422", TETRAGONAL)
    # the same crystal on axes in another order
    moved, shifted = change_basis(experiments, table, np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]))
    found = find_symmetry(moved, shifted)
    a, b, c, *angles = found.experiments[0].crystal.unit_cell
    assert (a, b, c) == pytest.approx((45.0, 45.0, 62.0), rel=1e-6)
    assert angles == pytest.approx([90.0] * 3)
    A = found.experiments[0].crystal.A
    before = shifted["miller_index"] @ moved[0].crystal.A.T
    np.testing.assert_allclose(found.reflections["miller_index"] @ A.T, before, atol=1e-9)


def test_orthorhombic_groups_come_in_the_reference_setting():
    experiments, table = make_symmetric("P22121", ORTHORHOMBIC, 180)
    found = find_symmetry(experiments, table)
    if found.verdict.is_space_group_decided:
        assert found.verdict.written == "P21212"
        assert found.experiments[0].crystal.unit_cell[:3] == pytest.approx((50.0, 61.0, 42.0))


def test_the_result_is_the_same_whether_the_group_is_found_or_given():
    experiments, table = make_symmetric("P422", TETRAGONAL)
    found, given = find_symmetry(experiments, table), find_symmetry(experiments, table, laue_group="P43212")
    assert found.experiments[0].crystal == given.experiments[0].crystal
    assert found.reflections == given.reflections


def test_a_given_group_is_taken_and_an_impossible_one_is_refused():
    experiments, table = make_symmetric("P422", TETRAGONAL)
    assert find_symmetry(experiments, table, laue_group="P4").experiments[0].crystal.space_group.number == 75
    assert find_symmetry(experiments, table, laue_group=None).experiments[0].crystal.space_group.number == 1
    with pytest.raises(XdpError, match="no such symmetry"):
        find_symmetry(experiments, table, laue_group="P622")


def test_the_lattice_group_limits_what_is_tested():
    experiments, table = make_symmetric("P422", TETRAGONAL)
    found = find_symmetry(experiments, table, lattice_group="P4")
    assert len(found.lattice.rotations) == 4


def test_no_experiments_are_said():
    _, table = make_symmetric("P422", TETRAGONAL)
    with pytest.raises(XdpError, match="no experiments"):
        find_symmetry(ExperimentList([]), table)


def test_rows_in_another_order_give_the_same_answer():
    experiments, table = make_symmetric("P4", TETRAGONAL)
    order = np.random.default_rng(1).permutation(len(table))
    one, two = xdp.find_symmetry(experiments, table), xdp.find_symmetry(experiments, table.select(order))
    assert one.verdict.laue_class == two.verdict.laue_class
    assert one.posterior.probability == pytest.approx(two.posterior.probability, abs=1e-6)
