"""Parameter blocks: what of a model moves, as numbers near zero, with the model's state and its derivatives.

Every block is a small value with `start` (its parameters now), `names`, `state(p)` and its change: `derivatives(p)`, or
for rotations the axes `turns_now(p)`. Parameters may carry leading dimensions, (..., k): then the state is that of each
row, which is how scan-varying models are made.
Angles are in milliradian and lengths in mm, so that the numbers are of order one (Waterman et al. 2016, Acta Cryst.
D72, 558).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xdp.refinement.parameters.metric import b_derivatives, b_from_metric, invariant_metrics
from xdp.refinement.parameters.rotations import moved_axes, product

_MRAD = 1e-3


def perpendicular_axes(direction: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """Two unit axes (2, 3) perpendicular to `direction`: the first in the plane of it and `reference`.

    Turning about the first moves `direction` out of that plane, turning about the second moves it within.
    """
    direction = direction / np.linalg.norm(direction)
    if reference is None or np.linalg.norm(np.cross(direction, reference)) < 1e-3:
        reference = np.eye(3)[np.argmin(np.abs(direction))]
    second = np.cross(direction, reference)
    second /= np.linalg.norm(second)
    return np.stack([np.cross(second, direction), second])


@dataclass(frozen=True)
class BeamBlock:
    """The incident beam: two rotations of its direction, and the wavenumber (1/Å) relative to its start.

    State: s0 (..., 3) in 1/Å.
    """

    s0: np.ndarray
    axes: np.ndarray
    names: tuple[str, ...] = ("Mu1", "Mu2", "nu")
    kind: str = "beam"

    @classmethod
    def of(cls, s0: np.ndarray, spindle: np.ndarray | None) -> BeamBlock:
        """The block of a beam `s0` (3,); `spindle` (3,), if any, defines the in-spindle-plane axis."""
        return cls(np.asarray(s0, dtype=np.float64), perpendicular_axes(s0, spindle))

    @property
    def start(self) -> np.ndarray:
        """No rotation, relative wavenumber change zero (in 1e-3)."""
        return np.zeros(3)

    def state(self, p: np.ndarray) -> np.ndarray:
        """The beam vector s0 for parameters (..., 3)."""
        return (1.0 + p[..., 2:] * _MRAD) * (product(self.axes, p[..., :2] * _MRAD) @ self.s0)

    def derivatives(self, p: np.ndarray) -> np.ndarray:
        """d s0/dp, (3, ..., 3)."""
        now = self.state(p)
        turns = np.cross(moved_axes(self.axes, p[..., :2] * _MRAD), now) * _MRAD
        return np.concatenate([turns, (now / (1.0 + p[..., 2:] * _MRAD))[None] * _MRAD])


@dataclass(frozen=True)
class DetectorBlock:
    """Panels that move as one rigid body: shifts along normal, fast and slow, and rotations about a point of it.

    State: d matrices (..., n_panels, 3, 3) of the group's panels, columns fast, slow, origin.

    Parameters
    ----------
    frames : (n_panels, 3, 3)
        The d matrices at the start.
    axes : (3, 3)
        Rows: unit normal, fast and slow direction of the group.
    pivot : (3,)
        The point about which the group turns, mm: where it is, shifts and tilts are least correlated when it is the
        middle of the group's observed spots.
    panels : (n_panels,)
        The indices of the panels in the detector.
    """

    frames: np.ndarray
    axes: np.ndarray
    pivot: np.ndarray
    panels: np.ndarray
    names: tuple[str, ...] = ("Dist", "Shift1", "Shift2", "Tau1", "Tau2", "Tau3")
    kind: str = "detector"

    @property
    def start(self) -> np.ndarray:
        """No shift, no rotation."""
        return np.zeros(6)

    def state(self, p: np.ndarray) -> np.ndarray:
        """The d matrices for parameters (..., 6)."""
        turn = product(self.axes, p[..., 3:] * _MRAD)
        from_pivot = np.concatenate([self.frames[:, :, :2], self.frames[:, :, 2:] - self.pivot[:, None]], axis=2)
        moved = turn[..., None, :, :] @ from_pivot
        moved[..., :, 2] += self.pivot_now(p)[..., None, :]
        return moved

    def pivot_now(self, p: np.ndarray) -> np.ndarray:
        """Where the pivot is for parameters (..., 6): (..., 3), mm."""
        return self.pivot + p[..., :3] @ self.axes

    def turns_now(self, p: np.ndarray) -> np.ndarray:
        """The axes, times a milliradian, about which a change of Tau1..3 turns the group: (3, ..., 3)."""
        return moved_axes(self.axes, p[..., 3:] * _MRAD) * _MRAD


@dataclass(frozen=True)
class RotationBlock:
    """A rotation that starts as `matrix`: the crystal's orientation U, or a goniometer's setting rotation.

    State: (..., 3, 3), small rotations about `axes` after `matrix`.
    """

    matrix: np.ndarray
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))
    names: tuple[str, ...] = ("Phi1", "Phi2", "Phi3")
    kind: str = "orientation"

    @property
    def start(self) -> np.ndarray:
        """No rotation."""
        return np.zeros(len(self.axes))

    def state(self, p: np.ndarray) -> np.ndarray:
        """The rotation for parameters (..., k) in mrad."""
        return product(self.axes, p * _MRAD) @ self.matrix

    def turns_now(self, p: np.ndarray) -> np.ndarray:
        """The axes, times a milliradian, about which a change of each parameter turns the state: (k, ..., 3)."""
        return moved_axes(self.axes, p * _MRAD) * _MRAD


@dataclass(frozen=True)
class CellBlock:
    """The unit cell, as far as symmetry leaves it free: changes of the independent metric elements.

    State: B (..., 3, 3) in 1/Å. The parameters are changes of G* in units of 1e-3 of its own scale.
    """

    metric: np.ndarray
    basis: np.ndarray
    names: tuple[str, ...]
    kind: str = "cell"

    @classmethod
    def of(cls, b: np.ndarray, rotations: np.ndarray) -> CellBlock:
        """The block of reciprocal cell `b` (3, 3) under the symmetry `rotations` (n, 3, 3).

        The metric is first averaged over the symmetry, so that the start obeys it.
        """
        ops = np.asarray(rotations, dtype=np.float64)
        metric = np.einsum("nij,jl,nml->im", ops, b.T @ b, ops) / len(ops)
        basis = invariant_metrics(rotations)
        # each element is scaled to the size it has in the metric, so that parameters are relative changes
        diagonal = np.sqrt(np.diag(metric))
        sizes = [np.abs(e / np.outer(diagonal, diagonal)).max() for e in basis]
        scaled = basis / np.asarray(sizes)[:, None, None]
        return cls(metric, scaled, tuple(f"g_param_{k}" for k in range(len(basis))))

    @property
    def start(self) -> np.ndarray:
        """The metric as it is."""
        return np.zeros(len(self.basis))

    def state(self, p: np.ndarray) -> np.ndarray:
        """B for parameters (..., k)."""
        return b_from_metric(self.metric + np.tensordot(p * _MRAD, self.basis, axes=1))

    def derivatives(self, p: np.ndarray) -> np.ndarray:
        """dB/dp, (k, ..., 3, 3)."""
        return b_derivatives(self.state(p), self.basis * _MRAD)
