"""Numba kernels of the geometry: what must be known at each pixel of a panel."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel


@kernel
def resolution_at_pixels(d, unit_s0, pixel_size, mu, thickness, min_sine, out):  # type: ignore[no-untyped-def]
    """Fill `out` (slow, fast) with 1/(2 sin theta) at pixel centres; times the wavelength it is the resolution d.

    With unit vectors s0 to the source's far side and s1 to the pixel, 2 sin(theta) = |s1 - s0|; sin(theta) is not
    taken below `min_sine`. Where mu > 0 the pixel moves first by -o (s1.fast, s1.slow), o = 1/mu - (t + 1/mu)
    exp(-mu t) being the mean depth along the ray, t = thickness / |s1.normal|.
    """
    nx = d[1, 0] * d[2, 1] - d[2, 0] * d[1, 1]
    ny = d[2, 0] * d[0, 1] - d[0, 0] * d[2, 1]
    nz = d[0, 0] * d[1, 1] - d[1, 0] * d[0, 1]
    distance = abs(nx * d[0, 2] + ny * d[1, 2] + nz * d[2, 2])
    # s1.fast and s1.slow follow from the origin's components, since fast and slow are unit vectors at right angles
    origin_fast = d[0, 0] * d[0, 2] + d[1, 0] * d[1, 2] + d[2, 0] * d[2, 2]
    origin_slow = d[0, 1] * d[0, 2] + d[1, 1] * d[1, 2] + d[2, 1] * d[2, 2]
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            x = (i + 0.5) * pixel_size[0]
            y = (j + 0.5) * pixel_size[1]
            if mu > 0.0:
                along_fast = origin_fast + x
                along_slow = origin_slow + y
                length = np.sqrt(along_fast * along_fast + along_slow * along_slow + distance * distance)
                path = thickness * length / distance
                depth = 1.0 / mu - (path + 1.0 / mu) * np.exp(-mu * path)
                x -= along_fast / length * depth
                y -= along_slow / length * depth
            px = d[0, 0] * x + d[0, 1] * y + d[0, 2]
            py = d[1, 0] * x + d[1, 1] * y + d[1, 2]
            pz = d[2, 0] * x + d[2, 1] * y + d[2, 2]
            inverse = 1.0 / np.sqrt(px * px + py * py + pz * pz)
            qx = px * inverse - unit_s0[0]
            qy = py * inverse - unit_s0[1]
            qz = pz * inverse - unit_s0[2]
            sine = 0.5 * np.sqrt(qx * qx + qy * qy + qz * qz)
            out[j, i] = 0.5 / max(sine, min_sine)
