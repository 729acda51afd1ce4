"""The Miller indices of a crystal at rest that may diffract: those close to the Ewald sphere."""

from __future__ import annotations

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.prediction._kernels_near_sphere import list_near_sphere
from xdp.prediction.indices import remove_centring_absences


def list_indices_near_sphere(crystal: Crystal, s0: np.ndarray, d_min: float, d_max: float | None = None, *,
                             constant: float = 0.0, slope: float = 0.0) -> np.ndarray:
    """List indices with `d_min` <= d <= `d_max` whose points lie within ``constant + slope |q|`` (Å⁻¹) of the sphere.

    Parameters
    ----------
    crystal : Crystal
    s0 : (3,)
        Incident wave vector, Å⁻¹.
    d_min, d_max : float
        Resolution, Å; `d_max` None: no limit.
    constant, slope : float
        Of the largest distance: Å⁻¹, and a pure number.

    Returns
    -------
    int32 (n, 3), in order of h, k, l; without those that the lattice's centring extinguishes.

    Raises
    ------
    ValueError
        If `d_min` is not above 0.
    """
    if not d_min > 0.0:
        raise ValueError(f"d_min must be above 0 Å, got {d_min}")
    reach = np.array([int(np.linalg.norm(axis) / d_min) for axis in crystal.real_space_matrix], np.int64)
    limits = 0.0 if d_max is None else d_max**-2, d_min**-2
    # room for most stills; the kernel counts on where it is full, and is run once more
    out = np.empty((4096, 3), np.int32)
    while True:
        arguments = np.ascontiguousarray(crystal.A), reach, np.asarray(s0, np.float64), *limits
        n = list_near_sphere(*arguments, float(constant), float(slope), out)
        if n <= len(out):
            return remove_centring_absences(crystal, out[:n])
        out = np.empty((n, 3), np.int32)


def convert_turn_to_distance(delta_psi: float) -> float:
    """Convert a rotation to the largest distance from the sphere, in |q|, of points that it brings onto the sphere.

    The rotation moves a point by |q| delta psi at most, and ``(|s2| - |s0|)(|s2| + |s0|)`` by ``2 |s0|`` times that.

    Parameters
    ----------
    delta_psi : float
        Radians; more than half a radian counts as that.

    Returns
    -------
    float
        In units of |q|.
    """
    # beyond half a radian the bound would diverge, and no still needs it
    turn = min(abs(delta_psi), 0.5)
    return turn / (1.0 - turn)
