"""Kernel: spots beside the points of one lattice, and the normal equations of its orientation and cell.

The residual's parts are r_1 (along q), r_2 (around the beam) and r_3 (along delta psi), their variances
v_1 = v_2 + (c q)^2, v_2 and v_3 = v_2 + a^2 + (b q)^2. With x^2 = r_1^2 / v_1 + r_2^2 / v_2 + r_3^2 / v_3, the share f
of spots that belong to nothing and the cell's volume V, it is of the lattice with the probability p / (p + f), where

    p = (1 - f) V^-1 (2 pi)^-3/2 (v_1 v_2 v_3)^-1/2 [(1 - t) exp(-x^2 / 2) + t k^-3 exp(-x^2 / 2 k^2)].

A part t has tails: widths k times as large. Crystals are not as regular as the normal distribution.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.indexing.shots._kernels_orient import invert_matrix
from xdp.kernels import kernel

# The tails: a twentieth of the spots, 2.5 times as wide. Of snase_stills_ccd they take in those to about 6 standard
# deviations off in delta psi, without which 92 instead of 97 % of the spots are explained.
_TAILED, _TAIL = 0.05, 2.5


class SpreadSquares(NamedTuple):
    """Variances of the residuals: v_2, c^2, a^2, b^2; and the share of spurious spots.

    `growing2` times q^2 is added to each of the three: what the lattice is still wrong by in the first cycles.
    """

    position2: float
    radial2: float
    growing2: float
    size2: float
    mosaicity2: float
    spurious: float


class SpotParts(NamedTuple):
    """What is filled for each spot."""

    indices: np.ndarray      # (n, 3) the nearest lattice point
    residual: np.ndarray     # (n, 3) r_1, r_2, r_3, 1/Å
    probability: np.ndarray  # (n,) to belong to the lattice
    weight: np.ndarray       # (n,) the same, less what a spot in the tails tells less


@kernel
def compare_spots(a, changes, points, s0, spread, parts, normal, right):
    """Fill the parts of all spots and the normal equations; give the log likelihood ratio against chance.

    Parameters
    ----------
    a : (3, 3)
        Setting matrix, 1/Å.
    changes : (k, 3, 3)
        Of the setting matrix, for each parameter of the cell.
    points : (n, 3)
        Reciprocal lattice points, 1/Å.
    s0 : (3,)
        Incident beam.
    spread : SpreadSquares
    parts : SpotParts
        Filled.
    normal, right : (3 + k, 3 + k), (3 + k,)
        Filled: of the three parameters of a small turn, then those of the cell.
    """
    basis, inverse_volume = invert_matrix(a)
    n = right.size
    normal[:], right[:] = 0.0, 0.0
    p, moved, design, axes, variance = np.empty(3), np.empty(3), np.empty(n), np.empty((3, 3)), np.empty(3)
    score = 0.0
    for i in range(points.shape[0]):
        h, r, q = parts.indices[i], parts.residual[i], points[i]
        for j in range(3):
            h[j] = np.floor(basis[j, 0] * q[0] + basis[j, 1] * q[1] + basis[j, 2] * q[2] + 0.5)
        for j in range(3):
            p[j] = a[j, 0] * h[0] + a[j, 1] * h[1] + a[j, 2] * h[2]
            moved[j] = q[j] - p[j]
        q2 = q[0] ** 2 + q[1] ** 2 + q[2] ** 2
        _fill_axes(q, s0, axes)
        variance[:] = spread.position2 + spread.growing2 * q2
        variance[0] += spread.radial2 * q2
        variance[2] += spread.size2 + spread.mosaicity2 * q2
        square = 0.0
        for j in range(3):
            r[j] = axes[j, 0] * moved[0] + axes[j, 1] * moved[1] + axes[j, 2] * moved[2]
            square += r[j] ** 2 / variance[j]
        peak = (1.0 - spread.spurious) * abs(inverse_volume) / np.sqrt(
            (2.0 * np.pi) ** 3 * variance[0] * variance[1] * variance[2])
        if h[0] == 0 and h[1] == 0 and h[2] == 0:
            peak = 0.0  # the direct beam is no reflection
        narrow = peak * (1.0 - _TAILED) * np.exp(-0.5 * square)
        wide = peak * _TAILED / _TAIL**3 * np.exp(-0.5 * square / _TAIL**2)
        density = narrow + wide
        score += np.log(density + spread.spurious)
        parts.probability[i] = density / (density + spread.spurious)
        parts.weight[i] = (narrow + wide / _TAIL**2) / (density + spread.spurious)
        for j in range(3):
            _fill_design(axes[j], p, h, changes, design)
            weight = parts.weight[i] / variance[j]
            for k in range(n):
                right[k] += weight * design[k] * r[j]
                for m in range(n):
                    normal[k, m] += weight * design[k] * design[m]
    return score


@kernel
def _fill_axes(q, s0, axes):
    """Unit vectors by row: along q, around the beam (q x s0), and along delta psi."""
    length = np.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
    for j in range(3):
        axes[0, j] = q[j] / length
    _fill_cross(axes[0], s0, axes[1])
    length = np.sqrt(axes[1, 0] ** 2 + axes[1, 1] ** 2 + axes[1, 2] ** 2)
    for j in range(3):
        axes[1, j] /= max(length, 1e-12)
    _fill_cross(axes[0], axes[1], axes[2])


@kernel
def _fill_cross(a, b, out):
    """The vector product of a and b."""
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]


@kernel
def _fill_design(axis, p, h, changes, design):
    """How far the point p = A h moves along an axis with each parameter: a small turn w moves it by w x p."""
    # axis . (w x p) = w . (p x axis)
    _fill_cross(p, axis, design[:3])
    for k in range(changes.shape[0]):
        total = 0.0
        for i in range(3):
            for j in range(3):
                total += axis[i] * changes[k, i, j] * h[j]
        design[3 + k] = total
