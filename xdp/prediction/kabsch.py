r"""The reflection's own frame, in which spots have the same shape wherever they lie.

About the end of the diffracted ray :math:`\mathbf s_1` the axes are, each normalised,

.. math::

    \mathbf e_1 = \mathbf s_1 \times \mathbf s_0, \qquad \mathbf e_2 = \mathbf s_1 \times \mathbf e_1, \qquad
    \mathbf e_3 = \mathbf s_1 + \mathbf s_0.

The first two are tangential to the Ewald sphere. A ray :math:`\mathbf s'` that is seen when the crystal has turned to
:math:`\varphi'` has the coordinates, all in radians,

.. math::

    c_1 = \frac{\mathbf e_1 \cdot (\mathbf s' - \mathbf s_1)}{|\mathbf s_1|}, \qquad
    c_2 = \frac{\mathbf e_2 \cdot (\mathbf s' - \mathbf s_1)}{|\mathbf s_1|}, \qquad
    c_3 = \zeta\, (\varphi' - \varphi), \qquad \zeta = \mathbf m_2 \cdot \mathbf e_1.

A point that crosses the sphere at a slant takes longer by :math:`1/\zeta`, with the rotation axis :math:`\mathbf m_2`.
In these coordinates the divergence (sigma_b) and the mosaicity (sigma_m) are the same for all spots.

References
----------
W. Kabsch, "Integration, scaling, space-group assignment and post-refinement", Acta Cryst. D66, 133 (2010), section
3.1, doi:10.1107/S0907444909047374. There coordinates are in degrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def make_axes(s1: Any, s0: Any) -> tuple[np.ndarray, np.ndarray]:
    """Make the unit axes e1 and e2 of rays.

    Parameters
    ----------
    s1 : (..., 3)
        Diffracted wave vectors.
    s0 : (3,) or (..., 3)
        Incident wave vector.

    Returns
    -------
    e1, e2 : (..., 3) float64
        NaN for a ray along s0, which has no frame.
    """
    s1 = np.asarray(s1, np.float64)
    # 0 / 0 of a ray along s0
    with np.errstate(invalid="ignore"):
        e1 = _normalise(np.cross(s1, s0))
        return e1, _normalise(np.cross(s1, e1))


def compute_signed_zeta(s1: Any, s0: Any, m2: Any) -> np.ndarray:
    """Compute the factor zeta of rays, with its sign.

    Parameters
    ----------
    s1 : (..., 3)
        Diffracted wave vectors.
    s0 : (3,)
        Incident wave vector.
    m2 : (3,)
        Rotation axis in the lab, of any length.

    Returns
    -------
    (...) float64
        From -1 to 1.

    Examples
    --------
    >>> compute_signed_zeta([[0.0, -1.0, -1.0], [1.0, 0.0, -1.0]], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]).tolist()
    [1.0, 0.0]
    """
    cross = np.cross(np.asarray(s1, np.float64), s0)
    with np.errstate(invalid="ignore"):
        return cross @ _normalise(np.asarray(m2, np.float64)) / np.linalg.norm(cross, axis=-1)


def to_kabsch(rays: Any, angles: Any, s1: Any, s0: Any, m2: Any, phi: Any) -> np.ndarray:
    """Convert rays seen at crystal angles to coordinates c1, c2, c3 in the frames of reflections.

    Parameters
    ----------
    rays
        Wave vectors s' (..., 3), of the length of s1.
    angles
        Radians, phi' (...).
    s1, phi
        Diffracted wave vectors (..., 3) and angles (...), rad, of the reflections.
    s0, m2
        Incident wave vector, and rotation axis in the lab (unit vector), (3,).

    Returns
    -------
    (..., 3) float64
        Radians.
    """
    s1 = np.asarray(s1, np.float64)
    e1, e2 = make_axes(s1, s0)
    difference = (np.asarray(rays, np.float64) - s1) / np.linalg.norm(s1, axis=-1, keepdims=True)
    c3 = compute_signed_zeta(s1, s0, m2) * (np.asarray(angles, np.float64) - phi)
    return np.stack(np.broadcast_arrays((e1 * difference).sum(-1), (e2 * difference).sum(-1), c3), axis=-1)


def to_rays(c1: Any, c2: Any, s1: Any, s0: Any) -> np.ndarray:
    """Convert coordinates c1, c2 in the frames of reflections to wave vectors: the inverse of :func:`to_kabsch`.

    Parameters
    ----------
    c1, c2 : (...)
        Radians.
    s1 : (..., 3)
        Diffracted wave vectors of the reflections.
    s0 : (3,) or (..., 3)
        Incident wave vector.

    Returns
    -------
    (..., 3) float64
        Of the length of s1; NaN beyond a radian, which the Ewald sphere does not reach.
    """
    s1 = np.asarray(s1, np.float64)
    length = np.linalg.norm(s1, axis=-1, keepdims=True)
    e1, e2 = make_axes(s1, s0)
    c1, c2 = np.asarray(c1, np.float64)[..., None], np.asarray(c2, np.float64)[..., None]
    # the component along s1 that keeps the length: the point lies on the sphere, not in the plane that touches it
    with np.errstate(invalid="ignore"):
        return length * (c1 * e1 + c2 * e2) + s1 * np.sqrt(1.0 - c1 * c1 - c2 * c2)


def _normalise(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (..., 3) to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
