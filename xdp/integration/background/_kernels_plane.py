"""Numba function that fits planes to marked pixels, used within other kernels."""

from __future__ import annotations

import numpy as np

from xdp.integration.background._kernels_linear import solve
from xdp.kernels import kernel

USED = np.uint8(16)


@kernel
def fit_plane(data, mask, first, width, height, depth, n_par, x0, y0, params, normal):
    """Least squares of used pixels: a constant (`n_par` 1), a + b x + c y (3) or a + b x + c y + d z (4).

    The first pixel lies at (x0, y0, 0.5). Returns the number of pixels, or -1 if they do not determine the plane.
    """
    normal[:] = 0.0
    params[:] = 0.0
    k, n = first, 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if mask[k] & USED:
                    value = np.float64(data[k])
                    n += 1
                    params[0] += value
                    if n_par > 1:
                        px, py, pz = x + x0, y + y0, z + 0.5
                        params[1] += px * value
                        params[2] += py * value
                        params[3] += pz * value
                        normal[0, 1] += px
                        normal[0, 2] += py
                        normal[0, 3] += pz
                        normal[1, 1] += px * px
                        normal[1, 2] += px * py
                        normal[1, 3] += px * pz
                        normal[2, 2] += py * py
                        normal[2, 3] += py * pz
                        normal[3, 3] += pz * pz
                k += 1
    normal[0, 0] = n
    if n_par == 1:
        params[0] /= max(n, 1)
        return n
    for j in range(n_par):
        for i in range(j):
            normal[j, i] = normal[i, j]
    return n if solve(normal, params, n_par) else -1
