"""The reflection's own frame: where a spot that the rotation stretches on its way looks as if it took the short one.

About the end of the diffracted ray s1 the axes are ``e1 = s1 x s0`` and ``e2 = s1 x e1``, tangential to the Ewald
sphere, and ``e3 = s1 + s0``, each normalised. A ray s' seen when the crystal has turned to phi' is at
``c1 = e1.(s' - s1)/|s1|``, ``c2 = e2.(s' - s1)/|s1|`` and ``c3 = zeta (phi' - phi)``, all in radians, where
``zeta = m2.e1`` shortens the path of a point that crosses the sphere at a slant. There a spot's divergence (sigma_b)
and its mosaicity (sigma_m) are the same wherever it lies.

References
----------
W. Kabsch, "Integration, scaling, space-group assignment and post-refinement", Acta Cryst. D66, 133 (2010), section
3.1, doi:10.1107/S0907444909047374. There coordinates are in degrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def make_axes(s1: Any, s0: Any) -> tuple[np.ndarray, np.ndarray]:
    """Unit axes e1 and e2, each (..., 3), of rays s1 (..., 3) and the incident wave vector s0 (3,) or (..., 3).

    A ray along s0 has no frame: its axes are NaN.
    """
    s1 = np.asarray(s1, np.float64)
    with np.errstate(invalid="ignore"):
        e1 = _normalise(np.cross(s1, s0))
        return e1, _normalise(np.cross(s1, e1))


def compute_signed_zeta(s1: Any, s0: Any, m2: Any) -> np.ndarray:
    """The factor zeta = m2.e1, shape (...), signed, -1 to 1, of rays s1 (..., 3); m2 (3,) is the axis in the lab."""
    cross = np.cross(np.asarray(s1, np.float64), s0)
    with np.errstate(invalid="ignore"):
        return cross @ _normalise(np.asarray(m2, np.float64)) / np.linalg.norm(cross, axis=-1)


def to_kabsch(rays: Any, angles: Any, s1: Any, s0: Any, m2: Any, phi: Any) -> np.ndarray:
    """Coordinates c1, c2, c3 (..., 3), rad, of rays seen at crystal angles, in the frames of reflections.

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
    """
    s1 = np.asarray(s1, np.float64)
    e1, e2 = make_axes(s1, s0)
    difference = (np.asarray(rays, np.float64) - s1) / np.linalg.norm(s1, axis=-1, keepdims=True)
    c3 = compute_signed_zeta(s1, s0, m2) * (np.asarray(angles, np.float64) - phi)
    return np.stack(np.broadcast_arrays((e1 * difference).sum(-1), (e2 * difference).sum(-1), c3), axis=-1)


def to_rays(c1: Any, c2: Any, s1: Any, s0: Any) -> np.ndarray:
    """Wave vectors s' (..., 3), of the length of s1, at coordinates c1, c2 (rad) of the frames of rays s1 (..., 3).

    The inverse of :func:`to_kabsch` on the Ewald sphere; NaN beyond a radian, which the sphere does not reach.
    """
    s1 = np.asarray(s1, np.float64)
    length = np.linalg.norm(s1, axis=-1, keepdims=True)
    e1, e2 = make_axes(s1, s0)
    c1, c2 = np.asarray(c1, np.float64)[..., None], np.asarray(c2, np.float64)[..., None]
    with np.errstate(invalid="ignore"):
        return length * (c1 * e1 + c2 * e2) + s1 * np.sqrt(1.0 - c1 * c1 - c2 * c2)


def _normalise(vectors: np.ndarray) -> np.ndarray:
    """The vectors (..., 3) with length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
