"""A refinement problem: which parameters there are, which observations, and the normal equations of both.

The normal equations are made per experiment, and are all that leaves it: what one experiment alone depends on (its
crystal) is eliminated there (:mod:`xdp.refinement.equations.engine`), so that very many crystals need no more memory
at a time than one.

A model that varies over the scan is composed at the scan points, once a frame, and interpolated between them, as it is
by everything that reads ``A_at_scan_points``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from xdp.refinement.equations import residuals as model
from xdp.refinement.parameters.blocks import BeamBlock, CellBlock, DetectorBlock, RotationBlock
from xdp.refinement.parameters.smoother import Smoother

Block = BeamBlock | DetectorBlock | RotationBlock | CellBlock

_CHUNK = 4096  # reflections whose gradients are made at a time: they stay in the processor's cache


@dataclass(frozen=True)
class Grid:
    """Scan points: frame numbers `points`, one apart, that enclose all observations, and where these lie between."""

    points: np.ndarray    # (g,)
    left: np.ndarray      # (n,) the point before each observation
    fraction: np.ndarray  # (n,) from 0 to 1, how far it is towards the next

    @classmethod
    def over(cls, frames: np.ndarray) -> Grid:
        """The grid for observations at `frames` (n,)."""
        if not len(frames):
            return cls(np.zeros(2), np.zeros(0, np.int64), np.zeros(0))
        first = np.floor(frames.min())
        left = np.floor(frames - first).astype(np.int64)
        return cls(first + np.arange(left.max() + 2), left, frames - first - left)

    def between(self, values: np.ndarray) -> np.ndarray:
        """Values (g, ...) at the points, interpolated to the observations (n, ...)."""
        f = self.fraction.reshape(-1, *(1,) * (values.ndim - 1))
        return values[self.left] * (1.0 - f) + values[self.left + 1] * f

    def near(self, values: np.ndarray) -> np.ndarray:
        """Values (k, g, ...) at the points before the observations (k, n, ...): for derivatives, which hardly vary."""
        return values[:, self.left]


@dataclass(frozen=True)
class Slot:
    """A block in the problem: which of its parameters are free, whether they vary over the scan, where they stand.

    `free` holds indices into the block's parameters. Free parameter j of a smoothed block has the values
    ``p[offset + j * n_nodes : offset + (j + 1) * n_nodes]``.
    """

    block: Block
    free: tuple[int, ...]
    offset: int = 0
    smoother: Smoother | None = None

    @property
    def n_nodes(self) -> int:
        """Values for each parameter."""
        return 1 if self.smoother is None else self.smoother.n_nodes

    @property
    def size(self) -> int:
        """Number of values in the parameter vector."""
        return len(self.free) * self.n_nodes

    def names(self) -> list[str]:
        """The names of the values, in their order."""
        names = [self.block.names[k] for k in self.free]
        if self.smoother is None:
            return names
        return [f"{name}_sample{node + 1}" for name in names for node in range(self.n_nodes)]

    def parameters(self, p: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """All parameters of the block: (k,) if static, (n, k) at `frames` if smoothed."""
        values = p[self.offset : self.offset + self.size].reshape(len(self.free), self.n_nodes)
        if self.smoother is None:
            full = self.block.start.copy()
            full[list(self.free)] = values[:, 0]
            return full
        full = np.tile(self.block.start, (len(frames), 1))
        full[:, list(self.free)] = self.smoother.weights(frames) @ values.T
        return full


@dataclass(frozen=True)
class Data:
    """The observations of one experiment; mm and radians, weights 1/variance, frames for smoothed parameters."""

    hkl: np.ndarray       # (n, 3) int32
    panel: np.ndarray     # (n,) int64
    observed: np.ndarray  # (n, 3) x mm, y mm, phi rad (or zero for a still)
    weights: np.ndarray   # (n, 3)
    frames: np.ndarray    # (n,)
    entering: np.ndarray  # (n,) bool
    sound: np.ndarray     # (n,) bool, may be used: not overloaded, within the scan

    def __len__(self) -> int:
        return len(self.hkl)

    def select(self, rows: np.ndarray | slice) -> Data:
        """Some of the observations."""
        return Data(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Part:
    """One experiment in the problem: its slots by what they describe, what stays fixed, and its observations."""

    beam: Slot
    detector: tuple[Slot, ...]
    setting: Slot
    orientation: Slot
    cell: Slot
    axis: np.ndarray
    fixed: np.ndarray
    is_still: bool
    data: Data

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All slots, in the order beam, detector, setting, orientation, cell."""
        return (self.beam, *self.detector, self.setting, self.orientation, self.cell)


@dataclass(frozen=True)
class Normal:
    """Normal equations of one experiment: `matrix` (m, m) and `vector` (m,) for the parameters `columns` (m,)."""

    columns: np.ndarray
    matrix: np.ndarray
    vector: np.ndarray
    loss: float
    sums: np.ndarray = field(default_factory=lambda: np.zeros(3))  # sums of squared residuals, mm2 mm2 rad2
    count: int = 0


def state_of(part: Part, p: np.ndarray, grid: Grid) -> model.State:
    """The models of a part for parameters `p`, at its reflections."""

    def of(slot: Slot) -> np.ndarray:
        return slot.block.state(slot.parameters(p, grid.points))

    beam, cell, orientation = of(part.beam), of(part.cell), of(part.orientation)
    a = orientation @ cell
    return model.State(
        s0=beam[:, None] if beam.ndim == 1 else grid.between(beam).T, setting=of(part.setting), fixed=part.fixed,
        axis=part.axis, a=a if a.ndim == 2 else grid.between(a), inverse_d=_inverse_frames(part, p, grid))


def _inverse_frames(part: Part, p: np.ndarray, grid: Grid) -> np.ndarray:
    """Inverse panel frames of each reflection (n, 3, 3), or the one of all (1, 3, 3)."""
    panel = part.data.panel
    inverse = np.zeros((len(panel), 3, 3))
    for slot in part.detector:
        frames = np.linalg.inv(slot.block.state(slot.parameters(p, grid.points)))
        if frames.shape == (1, 3, 3) and len(part.detector) == 1 and not panel.any():
            return frames
        rows, local = _members(slot.block, panel)
        if frames.ndim == 3:
            inverse[rows] = frames[local]
        else:
            left, f = grid.left[rows], grid.fraction[rows, None, None]
            inverse[rows] = frames[left, local] * (1.0 - f) + frames[left + 1, local] * f
    return inverse


def _members(block: DetectorBlock, panel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reflections on the panels of a group, and each one's place within the group."""
    place = np.full(max(int(block.panels.max()), int(panel.max(initial=0))) + 1, -1)
    place[block.panels] = np.arange(len(block.panels))
    rows = np.flatnonzero(place[panel] >= 0)
    return rows, place[panel[rows]]


def predict(part: Part, p: np.ndarray, grid: Grid | None = None) -> tuple[model.State, model.Prediction]:
    """Predictions of a part for parameters `p`."""
    data = part.data
    state, h = state_of(part, p, grid or Grid.over(data.frames)), data.hkl.T.astype(np.float64)
    if part.is_still:
        return state, model.predict_still(state, h)
    return state, model.predict_scan(state, h, data.observed[:, 2], data.entering)


def residuals(part: Part, at: model.Prediction) -> np.ndarray:
    """Predicted minus observed (n, 3) in mm, mm, rad; zero where there is no prediction."""
    difference = np.column_stack([at.x, at.y, at.third]) - part.data.observed
    difference[~at.ok] = 0.0
    return difference


def gradients(part: Part, p: np.ndarray, grid: Grid | None = None
              ) -> tuple[np.ndarray, list[tuple[Slot, int]], model.Prediction]:
    """d(x, y, third)/d(parameter before smoothing), (m, 3, n), with the slot and the place of each parameter."""
    grid = grid or Grid.over(part.data.frames)
    state, at = predict(part, p, grid)
    sensitivity = (model.still_sensitivity if part.is_still else model.scan_sensitivity)(state, at)
    make = {"beam": _beam_gradients, "detector": _detector_gradients, "goniometer": _setting_gradients,
            "orientation": _orientation_gradients, "cell": _cell_gradients}
    rows, owners = [], []
    for slot in part.slots:
        if slot.free:
            rows.append(make[slot.block.kind](slot, part, p, grid, at, sensitivity))
            owners += [(slot, j) for j in range(len(slot.free))]
    stacked = np.concatenate(rows) if rows else np.zeros((0, 3, len(part.data)))
    stacked[..., ~at.ok] = 0.0
    return stacked, owners, at


def _along(vectors: np.ndarray, gradient: np.ndarray, grid: Grid, free: tuple[int, ...]) -> np.ndarray:
    """Gradients (3, 3, n) along the free ones of vectors (k, 3), or (k, g, 3) at the scan points: (free, 3, n)."""
    vectors = vectors[list(free)]
    if vectors.ndim == 2:
        return np.tensordot(vectors, gradient, axes=(1, 1))
    return np.einsum("kni,cin->kcn", grid.near(vectors), gradient)


def _beam_gradients(slot: Slot, _part: Part, p: np.ndarray, grid: Grid, _at: model.Prediction,
                    s: model.Sensitivity) -> np.ndarray:
    return _along(slot.block.derivatives(slot.parameters(p, grid.points)), s.s0, grid, slot.free)


def _setting_gradients(slot: Slot, part: Part, p: np.ndarray, grid: Grid, at: model.Prediction,
                       s: model.Sensitivity) -> np.ndarray:
    """a . (r x gradient) for a turn of r about a; a still's r before it is brought onto the sphere counts."""
    block, values = slot.block, slot.parameters(p, grid.points)
    r = block.state(values) @ (part.fixed @ at.q) if part.is_still else at.r
    return _along(block.turns_now(values), np.stack([model.cross(r, g) for g in s.r]), grid, slot.free)


def _orientation_gradients(slot: Slot, _part: Part, p: np.ndarray, grid: Grid, at: model.Prediction,
                           s: model.Sensitivity) -> np.ndarray:
    torque = np.stack([model.cross(at.q, g) for g in s.crystal])
    return _along(slot.block.turns_now(slot.parameters(p, grid.points)), torque, grid, slot.free)


def _cell_gradients(slot: Slot, part: Part, p: np.ndarray, grid: Grid, _at: model.Prediction,
                    s: model.Sensitivity) -> np.ndarray:
    """dq = U dB h for each free parameter."""
    u = part.orientation.block.state(part.orientation.parameters(p, grid.points))
    changes = slot.block.derivatives(slot.parameters(p, grid.points))
    if u.ndim > changes.ndim - 1:  # a static cell in an orientation that varies
        changes = changes[:, None]
    changes = u @ changes
    h = part.data.hkl.T.astype(np.float64)
    result = np.empty((len(slot.free), 3, len(part.data)))
    for j, k in enumerate(slot.free):
        change = changes[k]
        dq = model.apply_matrices(change if change.ndim == 2 else change[grid.left], h)
        result[j] = np.einsum("cin,in->cn", s.crystal, dq)
    return result


def _detector_gradients(slot: Slot, part: Part, p: np.ndarray, grid: Grid, at: model.Prediction,
                        s: model.Sensitivity) -> np.ndarray:
    """Of the point s1 = d (x, y, 1) w that belongs to the panel: shifts move it by w, turns act about the pivot."""
    block, values = slot.block, slot.parameters(p, grid.points)
    pivot = block.pivot_now(values)
    pivot = pivot[:, None] if pivot.ndim == 1 else grid.near(pivot[None])[0].T
    pull = -s.panel
    torque = np.stack([model.cross(at.s1 - at.w * pivot, g) for g in pull])
    shifts = tuple(k for k in slot.free if k < 3)
    turns = tuple(k - 3 for k in slot.free if k >= 3)
    result = np.zeros((len(slot.free), 3, len(part.data)))
    result[: len(shifts), :2] = _along(block.axes, at.w * pull, grid, shifts)
    result[len(shifts) :, :2] = _along(block.turns_now(values), torque, grid, turns)
    if len(part.detector) > 1:
        elsewhere = np.ones(len(part.data), dtype=bool)
        elsewhere[_members(block, part.data.panel)[0]] = False
        result[..., elsewhere] = 0.0
    return result


def normal_equations(part: Part, p: np.ndarray) -> Normal:
    """J^T W J and J^T W r of one experiment at `p`."""
    columns = np.concatenate([slot.offset + np.arange(slot.size) for slot in part.slots])
    matrix, vector = np.zeros((len(columns), len(columns))), np.zeros(len(columns))
    loss, sums, count = 0.0, np.zeros(3), 0
    for piece in _chunks(part):
        jacobian, places, difference, at = _jacobian(piece, p)
        weights = piece.data.weights.T * at.ok
        root = np.sqrt(weights)
        flat = (jacobian * root).reshape(len(jacobian), -1)
        matrix[np.ix_(places, places)] += flat @ flat.T
        vector[places] += flat @ (difference * root).ravel()
        loss += 0.5 * float(np.sum(weights * difference**2))
        sums += np.sum(difference**2, axis=1)
        count += int(at.ok.sum())
    return Normal(columns, matrix, vector, loss, sums, count)


def _chunks(part: Part) -> Iterator[Part]:
    """The part in pieces, in the order of frames where anything depends on these."""
    n = len(part.data)
    if n <= _CHUNK:
        yield part
        return
    varies = any(slot.smoother is not None for slot in part.slots)
    order = np.argsort(part.data.frames, kind="stable") if varies else None
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK) if order is None else order[start : start + _CHUNK]
        yield replace(part, data=part.data.select(rows))


def _jacobian(part: Part, p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, model.Prediction]:
    """Gradients (m, 3, n) in the values of the parameter vector, their places in the part's, and the residuals (3, n).

    A smoothed parameter's gradient is spread over those nodes that have weight at any of the observations.
    """
    grid = Grid.over(part.data.frames)
    local, owners, at = gradients(part, p, grid)
    difference = residuals(part, at).T
    starts = dict(zip(map(id, part.slots), np.cumsum([0, *(s.size for s in part.slots)])[:-1], strict=True))
    if all(slot.smoother is None for slot, _ in owners):
        return local, np.array([starts[id(slot)] + j for slot, j in owners], dtype=np.int64), difference, at
    rows, places, spread = [], [], {}
    for (slot, j), gradient in zip(owners, local, strict=True):
        place = starts[id(slot)] + j * slot.n_nodes
        if slot.smoother is None:
            rows.append(gradient[None])
            places.append([place])
            continue
        if id(slot) not in spread:
            weights = grid.between(slot.smoother.weights(grid.points))
            nodes = np.flatnonzero(weights.any(axis=0))
            spread[id(slot)] = nodes, np.ascontiguousarray(weights[:, nodes].T)
        nodes, weights = spread[id(slot)]
        rows.append(weights[:, None, :] * gradient)
        places.append(place + nodes)
    return np.concatenate(rows), np.concatenate(places).astype(np.int64), difference, at
