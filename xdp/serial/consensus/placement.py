r"""The lattice of a known cell placed in one shot: its orientation refined, and how well it explains the spots.

A still tells where a lattice point is across the diffracted ray far better than along it, where the point may lie off
the Ewald sphere. A residual r = U^T q - B h (crystal frame) is therefore split into a part along the ray, of width
:math:`\sigma_n`, and a part across it, of width :math:`\sigma_t` in each direction. Against chance, one lattice point
in each 1/V of reciprocal space, a spot's likelihood ratio is

.. math:: (1 - f)\, N(r_t; \sigma_t)\, N(r_n; \sigma_n) / V + f

with f the fraction of spots that belong to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from xdp.serial.consensus.candidates import ShotCandidates

_OUTLIERS = np.array([0.05, 0.2, 0.4, 0.6, 0.75, 0.9])  # trial fractions of spots that belong to nothing
_CYCLES = 6        # of a shot's orientation; the first ones leave out the outer spots
_FEWEST = 4        # spots that fix an orientation with one to spare
_FAR = 4.0         # widths from its lattice point beyond which a spot does not count: of true ones one in 2000
_DAMPING = 1e-9    # of the largest element, added to normal equations: a direction without spots does not move


class ResidualWidths(NamedTuple):
    """ResidualWidths of residuals, 1/Å: across the diffracted ray (in each direction) and along it."""

    across: float
    along: float


@dataclass(frozen=True)
class Placement:
    """A lattice placed in a shot.

    Attributes
    ----------
    shot : ShotCandidates
        Its spots.
    rotation : (3, 3)
        U: the setting matrix is U B.
    score : float
        Log likelihood ratio against chance.
    n_indexed : int
        Spots within four widths of their lattice points.
    """

    shot: ShotCandidates
    rotation: np.ndarray
    score: float = 0.0
    n_indexed: int = 0


class Residuals(NamedTuple):
    """Spots against their lattice points, in the crystal's frame."""

    hkl: np.ndarray      # (n, 3) whole numbers
    nodes: np.ndarray    # (n, 3) lattice points B h, 1/Å
    offset: np.ndarray   # (n, 3) U^T q - B h, 1/Å
    rays: np.ndarray     # (n, 3) unit vectors
    along: np.ndarray    # (n,) part of the offset along the ray
    across: np.ndarray   # (n,) length of the part across it

    def measure(self, widths: ResidualWidths) -> np.ndarray:
        """Squared distances from the lattice points, in widths."""
        return (self.across / widths.across) ** 2 + (self.along / widths.along) ** 2


def split_residuals(shot: ShotCandidates, rotation: np.ndarray, b: np.ndarray) -> Residuals:
    """Compute the residuals of a shot's spots from the nearest points of a lattice.

    Parameters
    ----------
    shot : ShotCandidates
        Its points and rays.
    rotation : (3, 3)
        U.
    b : (3, 3)
        B: columns a*, b*, c* in the crystal's frame, 1/Å.
    """
    turned, rays = shot.points @ rotation, shot.rays @ rotation
    hkl = np.round(turned @ np.linalg.inv(b).T)
    nodes = hkl @ b.T
    offset = turned - nodes
    along = np.sum(offset * rays, axis=1)
    return Residuals(hkl, nodes, offset, rays, along, np.linalg.norm(offset - along[:, None] * rays, axis=1))


def find_nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Find the rotation nearest to a matrix (3, 3) in the least-squares sense (Kabsch 1976).

    Examples
    --------
    >>> import numpy as np
    >>> find_nearest_rotation(np.diag([1.1, 0.9, 1.0])).round(9).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    left, _, right = np.linalg.svd(matrix)
    return left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right


def make_skew(vectors: np.ndarray) -> np.ndarray:
    """Make the matrices (n, 3, 3) that multiply from the left as a cross product with vectors (n, 3) does."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)


def weigh(residuals: Residuals, widths: ResidualWidths) -> np.ndarray:
    """Weigh residuals by the inverse of their covariance, (n, 3, 3): wide along the ray, narrow across it."""
    projection = residuals.rays[:, :, None] * residuals.rays[:, None, :]
    return projection / widths.along**2 + (np.eye(3) - projection) / widths.across**2


def sum_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum the products left^T right of matrices (n, k, i) with others (n, k, j), or with vectors (n, k)."""
    return left.reshape(-1, left.shape[2]).T @ right.reshape(len(left) * left.shape[1], *right.shape[2:])


def turn(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Multiply a rotation U by that of a small rotation vector in the crystal's frame: U exp([w])."""
    angle = float(np.linalg.norm(vector))
    if angle == 0.0:
        return rotation
    k = make_skew(vector[None] / angle)[0]
    return rotation @ (np.eye(3) + np.sin(angle) * k + (1.0 - np.cos(angle)) * k @ k)


def place_lattice(shot: ShotCandidates, rotation: np.ndarray, b: np.ndarray, widths: ResidualWidths) -> Placement:
    """Refine the orientation of a lattice in one shot, and score it.

    Parameters
    ----------
    shot : ShotCandidates
        The spots.
    rotation : (3, 3)
        U to start from, right within a lattice spacing at the inner spots.
    b : (3, 3)
        B, which is kept.
    widths : ResidualWidths
        Of the residuals; in the first cycles they are taken wider.
    """
    order = np.linalg.norm(shot.points, axis=1)
    for cycle in range(_CYCLES):
        # indices of points far out are wrong until those further in have corrected the orientation
        left = 1.0 - cycle / (_CYCLES - 1)
        wide = ResidualWidths(widths.across * (1.0 + 7.0 * left), widths.along * (1.0 + 2.0 * left))
        residuals = split_residuals(shot, rotation, b)
        near = (residuals.measure(wide) < _FAR**2) & (order <= np.quantile(order, 1.0 - 0.5 * left))
        if np.count_nonzero(near) < _FEWEST:
            break
        chosen = Residuals(*(part[near] for part in residuals))
        lever = -make_skew(chosen.nodes)
        weighted = weigh(chosen, wide) @ lever
        normal, right = sum_products(lever, weighted), sum_products(weighted, chosen.offset)
        rotation = turn(rotation, np.linalg.solve(normal + _DAMPING * normal.max() * np.eye(3), right))
    return score_placement(Placement(shot, rotation), b, widths)


def score_placement(placement: Placement, b: np.ndarray, widths: ResidualWidths) -> Placement:
    """Score a placement as it is.

    Parameters
    ----------
    placement : Placement
        The shot and U.
    b : (3, 3)
        B.
    widths : ResidualWidths
        Of the residuals.
    """
    distance2 = split_residuals(placement.shot, placement.rotation, b).measure(widths)
    # the cell of one lattice point in units of the residuals' widths
    volume = abs(float(np.linalg.det(b))) / (widths.across**2 * widths.along)
    density = np.exp(-0.5 * distance2) * volume / (2.0 * np.pi) ** 1.5
    scores = np.log((1.0 - _OUTLIERS) * density[:, None] + _OUTLIERS).sum(axis=0)
    return replace(placement, score=float(scores.max()), n_indexed=int(np.count_nonzero(distance2 < _FAR**2)))
