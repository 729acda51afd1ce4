"""Analytical gradients and normal equations against finite differences, on a small made-up experiment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xdp.refinement.equations.engine import minimise, solve
from xdp.refinement.equations.problem import Data, Part, Slot, gradients, normal_equations, predict, residuals
from xdp.refinement.equations.residuals import is_entering
from xdp.refinement.parameters import metric
from xdp.refinement.parameters.blocks import BeamBlock, CellBlock, DetectorBlock, RotationBlock
from xdp.refinement.parameters.rotations import moved_axes, product, rotation
from xdp.refinement.parameters.smoother import Smoother

pytestmark = pytest.mark.filterwarnings("error")

IDENTITY = np.eye(3)[None].astype(int)
TETRAGONAL = np.array([np.eye(3), np.diag([-1, -1, 1]), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]], dtype=int)


def make_part(is_still: bool = False, smoother: Smoother | None = None, rotations: np.ndarray = IDENTITY) -> Part:
    """A two-panel detector 150 mm away, a crystal of 40 x 40 x 60 Å, reflections near the Ewald sphere."""
    rng = np.random.default_rng(7)
    s0 = np.array([0.02, -0.01, -1.0])
    axis = np.array([1.0, 0.0, 0.0])
    u = rotation(np.array([0.6, 0.0, 0.8]), 0.7)
    b = np.diag([1 / 40.0, 1 / 40.0, 1 / 60.0])
    frame = np.column_stack([[1, 0, 0], [0, -1, 0], [-80, 80, -150]]).astype(float)
    beside = np.zeros((3, 3))
    beside[0, 2] = 85.0
    frames = np.stack([frame, frame + beside])
    hkl = rng.integers(-14, 15, size=(400, 3)).astype(np.int32)
    slots, offset = [], 0
    blocks = [BeamBlock.of(s0, axis), DetectorBlock(frames, np.array([[0, 0, -1.0], [1, 0, 0], [0, -1.0, 0]]),
                                                    np.array([5.0, 3.0, -150.0]), np.arange(2)),
              RotationBlock(rotation(np.array([0, 1.0, 0]), 0.03), names=("g1", "g2", "g3"), kind="goniometer"),
              RotationBlock(u), CellBlock.of(b, rotations)]
    for block in blocks:
        smooth = smoother if block.kind in ("orientation", "cell") else None
        slot = Slot(block, tuple(range(len(block.names))), offset, smooth)
        slots.append(slot)
        offset += slot.size
    empty = Data(hkl, rng.integers(0, 2, len(hkl)), np.zeros((len(hkl), 3)), np.ones((len(hkl), 3)),
                 rng.uniform(0, 50, len(hkl)), rng.random(len(hkl)) < 0.5, np.ones(len(hkl), dtype=bool))
    part = Part(slots[0], (slots[1],), slots[2], slots[3], slots[4], axis, rotation(np.array([0, 0, 1.0]), 0.2),
                is_still, empty)
    _, at = predict(part, np.zeros(offset))
    good = at.ok & (np.abs(at.x) < 500) & (np.abs(at.y) < 500)
    if not is_still:  # the phi gradient diverges where the reflection runs along the sphere
        axis_lab = slots[2].block.matrix @ axis
        good &= np.abs(at.r.T @ np.cross(s0, axis_lab)) > 0.05 * np.linalg.norm(at.r, axis=0)
    observed = np.column_stack([at.x, at.y, at.third]) + rng.normal(0, 1e-3, (len(hkl), 3))
    return replace(part, data=replace(empty, observed=observed).select(good))


def n_parameters(part: Part) -> int:
    return sum(slot.size for slot in part.slots)


@pytest.mark.parametrize("is_still", [False, True])
def test_gradients_equal_finite_differences(is_still: bool):
    part = make_part(is_still)
    p = np.random.default_rng(3).normal(0, 0.5, n_parameters(part))
    analytic, owners, _ = gradients(part, p)
    step = 1e-4
    for k, (slot, j) in enumerate(owners):
        ends = []
        for sign in (1, -1):
            shifted = p.copy()
            shifted[slot.offset + j] += sign * step
            at = predict(part, shifted)[1]
            ends.append(np.stack([at.x, at.y, at.third]))
        numeric = (ends[0] - ends[1]) / (2 * step)
        # central differences: error of order step^2 and rounding 1e-13 / step
        np.testing.assert_allclose(analytic[k], numeric, rtol=2e-5, atol=2e-8 * max(1, np.abs(numeric).max()))


@pytest.mark.parametrize("smoother", [None, Smoother(0, 50, 1), Smoother(0, 50, 2), Smoother(0, 50, 5)])
def test_normal_equations_are_the_gradient_of_the_loss(smoother: Smoother | None):
    part = make_part(smoother=smoother)
    p = np.random.default_rng(4).normal(0, 0.2, n_parameters(part))
    normal = normal_equations(part, p)
    step = 1e-5
    for k in range(0, len(p), 3):
        plus, minus = (normal_equations(part, p + s * step * np.eye(len(p))[k]).loss for s in (1, -1))
        place = list(normal.columns).index(k)
        scale = np.sqrt(normal.matrix[place, place] * 2 * normal.loss)
        # a smoothed model's derivatives are those at the scan point before, which differ by its change in a frame
        assert normal.vector[place] == pytest.approx((plus - minus) / (2 * step), rel=1e-4, abs=5e-5 * scale)


def test_scan_prediction_lies_on_the_sphere_and_keeps_its_side():
    part = make_part()
    state, at = predict(part, np.zeros(n_parameters(part)))
    assert np.allclose(np.linalg.norm(at.s1, axis=0), np.linalg.norm(state.s0), rtol=1e-12)
    axis = part.setting.block.matrix @ part.axis
    assert np.array_equal(is_entering(state.s0[:, 0], at.s1.T, axis), part.data.entering)


def test_still_prediction_lies_on_the_sphere_with_the_same_length():
    part = make_part(is_still=True)
    state, at = predict(part, np.zeros(n_parameters(part)))
    assert np.allclose(np.linalg.norm(at.s1, axis=0), np.linalg.norm(state.s0), rtol=1e-12)
    q = state.a @ part.data.hkl.T
    assert np.allclose(np.linalg.norm(at.r, axis=0), np.linalg.norm(q, axis=0), rtol=1e-10)


def test_minimise_finds_the_models_that_made_the_data():
    """Detector, orientation and cell are moved; noiseless data bring them back."""
    part = make_part(rotations=TETRAGONAL)
    fixed = replace(part, beam=replace(part.beam, free=()), setting=replace(part.setting, free=()))
    offset, slots = 0, []
    for slot in fixed.slots:
        slots.append(replace(slot, offset=offset))
        offset += slot.size
    part = replace(fixed, beam=slots[0], detector=(slots[1],), setting=slots[2], orientation=slots[3], cell=slots[4])
    truth = np.random.default_rng(5).normal(0, 1.0, offset)
    at = predict(part, truth)[1]
    part = replace(part, data=replace(part.data, observed=np.column_stack([at.x, at.y, at.third])))
    found = minimise(lambda p: [normal_equations(part, p)], np.zeros(offset), rms_change=1e-12)
    assert np.abs(residuals(part, predict(part, found.parameters)[1])).max() < 1e-7
    np.testing.assert_allclose(found.parameters, truth, atol=1e-4)


def test_schur_step_equals_the_full_solution():
    """Two experiments share the detector; their crystals are eliminated."""
    first = make_part()
    second = make_part()
    shift = sum(s.size for s in first.slots[-2:])
    second = replace(second, orientation=replace(second.orientation, offset=first.orientation.offset + shift),
                     cell=replace(second.cell, offset=first.cell.offset + shift),
                     data=second.data.select(slice(0, 150)))
    size = n_parameters(first) + shift
    p = np.random.default_rng(6).normal(0, 0.3, size)
    normals = [normal_equations(part, p) for part in (first, second)]
    full, right = np.zeros((size, size)), np.zeros(size)
    for n in normals:
        full[np.ix_(n.columns, n.columns)] += n.matrix
        right[n.columns] += n.vector
    full[np.arange(size), np.arange(size)] *= 1.1
    # beam, setting and orientation are nearly dependent: the comparison is of what the step does to the residuals
    want, got = np.linalg.solve(full, -right), solve(normals, size, 0.1)
    assert np.allclose(full @ got, full @ want, rtol=1e-6, atol=1e-8 * np.abs(right).max())


def test_products_of_rotations_differentiate():
    axes = np.eye(3)[[0, 2, 1]]
    angles = np.array([0.3, -0.2, 0.5])
    whole, turns = product(axes, angles), moved_axes(axes, angles)
    for k in range(3):
        e = 1e-6 * np.eye(3)[k]
        numeric = (product(axes, angles + e) - product(axes, angles - e)) / 2e-6
        np.testing.assert_allclose(np.cross(turns[k], whole.T).T, numeric, atol=1e-9)
    np.testing.assert_allclose(whole @ whole.T, np.eye(3), atol=1e-14)


def test_tetragonal_metric_has_two_parameters():
    basis = metric.invariant_metrics(TETRAGONAL)
    assert len(basis) == 2
    b = metric.b_from_metric(np.tensordot([0.25, 0.04], basis, axes=1))
    np.testing.assert_allclose(sorted(metric.cell_from_b(b)), sorted([2, 2, 5, 90, 90, 90]), rtol=1e-12)


def test_hexagonal_metric_ties_gamma_star():
    three = np.array([[0, -1, 0], [1, -1, 0], [0, 0, 1]])
    ops = np.array([np.eye(3, dtype=int), three, three @ three])
    assert len(metric.invariant_metrics(ops)) == 2
    a = np.array([[30, 0, 0], [-15, 15 * np.sqrt(3), 0], [0, 0, 70.0]])  # rows a, b, c
    b = CellBlock.of(np.linalg.inv(a), ops).state(np.array([1.0, -2.0]))
    cell = metric.cell_from_b(b)
    assert cell[0] == pytest.approx(cell[1], rel=1e-12)
    np.testing.assert_allclose(cell[3:], [90, 90, 120], atol=1e-9)


def test_smoother_weights_sum_to_one_and_reproduce_constants():
    for n in (1, 2, 3, 7):
        weights = Smoother(10, 40, n).weights(np.linspace(10, 40, 50))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-12)
        assert np.count_nonzero(weights, axis=1).max() <= 3
