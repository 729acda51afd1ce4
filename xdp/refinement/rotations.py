"""Rotations about fixed axes, and their derivatives, for arrays of angles.

Angles are in radians, right-handed about unit axes; matrices act on column vectors.
"""

from __future__ import annotations

import numpy as np


def cross_matrix(vector: np.ndarray) -> np.ndarray:
    """The matrix K with K u = vector x u, for vectors (..., 3) -> (..., 3, 3)."""
    v = np.asarray(vector, dtype=np.float64)
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2] = -v[..., 2], v[..., 1]
    k[..., 1, 0], k[..., 1, 2] = v[..., 2], -v[..., 0]
    k[..., 2, 0], k[..., 2, 1] = -v[..., 1], v[..., 0]
    return k


def rotation(axis: np.ndarray, angle: np.ndarray | float) -> np.ndarray:
    """Rotation by `angle` (...,) about one unit `axis` (3,): matrices (..., 3, 3), by Rodrigues' formula."""
    k = cross_matrix(axis)
    a = np.asarray(angle, dtype=np.float64)[..., None, None]
    return np.eye(3) + np.sin(a) * k + (1.0 - np.cos(a)) * (k @ k)


def product_and_derivatives(axes: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R = R(axes[-1]) ... R(axes[1]) R(axes[0]) and dR/d(angle k).

    Parameters
    ----------
    axes : (n, 3)
        Unit axes; the first acts first.
    angles : (..., n)
        Radians.

    Returns
    -------
    product : (..., 3, 3)
    derivatives : (n, ..., 3, 3)
        d(product)/d(angles[..., k]).
    """
    angles = np.asarray(angles, dtype=np.float64)
    single = [rotation(axis, angles[..., k]) for k, axis in enumerate(axes)]
    product = np.broadcast_to(np.eye(3), single[0].shape)
    before = []  # the product of the rotations that act before k
    for matrix in single:
        before.append(product)
        product = matrix @ product
    derivatives = []
    after = np.broadcast_to(np.eye(3), single[0].shape)
    for k in range(len(axes) - 1, -1, -1):
        derivatives.append(after @ cross_matrix(axes[k]) @ single[k] @ before[k])
        after = after @ single[k]
    return product, np.stack(derivatives[::-1])
