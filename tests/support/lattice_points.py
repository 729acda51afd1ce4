"""Made-up reciprocal lattice points: of whole lattices, and of those that a sweep sees, with errors."""

from __future__ import annotations

import numpy as np

from xdp.experiment.crystal import b_matrix
from xdp.indexing.lattice.symmetry import make_primitive_axes
from xdp.refinement.parameters.rotations import make_rotation
from xdp.simulation.models import draw_rotation

BASIS = np.diag([30.0, 42.0, 55.0])


def points_on(basis: np.ndarray, n: int = 200, noise: float = 2e-4) -> np.ndarray:
    """Points (n, 3) of the lattice with rows `basis` in Å, 1/Å, with errors of `noise`."""
    rng = np.random.default_rng(0)
    hkl = rng.integers(-8, 9, (n, 3))
    return hkl @ np.linalg.inv(basis).T + rng.normal(0, noise, (n, 3))


def points_of(cell: tuple, n: int, d_min: float, noise: float = 3e-4) -> tuple[np.ndarray, np.ndarray]:
    """A random choice of a lattice's points with errors, and its A matrix."""
    rng = np.random.default_rng(2)
    a = draw_rotation(3) @ b_matrix(cell)
    reach = [int(edge / d_min) + 1 for edge in cell[:3]]
    hkl = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    q = hkl @ a.T
    size = np.linalg.norm(q, axis=1)
    q = q[(size > 0) & (size < 1 / d_min)]
    return q[rng.permutation(len(q))[:n]] + rng.normal(0, noise, (min(n, len(q)), 3)), a


def is_same_lattice(basis: np.ndarray, a: np.ndarray) -> bool:
    """Whether the rows of `basis` span the lattice of A."""
    change = basis @ a
    return bool(np.abs(change - np.round(change)).max() < 0.05 and abs(round(np.linalg.det(change))) == 1)


def lattice_points(cell: tuple, seed: int, *, d_min: float = 2.0, n: int = 800, noise: float = 3e-4,
                   spurious: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Points near the Ewald sphere swept through 30 degrees, with position errors and random others; and A."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    a = make_rotation(axis / np.linalg.norm(axis), rng.uniform(0, np.pi)) @ b_matrix(cell)
    limit = [int(length / d_min) + 1 for length in cell[:3]]
    grids = np.meshgrid(*[np.arange(-m, m + 1) for m in limit], indexing="ij")
    hkl = np.stack([g.ravel() for g in grids], axis=1)
    q = hkl @ a.T
    d_star = np.linalg.norm(q, axis=1)
    q = q[(d_star < 1 / d_min) & (d_star > 0)]
    swept, size2 = np.zeros(len(q), dtype=bool), np.sum(q * q, axis=1)
    for angle in np.radians(np.arange(0, 30, 0.5)):
        # |r + s0|^2 for the beam s0 = (0, 0, -1)
        along = q @ make_rotation(np.array([1.0, 0, 0]), angle)[2]
        swept |= np.abs(np.sqrt(size2 - 2.0 * along + 1.0) - 1.0) < 0.004
    points = q[swept]
    points = points[rng.permutation(len(points))[:n]]
    points = points + rng.normal(0, noise, points.shape)
    extra = rng.normal(size=(int(spurious * len(points)), 3))
    extra *= (rng.random(len(extra)) ** (1 / 3) / d_min / np.linalg.norm(extra, axis=1))[:, None]
    return np.concatenate([points, extra]), a


#: A cell of each Bravais lattice.
LATTICE_CELLS = {"aP": (30, 41, 52, 80, 95, 105), "mP": (30, 41, 52, 90, 99, 90), "mC": (70, 41, 52, 90, 111, 90),
                 "oP": (30, 41, 52, 90, 90, 90), "oC": (30, 61, 52, 90, 90, 90), "oI": (30, 41, 52, 90, 90, 90),
         "oF": (30, 41, 52, 90, 90, 90), "tP": (40, 40, 71, 90, 90, 90), "tI": (40, 40, 71, 90, 90, 90),
         "hP": (50, 50, 80, 90, 90, 120), "hR": (50, 50, 160, 90, 90, 120), "cP": (60, 60, 60, 90, 90, 90),
         "cI": (60, 60, 60, 90, 90, 90), "cF": (60, 60, 60, 90, 90, 90)}


def disguised(cell: tuple, centring: str, seed: int) -> np.ndarray:
    """Primitive axes of a cell, turned at random and replaced by other axes of the same lattice."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    turn = make_rotation(axis / np.linalg.norm(axis), rng.uniform(0, np.pi))
    change = np.eye(3, dtype=int)
    for _ in range(3):
        i, j = rng.choice(3, 2, replace=False)
        step = np.eye(3, dtype=int)
        step[i, j] = rng.integers(-2, 3)
        change = step @ change
    return change @ make_primitive_axes(np.linalg.inv(b_matrix(cell)), centring) @ turn.T
