"""Kernel: real spherical harmonics of many directions.

References
----------
Holmes & Featherstone (2002). J. Geodesy 76, 279-299, doi:10.1007/s00190-002-0216-2: recursions of normalised Legendre
functions, equations 11 to 13.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel


@kernel
def add_harmonics(directions, lmax, factor, out):
    """Add `factor` times the harmonics of degree 1 to `lmax` of unit vectors to `out`.

    By degree l, in each first the sines of order l to 1, then the cosines of order 0 to l; the mean square of each over
    the sphere is 1.
    """
    legendre = np.zeros((lmax + 1, lmax + 1))
    for i in range(len(directions)):
        x, y, t = directions[i, 0], directions[i, 1], directions[i, 2]
        u = np.sqrt(x * x + y * y)
        # at the poles the azimuth has no meaning, and all orders above 0 vanish
        cosine, sine = (x / u, y / u) if u > 0.0 else (1.0, 0.0)
        legendre[0, 0] = 1.0
        for m in range(1, lmax + 1):
            norm = 3.0 if m == 1 else (2.0 * m + 1.0) / (2.0 * m)
            legendre[m, m] = np.sqrt(norm) * u * legendre[m - 1, m - 1]
        for l in range(1, lmax + 1):  # noqa: E741
            for m in range(l):
                product = float((l - m) * (l + m))
                a = np.sqrt((2.0 * l - 1.0) * (2.0 * l + 1.0) / product)
                b = np.sqrt((2.0 * l + 1.0) * (l + m - 1.0) * (l - m - 1.0) / (product * (2.0 * l - 3.0)))
                # b is 0 where l - 2 is below m
                below = legendre[l - 2, m] if l - 2 >= m else 0.0
                legendre[l, m] = a * t * legendre[l - 1, m] - b * below
        c, s = 1.0, 0.0
        for m in range(lmax + 1):
            for l in range(max(m, 1), lmax + 1):  # noqa: E741
                middle = l * l - 1 + l
                out[i, middle + m] += factor * legendre[l, m] * c
                if m:
                    out[i, middle - m] += factor * legendre[l, m] * s
            c, s = c * cosine - s * sine, s * cosine + c * sine
