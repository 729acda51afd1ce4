r"""The mosaicity of a still's crystal, from how far its indexed spots lie off the Ewald sphere.

Mosaic blocks of size :math:`D` with a spread of half width :math:`\eta` let a reflection of resolution
:math:`d` diffract while its point is within an angle

.. math::

    \Delta\psi = \frac{d}{D} + \frac{\eta}{2}

of the sphere. Spots are spread evenly over that range: their likelihood is a top hat of this half width. Its edges are
soft, so that a few wrongly indexed spots do not decide.

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
"""With fewer spots two parameters are not estimated. A choice."""
SOFTNESS = 0.1
"""Width of the top hat's edges, as a part of its half width. A choice: the logarithm of the likelihood falls by 1 for
each tenth that a spot lies beyond the edge, instead of without limit."""

_LIMITS = np.deg2rad([0.005, 5.0])
"""Smallest and largest contribution to the half width that is tried, rad. A choice: crystals lie between."""
_GRID = 13
"""Points along each axis of the grid, evenly in the logarithm."""
_ROUNDS = 4
"""Rounds, in each of which the grid shrinks to the two steps about its best point: to a sixth. After four a step is
less than 1 % of the value."""


def add_mosaicity(crystal: Crystal, spots: ReflectionTable | None) -> Crystal:
    """Estimate ``ML_half_mosaicity_deg`` and ``ML_domain_size_ang`` of a crystal that does not have them.

    Parameters
    ----------
    crystal : Crystal
    spots : ReflectionTable or None
        Indexed, with ``delpsical.rad``.

    Returns
    -------
    Crystal
        With both in ``extra``; the same crystal where it has them, or where there are too few spots.
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
    """Estimate the most likely mosaicity and domain size.

    Parameters
    ----------
    delta_psi : (n,)
        Angles from the Ewald sphere, rad, not negative.
    d : (n,)
        Resolutions, Å.

    Returns
    -------
    mosaicity : float
        The half width eta, rad.
    size : float
        The domain size D, Å.

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
        # log of 1 / (w (1 + exp((x / w - 1) / softness))): flat within the half width w, then exponential
        excess = (delta_psi / width - 1.0) / SOFTNESS
        likelihood = -(np.log(width) + np.logaddexp(0.0, excess)).sum(axis=1)
        i, j = np.unravel_index(int(np.argmax(likelihood)), spread.shape)
        best = np.array([axes[0][i], axes[1][j]])
        step = np.array([axes[0][1] - axes[0][0], axes[1][1] - axes[1][0]])
        low, high = best - step, best + step
    # the axes are eta / 2 and d / D at the mean resolution
    return 2.0 * float(np.exp(best[0])), middle / float(np.exp(best[1]))
