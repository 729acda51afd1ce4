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


def product(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """R = R(axes[-1]) ... R(axes[1]) R(axes[0]), (..., 3, 3); axes (n, 3), the first acts first; angles (..., n)."""
    angles = np.asarray(angles, dtype=np.float64)
    result = rotation(axes[0], angles[..., 0])
    for k in range(1, len(axes)):
        result = rotation(axes[k], angles[..., k]) @ result
    return result


def moved_axes(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The axes about which the whole product turns when one of its angles changes, (n, ..., 3).

    dR/d(angle k) = a_k x R with a_k the axis k as the rotations after it have moved it.
    """
    angles = np.asarray(angles, dtype=np.float64)
    after = np.broadcast_to(np.eye(3), (*angles.shape[:-1], 3, 3))
    moved = []
    for k in range(len(axes) - 1, -1, -1):
        moved.append(after @ axes[k])
        after = after @ rotation(axes[k], angles[..., k])
    return np.stack(moved[::-1])
