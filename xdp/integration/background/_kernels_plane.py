"""Numba function that fits planes to marked pixels, used within other kernels."""

from __future__ import annotations

import numpy as np

from xdp.integration.background._kernels_linear import solve
from xdp.integration.background._kernels_pixels import USED
from xdp.kernels import kernel


@kernel
def fit_plane(data, mask, slab, n_par, corner, params, normal):
    """Least squares of used pixels: a constant (`n_par` 1), a + b x + c y (3) or a + b x + c y + d z (4).

    Parameters
    ----------
    data, mask : (n_pixels,) float32, uint8
    slab : Slab
        The pixels; of them the used ones are fitted.
    n_par : 1, 3 or 4
    corner : (float, float)
        x and y of the first pixel; its z is 0.5.
    params, normal : (4,), (4, 4) float64
        `params` gets a, b, c, d; `normal` is room for the normal equations.

    Returns
    -------
    int
        The number of used pixels, or -1 if they do not determine the plane.
    """
    normal[:] = 0.0
    params[:] = 0.0
    x0, y0 = corner
    k, n = slab.first, 0
    for z in range(slab.depth):
        for y in range(slab.height):
            for x in range(slab.width):
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
    # A constant is the mean: it needs no equations, and exists without pixels too (0).
    if n_par == 1:
        params[0] /= max(n, 1)
        return n
    for j in range(n_par):  # only the upper triangle was summed
        for i in range(j):
            normal[j, i] = normal[i, j]
    return n if solve(normal, params, n_par) else -1
