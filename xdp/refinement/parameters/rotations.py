"""Rotations about fixed axes, and their derivatives, for arrays of angles.

Angles are in radians, right-handed about unit axes; matrices act on column vectors.
"""

from __future__ import annotations

import numpy as np


def make_cross_matrix(vector: np.ndarray) -> np.ndarray:
    """Make the matrix K with K u = vector x u, for vectors (..., 3): (..., 3, 3).

    Examples
    --------
    >>> import numpy as np
    >>> (make_cross_matrix(np.array([0.0, 0.0, 1.0])) @ [1.0, 0.0, 0.0]).tolist()
    [0.0, 1.0, 0.0]
    """
    v = np.asarray(vector, dtype=np.float64)
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2] = -v[..., 2], v[..., 1]
    k[..., 1, 0], k[..., 1, 2] = v[..., 2], -v[..., 0]
    k[..., 2, 0], k[..., 2, 1] = -v[..., 1], v[..., 0]
    return k


def make_rotation(axis: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Make rotation matrices from an axis and angles by Rodrigues' formula, R = 1 + sin(a) K + (1 - cos(a)) K^2.

    Parameters
    ----------
    axis : (3,)
        Unit vector.
    angle : float or (...,)
        Radians, right-handed about the axis.

    Returns
    -------
    (3, 3) or (..., 3, 3)

    Examples
    --------
    >>> import numpy as np
    >>> np.round(make_rotation(np.array([0.0, 0.0, 1.0]), np.pi / 2) @ [1.0, 0.0, 0.0], 9).tolist()
    [0.0, 1.0, 0.0]
    """
    k = make_cross_matrix(axis)
    a = np.asarray(angle, dtype=np.float64)[..., None, None]
    return np.eye(3) + np.sin(a) * k + (1.0 - np.cos(a)) * (k @ k)


def multiply_rotations(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Multiply rotations about several axes: R = R(axes[-1]) ... R(axes[1]) R(axes[0]).

    Parameters
    ----------
    axes : (n, 3)
        Unit vectors; the first rotation acts first.
    angles : (..., n)
        Radians.

    Returns
    -------
    (..., 3, 3)
    """
    angles = np.asarray(angles, dtype=np.float64)
    result = make_rotation(axes[0], angles[..., 0])
    for k in range(1, len(axes)):
        result = make_rotation(axes[k], angles[..., k]) @ result
    return result


def move_axes(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Find the axes about which the whole product turns when one of its angles changes.

    dR/d(angle k) = a_k x R, where a_k is axis k as the rotations after it have moved it.

    Parameters
    ----------
    axes : (n, 3)
        Unit vectors; the first rotation acts first.
    angles : (..., n)
        Radians.

    Returns
    -------
    (n, ..., 3)
    """
    angles = np.asarray(angles, dtype=np.float64)
    after = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    moved = []
    for k in range(len(axes) - 1, -1, -1):
        moved.append(after @ axes[k])
        # so far `after` holds the rotations that act after axis k
        after = after @ make_rotation(axes[k], angles[..., k])
    return np.stack(moved[::-1])
