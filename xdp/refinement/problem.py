"""A refinement problem: which parameters there are, which observations, and the normal equations of both.

The normal equations are made per experiment, and are all that leaves it: what one experiment alone depends on (its
crystal) is eliminated there (:mod:`xdp.refinement.engine`), so that a million crystals need no more memory at a time
than one. Weights of smoothed parameters are applied to the products of local gradients, so that the cost of
scan-varying refinement does not grow with the number of nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from xdp.refinement import residuals as model
from xdp.refinement.blocks import BeamBlock, CellBlock, DetectorBlock, RotationBlock
from xdp.refinement.smoother import Smoother

Block = BeamBlock | DetectorBlock | RotationBlock | CellBlock


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

    def weights(self, frames: np.ndarray) -> sparse.csr_matrix:
        """Smoother weights (n, n_nodes) at `frames`; a column of ones for a static block."""
        if self.smoother is None:
            return sparse.csr_matrix(np.ones((len(frames), 1)))
        return sparse.csr_matrix(self.smoother.weights(frames))

    def parameters(self, p: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """All parameters of the block: (k,) if static, (n, k) at `frames` if smoothed."""
        values = p[self.offset : self.offset + self.size].reshape(len(self.free), self.n_nodes)
        if self.smoother is None:
            full = self.block.start.copy()
            full[list(self.free)] = values[:, 0]
            return full
        full = np.tile(self.block.start, (len(frames), 1))
        full[:, list(self.free)] = self.weights(frames) @ values.T
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

    def __len__(self) -> int:
        return len(self.hkl)

    def select(self, rows: np.ndarray) -> Data:
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


def state_of(part: Part, p: np.ndarray) -> model.State:
    """The models of a part for parameters `p`, at its reflections."""
    data = part.data

    def of(slot: Slot, dims: int) -> np.ndarray:
        state = slot.block.state(slot.parameters(p, data.frames))
        return state if state.ndim == dims + 1 else state[None]

    d = np.zeros((len(data), 3, 3))
    for slot in part.detector:
        frames = slot.block.state(slot.parameters(p, data.frames))
        rows, local = _members(slot.block, data.panel)
        d[rows] = frames[local] if frames.ndim == 3 else frames[rows, local]
    return model.State(of(part.beam, 1), of(part.setting, 2), part.fixed, part.axis, of(part.orientation, 2),
                       of(part.cell, 2), d)


def _members(block: DetectorBlock, panel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reflections on the panels of a group, and each one's place within the group."""
    place = np.full(max(int(block.panels.max()), int(panel.max(initial=0))) + 1, -1)
    place[block.panels] = np.arange(len(block.panels))
    rows = np.flatnonzero(place[panel] >= 0)
    return rows, place[panel[rows]]


def predict(part: Part, p: np.ndarray) -> tuple[model.State, model.Prediction]:
    """Predictions of a part for parameters `p`."""
    state, data = state_of(part, p), part.data
    if part.is_still:
        return state, model.predict_still(state, data.hkl)
    return state, model.predict_scan(state, data.hkl, data.observed[:, 2], data.entering)


def residuals(part: Part, at: model.Prediction) -> np.ndarray:
    """Predicted minus observed (n, 3) in mm, mm, rad; zero where there is no prediction."""
    difference = np.column_stack([at.x, at.y, at.third]) - part.data.observed
    difference[~at.ok] = 0.0
    return difference


def _changes(slot: Slot, part: Part, p: np.ndarray) -> list[model.Change]:
    """How the models change with each free parameter of a slot, before smoothing."""
    data = part.data
    all_parameters = slot.block.derivatives(slot.parameters(p, data.frames))
    changes = []
    for k in slot.free:
        derivative = all_parameters[k]
        if slot.block.kind == "detector":
            rows, local = _members(slot.block, data.panel)
            d = np.zeros((len(data), 3, 3))
            d[rows] = derivative[local] if derivative.ndim == 3 else derivative[rows, local]
            changes.append(model.Change(d=d))
            continue
        dims = 1 if slot.block.kind == "beam" else 2
        derivative = derivative if derivative.ndim == dims + 1 else derivative[None]
        name = {"beam": "s0", "goniometer": "setting", "orientation": "u", "cell": "b"}[slot.block.kind]
        changes.append(model.Change(**{name: derivative}))
    return changes


def gradients(part: Part, p: np.ndarray) -> tuple[np.ndarray, list[tuple[Slot, int]], model.Prediction]:
    """d(x, y, third)/d(parameter before smoothing), (m, n, 3), with the slot and the place of each parameter."""
    state, at = predict(part, p)
    gradient = model.still_gradient if part.is_still else model.scan_gradient
    rows, owners = [], []
    for slot in part.slots:
        for j, change in enumerate(_changes(slot, part, p) if slot.free else []):
            one = gradient(state, part.data.hkl, at, change)
            one[~at.ok] = 0.0
            rows.append(one)
            owners.append((slot, j))
    stacked = np.stack(rows) if rows else np.zeros((0, len(part.data), 3))
    return stacked, owners, at


def normal_equations(part: Part, p: np.ndarray) -> Normal:
    """J^T W J and J^T W r of one experiment at `p`."""
    local, owners, at = gradients(part, p)
    difference = residuals(part, at)
    weights = part.data.weights * at.ok[:, None]
    loss = 0.5 * float(np.sum(weights * difference**2))
    sums = np.sum(difference**2, axis=0)
    flat = (local * np.sqrt(weights)).reshape(len(local), -1)
    right = flat @ (difference * np.sqrt(weights)).ravel()
    if all(slot.smoother is None for slot, _ in owners):
        columns = np.array([slot.offset + j for slot, j in owners], dtype=np.int64)
        return Normal(columns, flat @ flat.T, right, loss, sums, int(at.ok.sum()))
    return _smoothed(part, local, owners, weights, difference, loss, sums, int(at.ok.sum()))


def _smoothed(part: Part, local: np.ndarray, owners: list, weights: np.ndarray, difference: np.ndarray,
              loss: float, sums: np.ndarray, count: int) -> Normal:
    """Normal equations in the nodes' values: blocks W_k^T diag(g_k . g_l) W_l."""
    spread = {id(slot): slot.weights(part.data.frames) for slot, _ in owners}
    spans, start = [], 0
    for slot, _ in owners:
        spans.append(slice(start, start + slot.n_nodes))
        start += slot.n_nodes
    matrix, vector = np.zeros((start, start)), np.zeros(start)
    columns = np.concatenate([slot.offset + j * slot.n_nodes + np.arange(slot.n_nodes) for slot, j in owners])
    for k, (slot_k, _) in enumerate(owners):
        w_k = spread[id(slot_k)]
        weighted = local[k] * weights
        vector[spans[k]] = w_k.T @ np.sum(weighted * difference, axis=1)
        for m in range(k, len(owners)):
            product = np.sum(weighted * local[m], axis=1)
            block = (w_k.multiply(product[:, None])).T @ spread[id(owners[m][0])]
            matrix[spans[k], spans[m]] = block.toarray()
            matrix[spans[m], spans[k]] = matrix[spans[k], spans[m]].T
    return Normal(columns, matrix, vector, loss, sums, count)
