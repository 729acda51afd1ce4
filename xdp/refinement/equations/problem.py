"""Predictions, gradients and normal equations of one experiment in a refinement problem.

The normal equations are made for each experiment, and nothing else leaves it. What only one experiment depends on (its
crystal) is eliminated from them by :mod:`xdp.refinement.equations.engine`, so that very many crystals need no more
memory at a time than one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from xdp.refinement.equations import residuals as model
from xdp.refinement.equations.parts import Block, NormalEquations, ObservedCentroids, Part, ScanGrid, Slot
from xdp.refinement.parameters.blocks import BeamBlock, CellBlock, DetectorBlock, RotationBlock

__all__ = ["NormalEquations", "ObservedCentroids", "Part", "Slot"]

# reflections whose gradients are made at a time: those of some twenty parameters take 2 MB, and stay in the
# processor's cache
_CHUNK = 4096


class _Linearisation(NamedTuple):
    """A part at parameters p, and what its gradients are made of."""

    part: Part
    p: np.ndarray
    grid: ScanGrid
    at: model.Prediction
    by: model.Sensitivity

    def expand(self, slot: Slot[Block]) -> np.ndarray:
        """The slot's parameters, at the scan points if they vary."""
        return slot.expand_parameters(self.p, self.grid.points)


def compute_state(part: Part, p: np.ndarray, grid: ScanGrid) -> model.State:
    """Compute the models of a part at its reflections, for parameters `p`.

    Parameters
    ----------
    part : Part
        The experiment.
    p : (m,)
        The parameter vector of the whole problem.
    grid : ScanGrid
        The scan points about the part's observations.
    """
    beam, cell, orientation, setting = (
        slot.block.evaluate(slot.expand_parameters(p, grid.points))
        for slot in (part.beam, part.cell, part.orientation, part.setting))
    a = orientation @ cell
    return model.State(
        s0=beam[:, None] if beam.ndim == 1 else grid.interpolate(beam).T, setting=setting, fixed=part.fixed,
        axis=part.axis, a=a if a.ndim == 2 else grid.interpolate(a), inverse_d=_invert_frames(part, p, grid))


def _invert_frames(part: Part, p: np.ndarray, grid: ScanGrid) -> np.ndarray:
    """Inverse panel frames of each reflection (n, 3, 3), or the one of all (1, 3, 3)."""
    panel = part.data.panel
    inverse = np.zeros((len(panel), 3, 3))
    for slot in part.detector:
        frames = np.linalg.inv(slot.block.evaluate(slot.expand_parameters(p, grid.points)))
        if frames.shape == (1, 3, 3) and len(part.detector) == 1 and not panel.any():
            return frames
        rows, local = _find_members(slot.block, panel)
        if frames.ndim == 3:
            inverse[rows] = frames[local]
        else:
            left, f = grid.left[rows], grid.fraction[rows, None, None]
            inverse[rows] = frames[left, local] * (1.0 - f) + frames[left + 1, local] * f
    return inverse


def _find_members(block: DetectorBlock, panel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reflections on the panels of a group, and the place of each one's panel within the group."""
    place = np.full(max(int(block.panels.max()), int(panel.max(initial=0))) + 1, -1)
    place[block.panels] = np.arange(len(block.panels))
    rows = np.flatnonzero(place[panel] >= 0)
    return rows, place[panel[rows]]


def predict_part(part: Part, p: np.ndarray, grid: ScanGrid | None = None) -> tuple[model.State, model.Prediction]:
    """Predict the reflections of a part for parameters `p`.

    Parameters
    ----------
    part : Part
        The experiment; predictions of a scan are those nearest to its observed angles.
    p : (m,)
        The parameter vector of the whole problem.
    grid : ScanGrid, optional
        The scan points, if they are known already.

    Returns
    -------
    state : State
        The models at the reflections.
    at : Prediction
    """
    data = part.data
    state, h = compute_state(part, p, grid or ScanGrid.from_frames(data.frames)), data.hkl.T.astype(np.float64)
    if part.is_still:
        return state, model.predict_still(state, h)
    return state, model.predict_scan(state, h, data.observed[:, 2], data.entering)


def compute_residuals(part: Part, at: model.Prediction) -> np.ndarray:
    """Predicted minus observed (n, 3) in mm, mm and radians; zero where there is no prediction.

    Parameters
    ----------
    part : Part
        With the observations.
    at : Prediction
        What :func:`predict_part` gave for it.
    """
    difference = np.column_stack([at.x, at.y, at.third]) - part.data.observed
    difference[~at.ok] = 0.0
    return difference


def compute_gradients(part: Part, p: np.ndarray, grid: ScanGrid | None = None
                      ) -> tuple[np.ndarray, list[tuple[Slot[Block], int]], model.Prediction]:
    """Differentiate the predictions of a part with respect to its free parameters, before smoothing.

    Parameters
    ----------
    part, p, grid
        As for :func:`predict_part`.

    Returns
    -------
    gradients : (m, 3, n)
        d(x, y, third)/d(parameter); zero where there is no prediction.
    owners : list of (Slot, int)
        The slot of each parameter, and its place among the slot's free ones.
    at : Prediction
    """
    grid = grid or ScanGrid.from_frames(part.data.frames)
    state, at = predict_part(part, p, grid)
    by = (model.differentiate_still if part.is_still else model.differentiate_scan)(state, at)
    rows: list[np.ndarray] = []
    owners: list[tuple[Slot[Block], int]] = []
    for slot, gradient in _iterate_gradients(_Linearisation(part, p, grid, at, by)):
        rows.append(gradient)
        owners += [(slot, j) for j in range(len(slot.free))]
    stacked = np.concatenate(rows) if rows else np.zeros((0, 3, len(part.data)))
    stacked[..., ~at.ok] = 0.0
    return stacked, owners, at


def _iterate_gradients(here: _Linearisation) -> Iterator[tuple[Slot[Block], np.ndarray]]:
    """Each slot that has free parameters, in the order of the part's slots, with their gradients (free, 3, n)."""
    part = here.part
    if part.beam.free:
        yield part.beam, _differentiate_beam(part.beam, here)
    for slot in part.detector:
        if slot.free:
            yield slot, _differentiate_detector(slot, here)
    if part.setting.free:
        yield part.setting, _differentiate_setting(part.setting, here)
    if part.orientation.free:
        yield part.orientation, _differentiate_orientation(part.orientation, here)
    if part.cell.free:
        yield part.cell, _differentiate_cell(part.cell, here)


def _project_gradient(vectors: np.ndarray, gradient: np.ndarray, grid: ScanGrid, free: tuple[int, ...]) -> np.ndarray:
    """Gradients (3, 3, n) along the free ones of vectors (k, 3), or (k, g, 3) at the scan points: (free, 3, n)."""
    vectors = vectors[list(free)]
    if vectors.ndim == 2:
        return np.tensordot(vectors, gradient, axes=(1, 1))
    return np.einsum("kni,cin->kcn", grid.take_before(vectors), gradient)


def _differentiate_beam(slot: Slot[BeamBlock], here: _Linearisation) -> np.ndarray:
    """ds0/dp along the sensitivity to s0."""
    return _project_gradient(slot.block.differentiate(here.expand(slot)), here.by.s0, here.grid, slot.free)


def _differentiate_setting(slot: Slot[RotationBlock], here: _Linearisation) -> np.ndarray:
    """a . (r x gradient) for a turn of r about a; a still's r before it is brought onto the sphere counts."""
    block, values, at = slot.block, here.expand(slot), here.at
    r = block.evaluate(values) @ (here.part.fixed @ at.q) if here.part.is_still else at.r
    torque = np.stack([model.cross(r, g) for g in here.by.r])
    return _project_gradient(block.compute_turn_axes(values), torque, here.grid, slot.free)


def _differentiate_orientation(slot: Slot[RotationBlock], here: _Linearisation) -> np.ndarray:
    """a . (q x gradient) for a turn of q about a, in the crystal's frame."""
    torque = np.stack([model.cross(here.at.q, g) for g in here.by.crystal])
    return _project_gradient(slot.block.compute_turn_axes(here.expand(slot)), torque, here.grid, slot.free)


def _differentiate_cell(slot: Slot[CellBlock], here: _Linearisation) -> np.ndarray:
    """dq = U dB h for each free parameter."""
    orientation, data = here.part.orientation, here.part.data
    u = orientation.block.evaluate(here.expand(orientation))
    changes = slot.block.differentiate(here.expand(slot))
    if u.ndim > changes.ndim - 1:  # a static cell in an orientation that varies
        changes = changes[:, None]
    changes = u @ changes
    h = data.hkl.T.astype(np.float64)
    result = np.empty((len(slot.free), 3, len(data)))
    for j, k in enumerate(slot.free):
        change = changes[k]
        dq = model.apply_matrices(change if change.ndim == 2 else change[here.grid.left], h)
        result[j] = np.einsum("cin,in->cn", here.by.crystal, dq)
    return result


def _differentiate_detector(slot: Slot[DetectorBlock], here: _Linearisation) -> np.ndarray:
    """Of the point s1 = d (x, y, 1) w that belongs to the panel: shifts move it by w, turns act about the pivot."""
    block, values, at, data = slot.block, here.expand(slot), here.at, here.part.data
    pivot = block.compute_pivot(values)
    pivot = pivot[:, None] if pivot.ndim == 1 else here.grid.take_before(pivot[None])[0].T
    # the panel moves under a ray that stays: (x, y) change against the motion
    pull = -here.by.panel
    torque = np.stack([model.cross(at.s1 - at.w * pivot, g) for g in pull])
    shifts = tuple(k for k in slot.free if k < 3)
    turns = tuple(k - 3 for k in slot.free if k >= 3)
    result = np.zeros((len(slot.free), 3, len(data)))
    result[: len(shifts), :2] = _project_gradient(block.axes, at.w * pull, here.grid, shifts)
    result[len(shifts) :, :2] = _project_gradient(block.compute_turn_axes(values), torque, here.grid, turns)
    if len(here.part.detector) > 1:
        # reflections on the panels of other groups do not feel this one
        elsewhere = np.ones(len(data), dtype=bool)
        elsewhere[_find_members(block, data.panel)[0]] = False
        result[..., elsewhere] = 0.0
    return result


def build_normal_equations(part: Part, p: np.ndarray) -> NormalEquations:
    """Build J^T W J and J^T W r of one experiment at parameters `p`.

    J holds the gradients of the predictions, r predicted minus observed, W the weights. The loss is r^T W r / 2.

    Parameters
    ----------
    part : Part
        The experiment.
    p : (m,)
        The parameter vector of the whole problem.
    """
    columns = np.concatenate([slot.offset + np.arange(slot.size) for slot in part.slots])
    matrix, vector = np.zeros((len(columns), len(columns))), np.zeros(len(columns))
    loss, sums, count = 0.0, np.zeros(3), 0
    for piece in _split_chunks(part):
        jacobian, places, difference, at = _build_jacobian(piece, p)
        weights = piece.data.weights.T * at.ok
        # both sides are multiplied by the root of the weights, so that one product gives J^T W J
        root = np.sqrt(weights)
        flat = (jacobian * root).reshape(len(jacobian), -1)
        matrix[np.ix_(places, places)] += flat @ flat.T
        vector[places] += flat @ (difference * root).ravel()
        loss += 0.5 * float(np.sum(weights * difference**2))
        sums += np.sum(difference**2, axis=1)
        count += int(at.ok.sum())
    return NormalEquations(columns, matrix, vector, loss, sums, count)


def _split_chunks(part: Part) -> Iterator[Part]:
    """The part in pieces, in the order of frames if anything varies with them: few nodes matter in a piece then."""
    n = len(part.data)
    if n <= _CHUNK:
        yield part
        return
    varies = any(slot.smoother is not None for slot in part.slots)
    order = np.argsort(part.data.frames, kind="stable") if varies else None
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK) if order is None else order[start : start + _CHUNK]
        yield replace(part, data=part.data.select(rows))


def _build_jacobian(part: Part, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, model.Prediction]:
    """Gradients (m, 3, n) in the values of the parameter vector, their places in the part's, and the residuals (3, n).

    A smoothed parameter's gradient is spread over those nodes that have weight at any of the observations.
    """
    grid = ScanGrid.from_frames(part.data.frames)
    local, owners, at = compute_gradients(part, p, grid)
    difference = compute_residuals(part, at).T
    starts = dict(zip(map(id, part.slots), np.cumsum([0, *(s.size for s in part.slots)])[:-1], strict=True))
    if all(slot.smoother is None for slot, _ in owners):
        return local, np.array([starts[id(slot)] + j for slot, j in owners], dtype=np.int64), difference, at
    rows: list[np.ndarray] = []
    places: list[np.ndarray] = []
    spread: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for (slot, j), gradient in zip(owners, local, strict=True):
        place = starts[id(slot)] + j * slot.n_nodes
        if slot.smoother is None:
            rows.append(gradient[None])
            places.append(np.array([place]))
            continue
        if id(slot) not in spread:
            # the parameter itself is interpolated between scan points, as the models are
            weights = grid.interpolate(slot.smoother.compute_weights(grid.points))
            nodes = np.flatnonzero(weights.any(axis=0))
            spread[id(slot)] = nodes, np.ascontiguousarray(weights[:, nodes].T)
        nodes, weights = spread[id(slot)]
        rows.append(weights[:, None, :] * gradient)
        places.append(place + nodes)
    return np.concatenate(rows), np.concatenate(places).astype(np.int64), difference, at
