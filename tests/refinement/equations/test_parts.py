"""Scan points about observations, and the places of parameters in the vector."""

from __future__ import annotations

import numpy as np
from refinement_part import make_part

from xdp.refinement.equations.parts import ScanGrid, Slot
from xdp.refinement.parameters.blocks import RotationBlock
from xdp.refinement.parameters.smoother import Smoother


def test_grid_interpolates_what_is_linear_exactly():
    frames = np.array([12.75, 3.0, 7.5])
    grid = ScanGrid.from_frames(frames)
    assert grid.points.tolist() == list(range(3, 14))
    np.testing.assert_allclose(grid.interpolate(2.0 * grid.points + 1.0), 2.0 * frames + 1.0)
    assert grid.take_before(grid.points[None])[0].tolist() == [12.0, 3.0, 7.0]
    assert len(ScanGrid.from_frames(np.zeros(0)).left) == 0


def test_free_parameters_are_read_from_their_place():
    slot = Slot(RotationBlock(np.eye(3)), (0, 2), offset=1)
    assert slot.size == 2
    assert slot.list_names() == ["Phi1", "Phi3"]
    assert slot.expand_parameters(np.array([9.0, 1.0, 2.0]), np.zeros(0)).tolist() == [1.0, 0.0, 2.0]


def test_smoothed_parameters_have_a_value_for_each_node():
    slot = Slot(RotationBlock(np.eye(3)), (1,), smoother=Smoother(0.0, 10.0, 2))
    assert slot.list_names() == ["Phi2_sample1", "Phi2_sample2", "Phi2_sample3"]
    values = slot.expand_parameters(np.full(3, 4.0), np.array([0.0, 5.0]))
    np.testing.assert_allclose(values, [[0.0, 4.0, 0.0]] * 2)


def test_slots_of_a_part_keep_their_order():
    part = make_part()
    assert [slot.block.kind for slot in part.slots] == ["beam", "detector", "goniometer", "orientation", "cell"]
    assert [slot.offset for slot in part.slots] == [0, 3, 9, 12, 15]



