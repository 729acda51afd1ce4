"""The fit of one lattice to the spots of a shot: orientation, cell, and how far its spots lie from their places.

A spot's residual, observed less calculated, has three parts: along the reciprocal lattice point q, around the beam, and
along the turn delta psi that would bring the point onto the Ewald sphere. The first two are seen on the detector, and
are as small as centroids are good. The third is as large as the crystal's spread of orientations and its domains' size
allow; its variance is a^2 + (b q)^2.

References
----------
Sauter et al. (2014) Acta Cryst. D70, 3299 (delta psi, domain size and mosaicity of stills).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.experiment.crystal import Crystal, b_matrix
from xdp.indexing.shots._kernels_fit import SpotParts, SpreadSquares, compare_spots
from xdp.refinement.parameters.metric import (
    b_from_metric,
    differentiate_b,
    find_invariant_metrics,
    get_rotation_parts,
)
from xdp.refinement.parameters.rotations import make_rotation

# Relative errors of the lattice that the cycles allow, beside the spread. Those of the search are below 1 %. After the
# last of them the changes are far below the errors (a choice).
_GROWING = (0.008, 0.006, 0.004, 0.003, 0.002, 0.001, 0.0005, 0.0, 0.0, 0.0, 0.0, 0.0)
_LEAST_SPOTS = 4    # a fit of fewer spots tells nothing of widths
_NARROWEST = 2e-5   # 1/Å: widths are not smaller, a tenth of what a good centroid is worth
# The spread is estimated from the cycle on that allows so little: before, it would take in the lattice's own errors.
_SETTLED = 0.002
CELL_ERROR = 0.003
"""Relative: how far a shot's axes are expected from the known ones, one standard deviation (a choice)."""
SCALE_ERROR = 0.01
"""The same of the factor that all axes have in common: distances and wavelengths are known to about a percent."""
# What is usual of spreads counts as so many spots: enough for widths of very few, nothing beside fifty (a choice).
_PRIOR_SPOTS, _PRIOR_WEIGHT = 4.0, 0.4
_SHARES = (0.02, 0.9)  # of spots that belong to nothing: neither end is ever certain


@dataclass(frozen=True, eq=False)
class Spread:
    """How far spots lie from their calculated places; in 1/Å where nothing else stands.

    Attributes
    ----------
    position : float
        Standard deviation of each of the two parts that the detector sees.
    radial : float
        c: of the part along q, that grows with q; the bandwidth, or errors of the distance. Relative.
    size : float
        a: of the third part, that does not grow with q; 1 / domain size in effect.
    mosaicity : float
        b: of the third part, radians.
    spurious : float
        Share of the spots that belong to nothing.
    """

    position: float = 5e-4
    radial: float = 1e-3
    size: float = 3e-4
    mosaicity: float = 2e-3
    spurious: float = 0.4


@dataclass(frozen=True, eq=False)
class LatticeFit:
    """A lattice fitted to spots.

    Attributes
    ----------
    crystal : Crystal
        Refined.
    miller_index : (n, 3) int
        The nearest lattice point of each spot.
    probability : (n,)
        Of each spot to belong to the lattice.
    residual : (n, 3)
        Radial, around the beam, along delta psi; 1/Å.
    spread : Spread
        Of the residuals.
    score : float
        Log likelihood ratio of all spots against chance.
    """

    crystal: Crystal
    miller_index: np.ndarray
    probability: np.ndarray
    residual: np.ndarray
    spread: Spread
    score: float


def compute_proximal_volume(spread: Spread, d_min: float) -> float:
    """Compute the volume (1/Å^3) of the layer outside of the Ewald sphere in which lattice points are seen.

    At q the layer is as thick as the half width of a top hat of the standard deviation sqrt(a^2 + (b q)^2). A cap of
    the sphere to q has the area pi q^2, so that the volume is the integral of 2 pi q times the thickness.

    Parameters
    ----------
    spread : Spread
        a and b are its `size` and `mosaicity`.
    d_min : float
        Resolution to which it is counted, Å.

    Examples
    --------
    >>> round(compute_proximal_volume(Spread(size=1e-3, mosaicity=0.0), 2.0), 6)
    0.00136
    """
    q = (np.arange(100) + 0.5) / (100.0 * d_min)
    thickness = np.sqrt(3.0) * np.hypot(spread.size, spread.mosaicity * q)
    return float(np.sum(2.0 * np.pi * q * thickness) / (100.0 * d_min))


def fit_lattice(crystal: Crystal, points: np.ndarray, s0: np.ndarray, *, cell: Sequence[float] | None = None,
                cell_error: float = CELL_ERROR, scale_error: float = SCALE_ERROR,
                widest: float = np.inf) -> LatticeFit:
    """Fit orientation, cell and spread by expectation maximisation.

    In each cycle a spot counts as much as it is likely to belong to the lattice. Least squares change the orientation
    and the elements of the cell that the space group leaves free; the cell is held near the known one. Then the spread
    is estimated.

    Parameters
    ----------
    crystal : Crystal
        About right.
    points : (n, 3)
        Reciprocal lattice points of all spots, 1/Å.
    s0 : (3,)
        Incident beam, 1/Å.
    cell : sequence of 6 float, optional
        The known cell, Å and degrees; by default that of `crystal`.
    cell_error : float
        Relative standard deviation of each axis about the known one; 0 keeps the cell.
    scale_error : float
        The same of a factor that all axes have in common, as a wrong distance gives.
    widest : float
        Largest spread of positions, 1/Å. Without it a lattice of many false spots may become so wide that it explains
        them all.
    """
    work = _Work(crystal, points, s0, b_matrix(cell) if cell is not None else crystal.B, cell_error, scale_error)
    u, b, spread = crystal.U, crystal.B if cell_error > 0.0 else work.known, Spread()
    for growing in _GROWING:
        work.compare(u, b, spread, growing)
        if work.parts.probability.sum() < _LEAST_SPOTS or (changed := work.solve(u, b)) is None:
            break
        u, b = changed
        if growing > _SETTLED:
            continue
        work.compare(u, b, spread)
        spread = _estimate_spread(work, spread, widest)
    score = work.compare(u, b, spread)
    axes = [tuple(float(x) for x in row) for row in np.linalg.inv(u @ b)]
    fitted = replace(crystal, real_space_a=axes[0], real_space_b=axes[1], real_space_c=axes[2])
    parts = work.parts
    return LatticeFit(fitted, parts.indices.astype(np.int32), parts.probability, parts.residual, spread, score)


class _Work:
    """What stays the same in the cycles of a fit, and the arrays that they fill."""

    def __init__(self, crystal: Crystal, points: np.ndarray, s0: np.ndarray, known: np.ndarray, cell_error: float,
                 scale_error: float) -> None:
        self.points, self.s0, self.q2 = np.ascontiguousarray(points), s0, np.sum(points**2, axis=1)
        self.parts = SpotParts(np.zeros(points.shape), np.zeros(points.shape), np.zeros(len(points)),
                               np.zeros(len(points)))
        self.metrics = find_invariant_metrics(get_rotation_parts(crystal.space_group))
        if cell_error == 0.0:
            self.metrics = self.metrics[:0]
        self.known, self.lengths = known, np.linalg.norm(known, axis=0)
        # the prior of B, each column in units of its length, flat: narrow but along the factor of all columns
        common = (known / self.lengths).ravel() / np.sqrt(3.0)
        wide = max(scale_error, cell_error)
        self.prior = (np.eye(9) - (1.0 - (cell_error / max(wide, 1e-12)) ** 2) * np.outer(common, common)) / max(
            cell_error, 1e-9) ** 2
        n = 3 + len(self.metrics)
        self.normal, self.right, self.d_b = np.zeros((n, n)), np.zeros(n), np.zeros((n - 3, 3, 3))

    def compare(self, u: np.ndarray, b: np.ndarray, spread: Spread, growing: float = 0.0) -> float:
        """Compare the spots with the lattice U B; the score.

        Parameters
        ----------
        u, b : (3, 3) array
            Orientation, and the reciprocal cell (1/Å).
        spread : Spread
            How far spots scatter about the lattice.
        growing : float, default 0
            Scatter that grows with the distance from the origin, as a part of it.
        """
        self.d_b = differentiate_b(b, self.metrics)
        squares = SpreadSquares(spread.position**2, spread.radial**2, growing**2, spread.size**2, spread.mosaicity**2,
                                spread.spurious)
        return float(compare_spots(u @ b, np.ascontiguousarray(u @ self.d_b), self.points, self.s0, squares, self.parts,
                                   self.normal, self.right))

    def solve(self, u: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """U and B after one step of least squares, or None if the step makes no cell."""
        # the cell is held near the known one
        flat = (self.d_b / self.lengths).reshape(len(self.d_b), 9) @ self.prior
        self.normal[3:, 3:] += flat @ (self.d_b / self.lengths).reshape(len(self.d_b), 9).T
        self.right[3:] += flat @ ((self.known - b) / self.lengths).ravel()
        # parameters differ in size by orders of magnitude; what no spot tells stays
        size = np.sqrt(np.maximum(self.normal.diagonal(), 1e-30))
        step = np.linalg.lstsq(self.normal / np.outer(size, size), self.right / size, rcond=1e-10)[0] / size
        angle = float(np.linalg.norm(step[:3]))
        turn = make_rotation(step[:3] / max(angle, 1e-15), angle)
        metric = b.T @ b + np.tensordot(step[3:], self.metrics, 1)
        try:
            return turn @ u, b_from_metric(metric)
        except np.linalg.LinAlgError:
            return None


def _estimate_spread(work: _Work, before: Spread, widest: float) -> Spread:
    """The spread of the residuals, from spots weighted with what they tell, and what is usual."""
    parts, q2, usual = work.parts, work.q2, Spread()
    w = parts.weight
    squares = parts.residual**2
    seen = float(w @ squares[:, 1]) + _PRIOR_SPOTS * (0.5 * usual.position) ** 2
    position2 = float(np.clip(seen / (float(w.sum()) + _PRIOR_SPOTS), _NARROWEST**2, widest**2))
    radial2 = _fit_variances(squares[:, 0] - position2, w / (position2 + before.radial**2 * q2) ** 2, [q2],
                             [(0.5 * usual.radial) ** 2])
    expected = position2 + before.size**2 + before.mosaicity**2 * q2
    size2, mosaicity2 = _fit_variances(squares[:, 2] - position2, w / expected**2, [np.ones_like(q2), q2],
                                       [usual.size**2, (0.5 * usual.mosaicity) ** 2])
    n = len(w)
    spurious = float(np.clip((n - parts.probability.sum() + 1.0) / (n + 2.0), *_SHARES))
    return Spread(float(np.sqrt(position2)), float(np.sqrt(radial2[0])), float(np.sqrt(size2)),
                  float(np.sqrt(mosaicity2)), spurious)


def _fit_variances(squares: np.ndarray, weight: np.ndarray, terms: list[np.ndarray], usual: list[float]) -> np.ndarray:
    """Variances, not below zero, whose sum over `terms` fits squared residuals; `usual` ones count as a few spots.

    Each square is weighted with the inverse square of its expectation (Fisher scoring).
    """
    design, guess = np.stack(terms, axis=1), np.array(usual)
    prior = np.diag(_PRIOR_WEIGHT / guess**2)
    normal = (design * weight[:, None]).T @ design + prior
    return np.maximum(np.linalg.solve(normal, (design * weight[:, None]).T @ squares + prior @ guess), 0.0)
