"""Metric tensors that a symmetry leaves free, and cells made of them."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from refinement_part import TETRAGONAL

from xdp.refinement.parameters import metric
from xdp.refinement.parameters.blocks import CellBlock


def test_tetragonal_metric_has_two_parameters():
    basis = metric.find_invariant_metrics(TETRAGONAL)
    assert len(basis) == 2
    b = metric.b_from_metric(np.tensordot([0.25, 0.04], basis, axes=1))
    np.testing.assert_allclose(sorted(metric.cell_from_b(b)), sorted([2, 2, 5, 90, 90, 90]), rtol=1e-12)


def test_hexagonal_metric_ties_gamma_star():
    three = np.array([[0, -1, 0], [1, -1, 0], [0, 0, 1]])
    ops = np.array([np.eye(3, dtype=int), three, three @ three])
    assert len(metric.find_invariant_metrics(ops)) == 2
    a = np.array([[30, 0, 0], [-15, 15 * np.sqrt(3), 0], [0, 0, 70.0]])  # rows a, b, c
    b = CellBlock.from_b(np.linalg.inv(a), ops).evaluate(np.array([1.0, -2.0]))
    cell = metric.cell_from_b(b)
    assert cell[0] == pytest.approx(cell[1], rel=1e-12)
    np.testing.assert_allclose(cell[3:], [90, 90, 120], atol=1e-9)


@pytest.mark.parametrize(("name", "count"), [("P1", 6), ("C2", 4), ("P212121", 3), ("P43212", 2), ("R3", 2),
                                             ("F432", 1)])
def test_number_of_free_elements_is_that_of_the_crystal_system(name: str, count: int):
    rotations = metric.get_rotation_parts(gemmi.SpaceGroup(name))
    assert len(metric.find_invariant_metrics(rotations)) == count


def test_b_differentiates():
    b = metric.b_from_metric(np.array([[0.04, 0.002, 0.001], [0.002, 0.01, 0.0], [0.001, 0.0, 0.0025]]))
    change = np.array([[1e-3, 2e-4, 0.0], [2e-4, 0.0, 1e-4], [0.0, 1e-4, 5e-4]])
    step = 1e-4
    plus, minus = (metric.b_from_metric(b.T @ b + sign * step * change) for sign in (1, -1))
    numeric = (plus - minus) / (2 * step)
    # central differences of a smooth function: errors of step^2
    np.testing.assert_allclose(metric.differentiate_b(b, change[None])[0], numeric, atol=1e-9)
