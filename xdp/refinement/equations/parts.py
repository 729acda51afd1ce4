"""What a refinement problem is made of: slots of parameters, the observations of an experiment, normal equations.

A model that varies over the scan is computed at the scan points, one for each frame, and interpolated between them.
Everything that reads ``A_at_scan_points`` later does the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from xdp.refinement.parameters.blocks import BeamBlock, CellBlock, DetectorBlock, RotationBlock
from xdp.refinement.parameters.smoother import Smoother

Block = BeamBlock | DetectorBlock | RotationBlock | CellBlock
BlockT = TypeVar("BlockT", bound=Block, covariant=True)


@dataclass(frozen=True)
class ScanGrid:
    """Scan points: frame numbers, one apart, that enclose all observations, and where the observations lie between.

    Attributes
    ----------
    points : (g,)
        Frame numbers.
    left : (n,) of int
        The point before each observation.
    fraction : (n,)
        How far the observation is towards the next point, from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> grid = ScanGrid.from_frames(np.array([3.25, 5.5]))
    >>> grid.points.tolist(), grid.left.tolist(), grid.fraction.tolist()
    ([3.0, 4.0, 5.0, 6.0], [0, 2], [0.25, 0.5])
    >>> grid.interpolate(np.array([0.0, 1.0, 2.0, 3.0])).tolist()
    [0.25, 2.5]
    """

    points: np.ndarray
    left: np.ndarray
    fraction: np.ndarray

    @classmethod
    def from_frames(cls, frames: np.ndarray) -> ScanGrid:
        """Make the grid for observations at `frames` (n,)."""
        if not len(frames):
            return cls(np.zeros(2), np.zeros(0, np.int64), np.zeros(0))
        first = np.floor(frames.min())
        left = np.floor(frames - first).astype(np.int64)
        return cls(first + np.arange(left.max() + 2), left, frames - first - left)

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """Values (g, ...) at the points, interpolated to the observations (n, ...)."""
        f = self.fraction.reshape(-1, *(1,) * (values.ndim - 1))
        return values[self.left] * (1.0 - f) + values[self.left + 1] * f

    def take_before(self, values: np.ndarray) -> np.ndarray:
        """Values (k, g, ...) at the points before the observations, (k, n, ...).

        For derivatives, which hardly vary within a frame: interpolation would cost as much again.
        """
        return values[:, self.left]


@dataclass(frozen=True)
class Slot(Generic[BlockT]):
    """A block in the problem: which of its parameters are free, whether they vary over the scan, where they stand.

    Attributes
    ----------
    block : Block
        The model's parameters and state.
    free : tuple of int
        Indices of the block's parameters that are refined.
    offset : int
        Where its values begin in the parameter vector p. Free parameter j of a smoothed block has the values
        ``p[offset + j * n_nodes : offset + (j + 1) * n_nodes]``.
    smoother : Smoother or None
        None: the parameters are the same on all frames.
    """

    block: BlockT
    free: tuple[int, ...]
    offset: int = 0
    smoother: Smoother | None = None

    @property
    def n_nodes(self) -> int:
        """Values for each parameter: 1, or the number of the smoother's nodes."""
        return 1 if self.smoother is None else self.smoother.n_nodes

    @property
    def size(self) -> int:
        """Number of values in the parameter vector."""
        return len(self.free) * self.n_nodes

    def list_names(self) -> list[str]:
        """The names of the values, in their order; those of a smoothed parameter end in ``_sample1`` and so on."""
        names = [self.block.names[k] for k in self.free]
        if self.smoother is None:
            return names
        return [f"{name}_sample{node + 1}" for name in names for node in range(self.n_nodes)]

    def expand_parameters(self, p: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """All parameters of the block for the parameter vector `p`, those that are not free at their start.

        Returns
        -------
        (k,) or (n, k)
            The k parameters if they are static; at each of the `frames` (n,) if they are smoothed.
        """
        values = p[self.offset : self.offset + self.size].reshape(len(self.free), self.n_nodes)
        if self.smoother is None:
            full = self.block.start.copy()
            full[list(self.free)] = values[:, 0]
            return full
        full = np.tile(self.block.start, (len(frames), 1))
        full[:, list(self.free)] = self.smoother.compute_weights(frames) @ values.T
        return full


@dataclass(frozen=True)
class ObservedCentroids:
    """The observations of one experiment: positions in mm, angles in radians, weights 1/variance."""

    hkl: np.ndarray       # (n, 3) int32
    panel: np.ndarray     # (n,) int64
    observed: np.ndarray  # (n, 3) x mm, y mm, phi rad (or zero for a still)
    weights: np.ndarray   # (n, 3)
    frames: np.ndarray    # (n,) frame numbers, for smoothed parameters
    entering: np.ndarray  # (n,) bool
    sound: np.ndarray     # (n,) bool, may be used: not overloaded, within the scan

    def __len__(self) -> int:
        return len(self.hkl)

    def select(self, rows: np.ndarray | slice) -> ObservedCentroids:
        """Some of the observations: row numbers, a slice or a mask."""
        return ObservedCentroids(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Part:
    """One experiment in the problem: its slots by what they describe, what stays fixed, and its observations."""

    beam: Slot[BeamBlock]
    detector: tuple[Slot[DetectorBlock], ...]  # one for each group of panels
    setting: Slot[RotationBlock]      # the goniometer's setting rotation S
    orientation: Slot[RotationBlock]  # U
    cell: Slot[CellBlock]             # B
    axis: np.ndarray   # rotation axis in the frame between S and F (3,)
    fixed: np.ndarray  # the goniometer's fixed rotation F (3, 3)
    is_still: bool
    data: ObservedCentroids

    @property
    def slots(self) -> tuple[Slot[Block], ...]:
        """All slots, in the order beam, detector, setting, orientation, cell."""
        return (self.beam, *self.detector, self.setting, self.orientation, self.cell)


@dataclass(frozen=True)
class NormalEquations:
    """Normal equations of one experiment: `matrix` (m, m) and `vector` (m,) for the parameters `columns` (m,)."""

    columns: np.ndarray
    matrix: np.ndarray
    vector: np.ndarray
    loss: float
    sums: np.ndarray = field(default_factory=lambda: np.zeros(3))  # sums of squared residuals, mm2 mm2 rad2
    count: int = 0
