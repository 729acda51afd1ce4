"""Parameter blocks: what of a model moves, as numbers near zero, with the model's state and its derivatives.

Every block has `start` (its parameters as the model is now), `names`, and `evaluate(p)`, the model's state for
parameters p. Its derivatives are `differentiate(p)`, or for rotations the axes `compute_turn_axes(p)`. Parameters may
carry leading dimensions, (..., k): then the state is that of each row, which is how scan-varying models are made.

Angles are in milliradian and lengths in mm, so that the numbers are of order one (Waterman et al. 2016, Acta Cryst.
D72, 558).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xdp.refinement.parameters.metric import b_from_metric, differentiate_b, find_invariant_metrics
from xdp.refinement.parameters.rotations import move_axes, multiply_rotations

_MRAD = 1e-3  # radians in a milliradian; also the unit of relative changes
_PARALLEL = 1e-3  # sine of the angle below which two directions span no plane


def make_perpendicular_axes(direction: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    """Make two unit axes (2, 3) perpendicular to `direction`, the first in the plane of it and `reference`.

    A turn about the first moves `direction` out of that plane, a turn about the second moves it within.

    Parameters
    ----------
    direction : (3,)
        Of any length.
    reference : (3,) or None
        A unit vector. None, or one along `direction`: the laboratory axis furthest from it serves.

    Examples
    --------
    >>> import numpy as np
    >>> make_perpendicular_axes(np.array([0.0, 0.0, -2.0]), np.array([1.0, 0.0, 0.0])).round(9).tolist()
    [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]
    """
    direction = direction / np.linalg.norm(direction)
    if reference is None or np.linalg.norm(np.cross(direction, reference)) < _PARALLEL:
        reference = np.eye(3)[np.argmin(np.abs(direction))]
    second = np.cross(direction, reference)
    second /= np.linalg.norm(second)
    return np.stack([np.cross(second, direction), second])


@dataclass(frozen=True)
class BeamBlock:
    """The incident beam: two rotations of its direction (mrad), and the relative change of its wavenumber (1e-3).

    Its state is s0 (..., 3) in 1/Å.
    """

    s0: np.ndarray
    axes: np.ndarray
    names: tuple[str, ...] = ("Mu1", "Mu2", "nu")
    kind: str = "beam"

    @classmethod
    def from_s0(cls, s0: np.ndarray, spindle: np.ndarray | None) -> BeamBlock:
        """Make the block of a beam `s0` (3,); Mu1 turns it out of its plane with the `spindle` (3,) or None."""
        return cls(np.asarray(s0, dtype=np.float64), make_perpendicular_axes(s0, spindle))

    @property
    def start(self) -> np.ndarray:
        """No rotation, no change of the wavenumber: (3,)."""
        return np.zeros(3)

    def evaluate(self, p: np.ndarray) -> np.ndarray:
        """The beam vector s0 (..., 3) in 1/Å for parameters (..., 3)."""
        return (1.0 + p[..., 2:] * _MRAD) * (multiply_rotations(self.axes, p[..., :2] * _MRAD) @ self.s0)

    def differentiate(self, p: np.ndarray) -> np.ndarray:
        """d s0/dp for parameters (..., 3): (3, ..., 3), the parameters first."""
        now = self.evaluate(p)
        turns = np.cross(move_axes(self.axes, p[..., :2] * _MRAD), now) * _MRAD
        return np.concatenate([turns, (now / (1.0 + p[..., 2:] * _MRAD))[None] * _MRAD])


@dataclass(frozen=True)
class DetectorBlock:
    """Panels that move as one rigid body: shifts along normal, fast and slow (mm), and rotations about a point (mrad).

    Its state is the d matrices (..., n_panels, 3, 3) of the group's panels: columns fast, slow, origin.

    Parameters
    ----------
    frames : (n_panels, 3, 3)
        The d matrices at the start.
    axes : (3, 3)
        Rows: unit normal, fast and slow direction of the group.
    pivot : (3,)
        The point about which the group turns, mm. Near the middle of the group shifts and tilts are least correlated.
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
        """No shift, no rotation: (6,)."""
        return np.zeros(6)

    def evaluate(self, p: np.ndarray) -> np.ndarray:
        """The d matrices (..., n_panels, 3, 3) for parameters (..., 6)."""
        turn = multiply_rotations(self.axes, p[..., 3:] * _MRAD)
        from_pivot = np.concatenate([self.frames[:, :, :2], self.frames[:, :, 2:] - self.pivot[:, None]], axis=2)
        # fast and slow turn as directions, origins about the pivot, which shifts take along
        moved = turn[..., None, :, :] @ from_pivot
        moved[..., :, 2] += self.compute_pivot(p)[..., None, :]
        return moved

    def compute_pivot(self, p: np.ndarray) -> np.ndarray:
        """Where the pivot is for parameters (..., 6): (..., 3), mm."""
        return self.pivot + p[..., :3] @ self.axes

    def compute_turn_axes(self, p: np.ndarray) -> np.ndarray:
        """The axes, times a milliradian, about which a change of Tau1, 2 and 3 turns the group: (3, ..., 3)."""
        return move_axes(self.axes, p[..., 3:] * _MRAD) * _MRAD


@dataclass(frozen=True)
class RotationBlock:
    """A rotation that starts as `matrix`: the crystal's orientation U, or a goniometer's setting rotation.

    Its state is a matrix (..., 3, 3): small rotations about `axes` (k, 3), in mrad, after `matrix`.
    """

    matrix: np.ndarray
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))
    names: tuple[str, ...] = ("Phi1", "Phi2", "Phi3")
    kind: str = "orientation"

    @property
    def start(self) -> np.ndarray:
        """No rotation: (k,)."""
        return np.zeros(len(self.axes))

    def evaluate(self, p: np.ndarray) -> np.ndarray:
        """The rotation (..., 3, 3) for parameters (..., k)."""
        return multiply_rotations(self.axes, p * _MRAD) @ self.matrix

    def compute_turn_axes(self, p: np.ndarray) -> np.ndarray:
        """The axes, times a milliradian, about which a change of each parameter turns the state: (k, ..., 3)."""
        return move_axes(self.axes, p * _MRAD) * _MRAD


@dataclass(frozen=True)
class CellBlock:
    """The unit cell, as far as symmetry leaves it free: changes of the independent metric elements.

    Its state is B (..., 3, 3) in 1/Å. The parameters are relative changes of elements of G*, in units of 1e-3.
    """

    metric: np.ndarray
    basis: np.ndarray
    names: tuple[str, ...]
    kind: str = "cell"

    @classmethod
    def from_b(cls, b: np.ndarray, rotations: np.ndarray) -> CellBlock:
        """Make the block of reciprocal cell `b` (3, 3) under the symmetry `rotations` (n, 3, 3).

        The metric is first averaged over the symmetry, so that the start obeys it.

        Examples
        --------
        >>> import numpy as np
        >>> CellBlock.from_b(np.diag([0.1, 0.2, 0.3]), np.eye(3, dtype=int)[None]).names[-1]
        'g_param_5'
        """
        ops = np.asarray(rotations, dtype=np.float64)
        metric = np.einsum("nij,jl,nml->im", ops, b.T @ b, ops) / len(ops)
        basis = find_invariant_metrics(rotations)
        # each element is scaled to the size it has in the metric, so that parameters are relative changes
        diagonal = np.sqrt(np.diag(metric))
        sizes = [np.abs(e / np.outer(diagonal, diagonal)).max() for e in basis]
        scaled = basis / np.asarray(sizes)[:, None, None]
        return cls(metric, scaled, tuple(f"g_param_{k}" for k in range(len(basis))))

    @property
    def start(self) -> np.ndarray:
        """The metric as it is: (k,)."""
        return np.zeros(len(self.basis))

    def evaluate(self, p: np.ndarray) -> np.ndarray:
        """B (..., 3, 3) in 1/Å for parameters (..., k)."""
        return b_from_metric(self.metric + np.tensordot(p * _MRAD, self.basis, axes=1))

    def differentiate(self, p: np.ndarray) -> np.ndarray:
        """dB/dp for parameters (..., k): (k, ..., 3, 3), the parameters first."""
        return differentiate_b(self.evaluate(p), self.basis * _MRAD)
