"""Blocks give their model at the start, and move it as their parameters say."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.refinement.parameters.blocks import (
    BeamBlock,
    CellBlock,
    DetectorBlock,
    RotationBlock,
    make_perpendicular_axes,
)
from xdp.refinement.parameters.rotations import make_rotation

S0 = np.array([0.02, -0.01, -1.0])
B = np.array([[0.02, 0.0, 0.0], [0.001, 0.025, 0.0], [0.0, 0.002, 0.03]])
FRAMES = np.stack([np.column_stack([[1.0, 0, 0], [0, -1.0, 0], [-80.0, 80.0, -150.0]])])
PANEL = DetectorBlock(FRAMES, np.array([[0, 0, -1.0], [1.0, 0, 0], [0, -1.0, 0]]), np.array([0.0, 0.0, -150.0]),
                      np.arange(1))


def test_start_is_the_model_as_it_is():
    beam, turn = BeamBlock.from_s0(S0, np.array([1.0, 0, 0])), RotationBlock(make_rotation(np.array([0, 1.0, 0]), 0.3))
    cell = CellBlock.from_b(B, np.eye(3, dtype=int)[None])
    np.testing.assert_allclose(beam.evaluate(beam.start), S0, rtol=1e-12)
    np.testing.assert_allclose(turn.evaluate(turn.start), turn.matrix, rtol=1e-12)
    np.testing.assert_allclose(cell.evaluate(cell.start), B, atol=1e-12)
    np.testing.assert_allclose(PANEL.evaluate(PANEL.start), FRAMES, atol=1e-12)


def test_beam_and_detector_move_by_their_units():
    beam = BeamBlock.from_s0(S0, None)
    longer = beam.evaluate(np.array([0.0, 0.0, 5.0]))
    np.testing.assert_allclose(longer, 1.005 * S0)  # a relative change, in thousandths
    turned = beam.evaluate(np.array([3.0, 0.0, 0.0]))
    assert np.arccos(turned @ S0 / (S0 @ S0)) == pytest.approx(3e-3, rel=1e-6)
    moved = PANEL.evaluate(np.array([2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(moved[0, :, 2] - FRAMES[0, :, 2], [0.0, 0.0, -2.0])  # mm along the normal
    # a turn about the pivot leaves it where it is
    tilted = PANEL.evaluate(np.array([0.0, 0.0, 0.0, 0.0, 10.0, 0.0]))[0]
    np.testing.assert_allclose(tilted @ np.linalg.inv(FRAMES[0]) @ PANEL.pivot, PANEL.pivot, atol=1e-9)


@pytest.mark.parametrize("block", [BeamBlock.from_s0(S0, np.array([1.0, 0, 0])),
                                   CellBlock.from_b(B, np.eye(3, dtype=int)[None])])
def test_derivatives_equal_finite_differences(block):
    p = np.random.default_rng(1).normal(0, 2.0, len(block.start))
    step = 1e-3
    for k, analytic in enumerate(block.differentiate(p)):
        e = step * np.eye(len(p))[k]
        numeric = (block.evaluate(p + e) - block.evaluate(p - e)) / (2 * step)
        np.testing.assert_allclose(analytic, numeric, atol=1e-9 * np.abs(block.evaluate(p)).max())


def test_rows_of_parameters_give_a_state_each():
    cell = CellBlock.from_b(B, np.eye(3, dtype=int)[None])
    rows = np.random.default_rng(2).normal(size=(4, 6))
    np.testing.assert_allclose(cell.evaluate(rows)[2], cell.evaluate(rows[2]), rtol=1e-12)
    assert cell.differentiate(rows).shape == (6, 4, 3, 3)


def test_axes_are_perpendicular_even_without_a_usable_reference():
    for reference in (None, S0 / np.linalg.norm(S0), np.array([0.6, 0.8, 0.0])):
        axes = make_perpendicular_axes(S0, reference)
        np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
        np.testing.assert_allclose(axes @ S0, 0.0, atol=1e-12)



