"""Miller indices: which ones a crystal has to a resolution, without those that its symmetry extinguishes."""

from __future__ import annotations

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.prediction._kernels_passages import list_sphere


def list_miller_indices(crystal: Crystal, d_min: float) -> np.ndarray:
    """List all indices (both Friedel mates) with d >= `d_min` that no lattice centring or screw axis extinguishes.

    Parameters
    ----------
    crystal : Crystal
    d_min : float
        Å.

    Returns
    -------
    int32 (n, 3), in order of h, k, l; without (0, 0, 0).

    Raises
    ------
    ValueError
        If `d_min` is not above 0.
    """
    indices = _list_sphere_indices(crystal, d_min)
    operations = crystal.space_group.operations()
    return indices[~np.asarray(operations.systematic_absences(indices), bool)]


def list_lattice_indices(crystal: Crystal, d_min: float, d_max: float | None = None) -> np.ndarray:
    """List all indices with `d_min` <= d <= `d_max` that the lattice's centring does not extinguish.

    Reflections that screw axes and glide planes extinguish are listed, as in DIALS: once measured, they tell the space
    group.

    Parameters
    ----------
    crystal : Crystal
    d_min : float
        Å.
    d_max : float, optional
        Å; None: no limit.

    Returns
    -------
    int32 (n, 3), in order of h, k, l; without (0, 0, 0).

    Raises
    ------
    ValueError
        If `d_min` is not above 0.
    """
    indices = remove_centring_absences(crystal, _list_sphere_indices(crystal, d_min))
    return indices if d_max is None else indices[compute_d_spacings(crystal, indices) <= d_max]


def remove_centring_absences(crystal: Crystal, indices: np.ndarray) -> np.ndarray:
    """Remove the indices that the lattice's centring extinguishes.

    Parameters
    ----------
    crystal : Crystal
        Gives the space group.
    indices : (n, 3) int

    Returns
    -------
    (m, 3) int
    """
    for shift in crystal.space_group.operations().cen_ops:
        if any(shift):
            indices = indices[(indices @ np.array(shift, np.int32)) % 24 == 0]  # shifts are in 24ths of the cell
    return indices


def compute_d_spacings(crystal: Crystal, indices: np.ndarray) -> np.ndarray:
    """Compute the resolution of Miller indices.

    Parameters
    ----------
    crystal : Crystal
    indices : (n, 3) int

    Returns
    -------
    (n,) float64
        d, Å.

    Examples
    --------
    >>> from xdp.simulation.models import make_crystal
    >>> crystal = make_crystal((50.0, 60.0, 70.0, 90.0, 90.0, 90.0), " P 2 2")
    >>> compute_d_spacings(crystal, np.array([[1, 0, 0], [0, 0, 2]])).round(6).tolist()
    [50.0, 35.0]
    """
    return 1.0 / np.linalg.norm(np.asarray(indices, np.float64) @ crystal.A.T, axis=1)


def _list_sphere_indices(crystal: Crystal, d_min: float) -> np.ndarray:
    """List all indices but 0 0 0 with d >= `d_min`, int32 (n, 3)."""
    if not d_min > 0.0:
        raise ValueError(f"d_min must be above 0 Å, got {d_min}")
    # |h| <= a / d_min since h = a . q and |q| <= 1 / d_min.
    reach = np.array([int(np.linalg.norm(axis) / d_min) for axis in crystal.real_space_matrix], np.int64)
    arguments = crystal.A.T @ crystal.A, reach, float(d_min) ** -2
    # as many as reciprocal cells fill the sphere, and what its surface may add to that
    expected = 4.0 / 3.0 * np.pi * abs(np.linalg.det(crystal.real_space_matrix)) / d_min**3
    out = np.empty((int(1.05 * expected) + 4096, 3), np.int32)
    while True:
        n = list_sphere(*arguments, out)
        if n <= len(out):
            return out[:n]
        out = np.empty((n, 3), np.int32)
