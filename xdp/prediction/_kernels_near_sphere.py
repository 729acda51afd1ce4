"""Numba kernel that lists the Miller indices close to the Ewald sphere."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel


@kernel
def list_near_sphere(a_matrix, reach, s0, q_low, q_high, constant, slope, out):
    """Count the indices near the sphere, and list those for which `out` (m, 3) has room, in order of h, k, l.

    Near is where ``||s0 + q| - |s0|| <= constant + slope |q|``, q = A h; `q_low` and `q_high` are the limits of |q|²,
    and `reach` the largest h, k, l.
    """
    radius = np.sqrt(s0[0] * s0[0] + s0[1] * s0[1] + s0[2] * s0[2])
    n = np.int64(0)
    for h in range(-reach[0], reach[0] + 1):
        for k in range(-reach[1], reach[1] + 1):
            # one step before the first l: each round of the loop adds the step c* instead of multiplying
            qx = a_matrix[0, 0] * h + a_matrix[0, 1] * k - a_matrix[0, 2] * (reach[2] + 1)
            qy = a_matrix[1, 0] * h + a_matrix[1, 1] * k - a_matrix[1, 2] * (reach[2] + 1)
            qz = a_matrix[2, 0] * h + a_matrix[2, 1] * k - a_matrix[2, 2] * (reach[2] + 1)
            for l in range(-reach[2], reach[2] + 1):  # noqa: E741
                qx += a_matrix[0, 2]
                qy += a_matrix[1, 2]
                qz += a_matrix[2, 2]
                square = qx * qx + qy * qy + qz * qz
                if square > q_high or square < q_low or (h == 0 and k == 0 and l == 0):
                    continue
                tx, ty, tz = qx + s0[0], qy + s0[1], qz + s0[2]
                # |s0 + q| - |s0|: how far the end of the ray is off the sphere
                distance = np.sqrt(tx * tx + ty * ty + tz * tz) - radius
                if abs(distance) <= constant + slope * np.sqrt(square):
                    if n < out.shape[0]:
                        out[n, 0], out[n, 1], out[n, 2] = h, k, l
                    n += 1
    return n
