"""How far off the Ewald sphere a still's crystal still diffracts, from the spots that were indexed.

A block of size D and a mosaic spread of half width eta let a reflection of resolution d diffract within

    delta psi = d / D + eta / 2

of the sphere. Spots fill that range evenly; their likelihood is that of a top hat of this half width with soft edges,
so that a few wrongly indexed ones do not decide.

References
----------
N. K. Sauter et al., Acta Cryst. D70, 3299 (2014), doi:10.1107/S1399004714024134, equation 16; C. Nave, J. Synchrotron
Rad. 21, 537 (2014), doi:10.1107/S1600577514003609.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xdp.experiment.crystal import Crystal
from xdp.prediction.indices import compute_d_spacings
from xdp.reflections.table import ReflectionTable

MIN_SPOTS = 10
"""Fewer spots say nothing of two parameters."""
SOFTNESS = 0.1
"""Width of the top hat's edges, in its half width."""

_LIMITS = np.deg2rad([0.005, 5.0])
_GRID = 13
_ROUNDS = 4


def add_mosaicity(crystal: Crystal, spots: ReflectionTable | None) -> Crystal:
    """A crystal with ``ML_half_mosaicity_deg`` and ``ML_domain_size_ang``, unless it has them or spots are too few.

    Parameters
    ----------
    crystal : Crystal
    spots : ReflectionTable or None
        Indexed, with ``delpsical.rad``.
    """
    if "ML_half_mosaicity_deg" in crystal.extra or spots is None or "delpsical.rad" not in spots:
        return crystal
    delta_psi = np.abs(spots["delpsical.rad"])
    if len(delta_psi) < MIN_SPOTS or not delta_psi.any():
        return crystal
    mosaicity, size = estimate_mosaicity(delta_psi, compute_d_spacings(crystal, spots["miller_index"]))
    extra = {"ML_half_mosaicity_deg": float(np.rad2deg(mosaicity)), "ML_domain_size_ang": size}
    return replace(crystal, extra=crystal.extra | extra)


def estimate_mosaicity(delta_psi: np.ndarray, d: np.ndarray) -> tuple[float, float]:
    """The most likely half mosaicity (rad) and domain size (Å).

    Parameters
    ----------
    delta_psi : (n,)
        Angles from the Ewald sphere, rad, not negative.
    d : (n,)
        Resolutions, Å.

    Notes
    -----
    Found on a grid of the two contributions to the half width (at the mean resolution), refined about its best point.
    """
    middle = float(np.mean(d))
    low = np.log([_LIMITS[0], _LIMITS[0]])
    high = np.log([_LIMITS[1], _LIMITS[1]])
    for _ in range(_ROUNDS):
        axes = [np.linspace(a, b, _GRID) for a, b in zip(low, high, strict=True)]
        spread, sizes = np.meshgrid(np.exp(axes[0]), np.exp(axes[1]), indexing="ij")
        width = spread.reshape(-1, 1) + sizes.reshape(-1, 1) * (d / middle)
        excess = (delta_psi / width - 1.0) / SOFTNESS
        likelihood = -(np.log(width) + np.logaddexp(0.0, excess)).sum(axis=1)
        i, j = np.unravel_index(int(np.argmax(likelihood)), spread.shape)
        best = np.array([axes[0][i], axes[1][j]])
        step = np.array([axes[0][1] - axes[0][0], axes[1][1] - axes[1][0]])
        low, high = best - step, best + step
    return 2.0 * float(np.exp(best[0])), middle / float(np.exp(best[1]))
