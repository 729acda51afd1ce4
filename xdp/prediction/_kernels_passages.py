"""Numba kernels that list what a crystal diffracts: which indices, and when they pass the sphere."""

from __future__ import annotations

from math import acos, atan2, ceil, cos, floor, pi, sin, sqrt

import numpy as np

from xdp.kernels import kernel

_TURN = 2.0 * pi


@kernel
def list_sphere(metric, reach, most, out):
    """Count the indices with 0 < |q|² <= `most`, and list those for which `out` (m, 3) has room, in order of h, k, l.

    |q|² is ``h.G.h`` with the `metric` G of the reciprocal cell; `reach` has the largest h, k and l.
    """
    n = np.int64(0)
    for h in range(-reach[0], reach[0] + 1):
        for k in range(-reach[1], reach[1] + 1):
            fixed = metric[0, 0] * h * h + (metric[1, 1] * k * k + 2.0 * metric[0, 1] * h * k)
            # G22 l² + 2 half l + fixed = most at the ends; one more on either side for what rounding does
            half = metric[0, 2] * h + metric[1, 2] * k
            square = half * half - metric[2, 2] * (fixed - most)
            width = sqrt(max(square, 0.0))
            low = np.int64(ceil((-half - width) / metric[2, 2])) - 1
            high = np.int64(floor((-half + width) / metric[2, 2])) + 1
            for l in range(max(low, -reach[2]), min(high, reach[2]) + 1):  # noqa: E741
                length = fixed + (metric[2, 2] * l * l + 2.0 * metric[0, 2] * h * l) + 2.0 * metric[1, 2] * k * l
                if length <= most and length > 0.0:
                    if n < out.shape[0]:
                        out[n, 0], out[n, 1], out[n, 2] = h, k, l
                    n += 1
    return n


@kernel
def find_passages(hkl, setting, axis, s0, begin, end, rows, angles, rays):
    """Find when points go through the Ewald sphere while the crystal turns from `begin` to `end`.

    With r split into its part along the axis e and across it, ``r(phi) = r_e + cos(phi) r_x + sin(phi) (e x r_x)``, the
    condition ``2 s0.r(phi) + r.r = 0`` is ``a cos(phi) + b sin(phi) = c`` with a = s0.r_x, b = s0.(e x r_x),
    c = -r.r/2 - s0.r_e: solved by ``atan2(b, a) +- acos(c / hypot(a, b))``, and whole turns added.

    Parameters
    ----------
    hkl : int32 (n, 3)
    setting : float64 (3, 3)
        From indices to points, Å⁻¹, at angle 0, in the frame in which the axis stands still.
    axis, s0 : float64 (3,)
        Unit vector; incident wave vector, Å⁻¹; same frame.
    begin, end : float
        Radians.
    rows, angles, rays : int64, float64 (capacity,); float64 (capacity, 3)
        Filled: which point, when (radians), the diffracted wave vector, same frame.

    Returns
    -------
    Number of passages; if above the capacity, those beyond are not stored.
    """
    n_turns = np.int64(floor((end - begin) / _TURN)) + 1
    axis_s0 = axis[0] * s0[0] + axis[1] * s0[1] + axis[2] * s0[2]
    # within half a turn g has one extremum at most, so that its ends tell that it has no root
    is_short = end - begin < pi
    cos_begin, sin_begin, cos_end, sin_end = cos(begin), sin(begin), cos(end), sin(end)
    found = np.int64(0)
    for i in range(hkl.shape[0]):
        h, k, l = hkl[i, 0], hkl[i, 1], hkl[i, 2]  # noqa: E741
        x = setting[0, 0] * h + setting[0, 1] * k + setting[0, 2] * l
        y = setting[1, 0] * h + setting[1, 1] * k + setting[1, 2] * l
        z = setting[2, 0] * h + setting[2, 1] * k + setting[2, 2] * l
        # r along the axis and across it
        along = x * axis[0] + y * axis[1] + z * axis[2]
        c = -0.5 * (x * x + y * y + z * z) - along * axis_s0
        x, y, z = x - along * axis[0], y - along * axis[1], z - along * axis[2]
        turned_x, turned_y, turned_z = axis[1] * z - axis[2] * y, axis[2] * x - axis[0] * z, axis[0] * y - axis[1] * x
        a = x * s0[0] + y * s0[1] + z * s0[2]
        b = turned_x * s0[0] + turned_y * s0[1] + turned_z * s0[2]
        reach = sqrt(a * a + b * b)
        # |c| above hypot(a, b): the circle of the point never meets the sphere
        if not (abs(c) <= reach and reach > 0.0):
            continue
        if is_short and _is_root_free(a, b, c, 1e-9 * reach, cos_begin, sin_begin, cos_end, sin_end):
            continue
        half, middle = acos(c / reach), atan2(b, a)
        for side in range(2):
            first = begin + (middle + (2 * side - 1) * half - begin) % _TURN
            for turn in range(n_turns):
                phi = first + turn * _TURN
                if phi > end:
                    break
                if found < rows.shape[0]:
                    rows[found], angles[found] = i, phi
                    cosine, sine = cos(phi), sin(phi)
                    rays[found, 0] = s0[0] + along * axis[0] + cosine * x + sine * turned_x
                    rays[found, 1] = s0[1] + along * axis[1] + cosine * y + sine * turned_y
                    rays[found, 2] = s0[2] + along * axis[2] + cosine * z + sine * turned_z
                found += 1
    return found


@kernel
def _is_root_free(a, b, c, margin, cos_begin, sin_begin, cos_end, sin_end):
    """Whether ``g(phi) = a cos(phi) + b sin(phi) - c`` surely has no root within less than half a turn.

    g has one extremum there at most, so it has none if it has the same sign and rises or falls at both ends.
    """
    at_begin, at_end = a * cos_begin + b * sin_begin - c, a * cos_end + b * sin_end - c
    if min(abs(at_begin), abs(at_end)) < margin or (at_begin > 0.0) != (at_end > 0.0):
        return False
    return (b * cos_begin - a * sin_begin > 0.0) == (b * cos_end - a * sin_end > 0.0)
