"""A made-up experiment of a refinement problem: two panels, a crystal, reflections near the Ewald sphere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.refinement.equations.parts import ObservedCentroids, Part, Slot
from xdp.refinement.equations.problem import predict_part
from xdp.refinement.parameters.blocks import BeamBlock, CellBlock, DetectorBlock, RotationBlock
from xdp.refinement.parameters.rotations import make_rotation
from xdp.refinement.parameters.smoother import Smoother

IDENTITY = np.eye(3)[None].astype(int)
TETRAGONAL = np.array([np.eye(3), np.diag([-1, -1, 1]), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]], dtype=int)


def make_part(is_still: bool = False, smoother: Smoother | None = None, rotations: np.ndarray = IDENTITY) -> Part:
    """A two-panel detector 150 mm away, a crystal of 40 x 40 x 60 Å, reflections near the Ewald sphere."""
    rng = np.random.default_rng(7)
    s0 = np.array([0.02, -0.01, -1.0])
    axis = np.array([1.0, 0.0, 0.0])
    u = make_rotation(np.array([0.6, 0.0, 0.8]), 0.7)
    b = np.diag([1 / 40.0, 1 / 40.0, 1 / 60.0])
    frame = np.column_stack([[1, 0, 0], [0, -1, 0], [-80, 80, -150]]).astype(float)
    beside = np.zeros((3, 3))
    beside[0, 2] = 85.0
    frames = np.stack([frame, frame + beside])
    hkl = rng.integers(-14, 15, size=(400, 3)).astype(np.int32)
    slots, offset = [], 0
    blocks = [BeamBlock.from_s0(s0, axis), DetectorBlock(frames, np.array([[0, 0, -1.0], [1, 0, 0], [0, -1.0, 0]]),
                                                         np.array([5.0, 3.0, -150.0]), np.arange(2)),
              RotationBlock(make_rotation(np.array([0, 1.0, 0]), 0.03), names=("g1", "g2", "g3"), kind="goniometer"),
              RotationBlock(u), CellBlock.from_b(b, rotations)]
    for block in blocks:
        smooth = smoother if block.kind in ("orientation", "cell") else None
        slot = Slot(block, tuple(range(len(block.names))), offset, smooth)
        slots.append(slot)
        offset += slot.size
    empty = ObservedCentroids(hkl, rng.integers(0, 2, len(hkl)), np.zeros((len(hkl), 3)), np.ones((len(hkl), 3)),
                              rng.uniform(0, 50, len(hkl)), rng.random(len(hkl)) < 0.5, np.ones(len(hkl), dtype=bool))
    part = Part(slots[0], (slots[1],), slots[2], slots[3], slots[4], axis, make_rotation(np.array([0, 0, 1.0]), 0.2),
                is_still, empty)
    _, at = predict_part(part, np.zeros(offset))
    good = at.ok & (np.abs(at.x) < 500) & (np.abs(at.y) < 500)
    if not is_still:  # the phi gradient diverges where the reflection runs along the sphere
        axis_lab = slots[2].block.matrix @ axis
        good &= np.abs(at.r.T @ np.cross(s0, axis_lab)) > 0.05 * np.linalg.norm(at.r, axis=0)
    observed = np.column_stack([at.x, at.y, at.third]) + rng.normal(0, 1e-3, (len(hkl), 3))
    return replace(part, data=replace(empty, observed=observed).select(good))


def count_parameters(part: Part) -> int:
    """Length of the parameter vector of a part on its own."""
    return sum(slot.size for slot in part.slots)
