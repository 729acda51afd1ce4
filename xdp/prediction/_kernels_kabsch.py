"""The reflection's own frame, in numbers one by one, for use inside other kernels (see :mod:`xdp.prediction.kabsch`).

With unit axes ``e1 = s1 x s0`` and ``e2 = s1 x e1`` (each normalised), a ray s' and an angle phi' are at
``c1 = e1.(s' - s1)/|s1|``, ``c2 = e2.(s' - s1)/|s1|``, ``c3 = zeta (phi' - phi)``, zeta = m2.e1, all in radians.
"""

from __future__ import annotations

from math import sqrt

from xdp.kernels import kernel


@kernel
def make_kabsch_axes(s1, s0):
    """Make e1 (x, y, z) and e2 (x, y, z), six numbers, of a ray s1 and the incident s0 (anything of three elements)."""
    # e1 = s1 x s0
    ax = s1[1] * s0[2] - s1[2] * s0[1]
    ay = s1[2] * s0[0] - s1[0] * s0[2]
    az = s1[0] * s0[1] - s1[1] * s0[0]
    scale = 1.0 / sqrt(ax * ax + ay * ay + az * az)
    ax, ay, az = ax * scale, ay * scale, az * scale
    # e2 = s1 x e1
    bx = s1[1] * az - s1[2] * ay
    by = s1[2] * ax - s1[0] * az
    bz = s1[0] * ay - s1[1] * ax
    scale = 1.0 / sqrt(bx * bx + by * by + bz * bz)
    return ax, ay, az, bx * scale, by * scale, bz * scale


@kernel
def locate_ray(axes, s1, ray):
    """c1, c2 of a ray of the length of s1, in the frame `axes` of :func:`make_kabsch_axes`."""
    scale = 1.0 / sqrt(s1[0] * s1[0] + s1[1] * s1[1] + s1[2] * s1[2])
    dx, dy, dz = (ray[0] - s1[0]) * scale, (ray[1] - s1[1]) * scale, (ray[2] - s1[2]) * scale
    return axes[0] * dx + axes[1] * dy + axes[2] * dz, axes[3] * dx + axes[4] * dy + axes[5] * dz


@kernel
def compute_frame_zeta(axes, m2):
    """zeta = m2.e1 of the frame `axes` of :func:`make_kabsch_axes` and the rotation axis m2 (unit, lab)."""
    return axes[0] * m2[0] + axes[1] * m2[1] + axes[2] * m2[2]
