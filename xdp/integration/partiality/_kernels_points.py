r"""Numba kernels of :mod:`xdp.integration.partiality.model`, for several states of a crystal and its widths at once.

A fit wants the partialities and rays of each reflection for the parameters as they are, and with each moved by a
little. The formulas are those of the model's docstring.
"""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel


@kernel
def _locate(a_matrix, s0, radius, h, k, l):  # noqa: E741
    """Lattice point q, distance epsilon from the sphere, unit vector along s0 + q, and the square of q across it."""
    qx = a_matrix[0, 0] * h + a_matrix[0, 1] * k + a_matrix[0, 2] * l
    qy = a_matrix[1, 0] * h + a_matrix[1, 1] * k + a_matrix[1, 2] * l
    qz = a_matrix[2, 0] * h + a_matrix[2, 1] * k + a_matrix[2, 2] * l
    sx, sy, sz = qx + s0[0], qy + s0[1], qz + s0[2]
    length = math.sqrt(sx * sx + sy * sy + sz * sz)
    ux, uy, uz = sx / length, sy / length, sz / length
    along = qx * ux + qy * uy + qz * uz
    across = max(qx * qx + qy * qy + qz * qz - along * along, 1e-24)
    return qx, qy, qz, length - radius, ux, uy, uz, across


@kernel
def compute_log_parts(hkl, a_matrices, widths, s0, out, square):
    """Logarithms of partialities.

    Parameters
    ----------
    hkl : (n, 3) float64
    a_matrices : (k, 3, 3) float64
        A of each state, 1/Å.
    widths : (k, 3) float64
        a (1/Å), b (rad) and c (relative) of each state.
    s0 : (3,) float64
        1/Å.
    out, square : (k, n) float64
        Filled: ln p, and the squared length of the lattice point, 1/Å².
    """
    radius = math.sqrt(s0[0] ** 2 + s0[1] ** 2 + s0[2] ** 2)
    for i in range(a_matrices.shape[0]):
        a, b, c = widths[i]
        for j in range(hkl.shape[0]):
            qx, qy, qz, epsilon, _, _, _, across = _locate(a_matrices[i], s0, radius, hkl[j, 0], hkl[j, 1], hkl[j, 2])
            q2 = qx * qx + qy * qy + qz * qz
            band = 0.5 * c * q2 / radius
            variance = a * a + b * b * across + band * band
            out[i, j] = math.log(a) - 0.5 * math.log(variance) - 0.5 * epsilon * epsilon / variance
            square[i, j] = q2


@kernel
def compute_misses(hkl, rays, frames, a_matrices, widths, s0, out):
    """Angles from predicted to observed rays.

    Parameters
    ----------
    hkl : (m, 3) float64
    rays : (m, 3) float64
        Observed unit vectors.
    frames : (m, 2, 3) float64
        Unit vectors across each ray along which angles are measured.
    a_matrices, widths, s0
        As for :func:`compute_log_parts`.
    out : (k, m, 2) float64
        Filled, rad.
    """
    radius = math.sqrt(s0[0] ** 2 + s0[1] ** 2 + s0[2] ** 2)
    ray = np.empty(3)
    for i in range(a_matrices.shape[0]):
        a, b, c = widths[i]
        for j in range(hkl.shape[0]):
            qx, qy, qz, epsilon, ux, uy, uz, across = _locate(a_matrices[i], s0, radius, hkl[j, 0], hkl[j, 1],
                                                              hkl[j, 2])
            lever = 0.5 * (qx * qx + qy * qy + qz * qz) / radius
            turned = b * b * across
            variance = a * a + turned + (c * lever) ** 2
            angle = -turned / variance * epsilon / across
            longer = 1.0 + c * c * lever * epsilon / variance
            # the turn's axis is q x u
            tx, ty, tz = qy * uz - qz * uy, qz * ux - qx * uz, qx * uy - qy * ux
            ray[0] = longer * s0[0] + qx + angle * (ty * qz - tz * qy)
            ray[1] = longer * s0[1] + qy + angle * (tz * qx - tx * qz)
            ray[2] = longer * s0[2] + qz + angle * (tx * qy - ty * qx)
            scale = 1.0 / math.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
            for k in range(2):
                total = 0.0
                for d in range(3):
                    total += frames[j, k, d] * (rays[j, d] - scale * ray[d])
                out[i, j, k] = total
