"""Numba kernels that find the limits of predicted reflections on their panels, and how much of each is recorded."""

from __future__ import annotations

from math import ceil, erf, exp, floor, inf, sqrt

from xdp.kernels import kernel
from xdp.prediction._kernels_kabsch import make_kabsch_axes


@kernel
def find_limits_across(s1, panel, delta, s0, panels, inverse, out):
    """Pixels between which the corners of rectangles in the Kabsch frame fall on the planes of panels.

    The ray at c1, c2 is ``|s1| (c1 e1 + c2 e2) + sqrt(1 - c1² - c2²) s1``. Corners that the sphere does not have, or
    the plane, do not count.

    Parameters
    ----------
    s1, panel, delta : float64 (n, 3), int64 (n,), float64 (n, 2)
        Ray, panel and half widths of the rectangle along e1 and e2 (rad) of each reflection.
    s0 : float64 (3,)
    panels : float64 (p, 13)
        As of :func:`xdp.integration.profiles.spot_spread.make_panel_rows`.
    inverse : float64 (p, 3, 3)
        Of the d matrices.
    out : float64 (n, 4)
        Filled: fast, fast, slow, slow; whole numbers, rounded outwards; 0 where no corner counts.
    """
    for i in range(s1.shape[0]):
        axes = make_kabsch_axes(s1[i], s0)  # e1, e2: six numbers
        length = sqrt(s1[i, 0] * s1[i, 0] + s1[i, 1] * s1[i, 1] + s1[i, 2] * s1[i, 2])
        square = 1.0 - (delta[i, 0] * delta[i, 0] + delta[i, 1] * delta[i, 1])
        side_1, side_2, forth = length * delta[i, 0], length * delta[i, 1], sqrt(max(square, 0.0))
        low_fast, high_fast, low_slow, high_slow = inf, -inf, inf, -inf
        # The signs of both coordinates are the bits of the corner's number.
        for corner in range(4):
            a, b = side_1 * (2 * (corner & 1) - 1), side_2 * ((corner & 2) - 1)
            meets, fast, slow = _point_of_ray(panels[panel[i]], inverse[panel[i]],
                                              a * axes[0] + b * axes[3] + forth * s1[i, 0],
                                              a * axes[1] + b * axes[4] + forth * s1[i, 1],
                                              a * axes[2] + b * axes[5] + forth * s1[i, 2])
            if meets and square >= 0.0:
                low_fast, high_fast = min(low_fast, fast), max(high_fast, fast)
                low_slow, high_slow = min(low_slow, slow), max(high_slow, slow)
        has_any = low_fast <= high_fast
        out[i, 0], out[i, 1] = floor(low_fast) if has_any else 0.0, ceil(high_fast) if has_any else 0.0
        out[i, 2], out[i, 3] = floor(low_slow) if has_any else 0.0, ceil(high_slow) if has_any else 0.0


@kernel
def _point_of_ray(d, inverse, x, y, z):
    """Whether a ray meets the plane of a panel, and the pixels (fast, slow) where it is counted.

    The ray goes on in the sensor by ``1/mu - (t + 1/mu) exp(-mu t)``, t its path there (see
    :mod:`xdp.experiment.pixels`).
    """
    # The inverse d matrix takes a direction to (fast, slow, 1) times `forward`; behind the panel that is negative.
    forward = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2] * z
    if not forward > 0.0:
        return False, 0.0, 0.0
    fast = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2] * z) / forward
    slow = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2] * z) / forward
    if d[11] > 0.0:  # mu: the panel corrects parallax; d[12] is its thickness, d[9] and d[10] its pixel size
        scale = 1.0 / sqrt(x * x + y * y + z * z)
        nx, ny, nz = d[3] * d[7] - d[6] * d[4], d[6] * d[1] - d[0] * d[7], d[0] * d[4] - d[3] * d[1]
        path = d[12] / abs((x * nx + y * ny + z * nz) * scale)
        depth = (1.0 / d[11] - (path + 1.0 / d[11]) * exp(-d[11] * path)) * scale
        fast += depth * (x * d[0] + y * d[3] + z * d[6])
        slow += depth * (x * d[1] + y * d[4] + z * d[7])
    return True, fast / d[9], slow / d[10]


@kernel
def compute_recorded_shares(z, scale, bbox, out):
    """The part of each Gaussian between the first and the last frame of its box, into `out` (n,).

    It stands at frame coordinate z (n,); `scale` (n,) is 1 / (sqrt(2) sigma), sigma in frames.
    """
    for i in range(z.shape[0]):
        out[i] = 0.5 * (erf(scale[i] * (bbox[i, 5] - z[i])) - erf(scale[i] * (bbox[i, 4] - z[i])))
