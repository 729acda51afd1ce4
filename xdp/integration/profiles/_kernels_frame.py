r"""Numba kernels of a reflection's own frame: axes e1 and e2 across the diffracted ray, e3 along the rotation.

After Kabsch (2010), section 2.2, with u = s1/|s1| and the rotation axis m2,

.. math::

    e_1 = \frac{s_1 \times s_0}{|s_1 \times s_0|}, \qquad
    e_2 = \frac{s_1 \times e_1}{|s_1 \times e_1|}, \qquad
    \zeta = m_2 \cdot e_1

and a ray along the unit vector u', recorded at the angle phi', has the coordinates

.. math::

    \varepsilon_1 = e_1 \cdot (u' - u), \qquad
    \varepsilon_2 = e_2 \cdot (u' - u), \qquad
    \varepsilon_3 = \zeta\,(\varphi' - \varphi).

In them all reflections have nearly the same shape. Here they are counted in grid steps, from the corner of the grid.

References
----------
W. Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

MOST_POINTS = 6
"""Sample points along a side of a pixel, at most: 36 a pixel. Two a grid step are wanted, and a pixel as large as three
steps is coarser than any profile can use; the number is a choice that bounds memory and time."""

Vector = tuple[float, float, float]


class Box(NamedTuple):
    """Where a reflection's pixels lie: on the detector, and in the arrays of all pixels.

    Attributes
    ----------
    panel : int
    x0, y0, z0 : int
        First pixel, fast and slow, and first frame.
    width, area, n_frames : int
        Pixels of a row and of a frame, and frames.
    first, end : int
        The first pixel in the arrays, and the one after the last.
    """

    panel: int
    x0: np.int64
    y0: np.int64
    z0: np.int64
    width: np.int64
    area: np.int64
    n_frames: np.int64
    first: int
    end: int


class PixelMap(NamedTuple):
    """From a point (x, y) of the panel to the grid: ``g_k = e_k . u' + c_k``.

    Attributes
    ----------
    e1, e2 : 3 floats each
        The axes, divided by the grid's step.
    c1, c2 : float
        Such that the prediction lies in the middle of the grid.
    shift_x, shift_y : float
        Parallax, mm, taken as the same in the whole box: from the predicted point to where s1 meets the panel.
    """

    e1: Vector
    e2: Vector
    c1: float
    c2: float
    shift_x: float
    shift_y: float


class KabschFrame(NamedTuple):
    """A reflection's frame in grid steps.

    Attributes
    ----------
    pixel_map : PixelMap
    middle : float
        Grid coordinate of the prediction along each axis.
    rate : float
        Steps along e3 for each frame.
    g1_x, g1_y, g2_x, g2_y : float
        Steps along e1 and e2 for a pixel along x (fast) and y (slow), at the prediction.
    area : float
        Area of a pixel in cells of the grid.
    n_points : int
        Sample points along a side of a pixel.
    """

    pixel_map: PixelMap
    middle: float
    rate: float
    g1_x: float
    g1_y: float
    g2_x: float
    g2_y: float
    area: float
    n_points: np.int64


@kernel
def dot(a, b):
    """Scalar product of 3-vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def cross(a, b):
    """Vector product of 3-vectors."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@kernel
def make_box(boxes, r):
    """The :class:`Box` of reflection `r` of ``BoxPixels``."""
    bbox = boxes.bbox[r]
    width, height = np.int64(bbox[1] - bbox[0]), np.int64(bbox[3] - bbox[2])
    return Box(boxes.panel[r], np.int64(bbox[0]), np.int64(bbox[2]), np.int64(bbox[4]), width, width * height,
               np.int64(bbox[5] - bbox[4]), boxes.offsets[r], boxes.offsets[r + 1])


@kernel
def make_frame(s1, centre, steps, panel, geometry, grid):
    """The frame of the reflection with wave vector `s1` (3,), predicted at `centre` (fast, slow, frame) of a panel.

    `steps` (3,) are those of its grid along e1, e2 and e3, rad.

    Returns
    -------
    is_valid, KabschFrame
        False where there is no frame: s1 along s0 or along the panel, or zeta = 0.
    """
    # u, e1, e2 and zeta are those of the module's formula
    d, d_inverse, pixel = geometry.d[panel], geometry.d_inverse[panel], geometry.pixel_size[panel]
    inverse = 1.0 / math.sqrt(dot(s1, s1))
    u = (s1[0] * inverse, s1[1] * inverse, s1[2] * inverse)
    normal = cross(u, geometry.s0)
    length = math.sqrt(dot(normal, normal))
    e1 = (normal[0] / length, normal[1] / length, normal[2] / length)
    e2 = cross(u, e1)
    zeta = dot(geometry.m2, e1)
    toward = dot(d_inverse[2], u)  # not above 0: the ray goes away from the panel
    is_valid = length > 0.0 and toward > 0.0 and zeta != 0.0

    middle, step_1, step_2 = grid.half + 0.5, steps[0], steps[1]
    f1 = (e1[0] / step_1, e1[1] / step_1, e1[2] / step_1)
    f2 = (e2[0] / step_2, e2[1] / step_2, e2[2] / step_2)
    # e1 and e2 are at right angles to s1: the prediction is the middle of the grid
    c1, c2 = middle - dot(f1, u), middle - dot(f2, u)
    # the point where the ray meets the panel, mm, lies the parallax away from the predicted pixel
    pixel_map = PixelMap(f1, f2, c1, c2, dot(d_inverse[0], u) / toward - centre[0] * pixel[0],
                         dot(d_inverse[1], u) / toward - centre[1] * pixel[1])

    # the four middles of a pixel's sides, about the prediction, give the linear map from pixels to grid steps
    left = locate_on_grid(pixel_map, d, pixel, centre[0] - 0.5, centre[1])
    right = locate_on_grid(pixel_map, d, pixel, centre[0] + 0.5, centre[1])
    low = locate_on_grid(pixel_map, d, pixel, centre[0], centre[1] - 0.5)
    high = locate_on_grid(pixel_map, d, pixel, centre[0], centre[1] + 0.5)
    g1_x, g2_x = right[0] - left[0], right[1] - left[1]
    g1_y, g2_y = high[0] - low[0], high[1] - low[1]
    area = abs(g1_x * g2_y - g1_y * g2_x)
    n_points = min(max(math.ceil(2.0 * math.sqrt(area)), 2), MOST_POINTS) if is_valid else 2
    return is_valid, KabschFrame(pixel_map, middle, zeta * geometry.turn / steps[2], g1_x, g1_y, g2_x, g2_y, area,
                                 np.int64(n_points))


@kernel
def locate_on_grid(pixel_map, d, pixel, x, y):
    """Grid coordinates along e1 and e2 of the point (x, y) px of a panel with matrix `d` and `pixel` size, mm."""
    mx, my = x * pixel[0] + pixel_map.shift_x, y * pixel[1] + pixel_map.shift_y
    ray = (d[0, 0] * mx + d[0, 1] * my + d[0, 2],
           d[1, 0] * mx + d[1, 1] * my + d[1, 2],
           d[2, 0] * mx + d[2, 1] * my + d[2, 2])
    inverse = 1.0 / math.sqrt(dot(ray, ray))
    return dot(pixel_map.e1, ray) * inverse + pixel_map.c1, dot(pixel_map.e2, ray) * inverse + pixel_map.c2


@kernel
def list_points(frame, offsets):
    """Offsets from the middle of a pixel to its n x n sample points, grid steps, into `offsets`; returns n^2."""
    n = frame.n_points
    spread, p = 1.0 / n, 0
    for b in range(n):
        v = (b - 0.5 * (n - 1)) * spread
        for a in range(n):
            u = (a - 0.5 * (n - 1)) * spread
            offsets[p, 0] = u * frame.g1_x + v * frame.g1_y
            offsets[p, 1] = u * frame.g2_x + v * frame.g2_y
            p += 1
    return p


@kernel
def compute_shares(frame, z, box, grid, shares, totals):
    """What each frame records of a Gaussian along e3: ``int exp(-x^2 / 2 sigma^2) / (sqrt(2 pi) sigma) dx``.

    `z` is the predicted frame. ``shares[k, m]`` gets the integral over the part of the box's frame k within plane m of
    the grid, ``totals[k]`` that over the whole frame.
    """
    scale = 1.0 / (math.sqrt(2.0) * grid.sigma)
    edge_erf = grid.edge_erf
    for k in range(box.n_frames):
        a = (box.z0 + k - z) * frame.rate
        b = a + frame.rate
        if b < a:  # zeta or the scan is negative
            a, b = b, a
        erf_a, erf_b = math.erf(a * scale), math.erf(b * scale)
        totals[k] = 0.5 * (erf_b - erf_a)
        a += frame.middle
        b += frame.middle
        for m in range(shares.shape[1]):
            if a < m + 1 and b > m:
                # the error function at the limits of planes is the same for all reflections, and was made before
                low = erf_a if a > m else edge_erf[m]
                high = erf_b if b < m + 1 else edge_erf[m + 1]
                shares[k, m] = 0.5 * (high - low)
            else:
                shares[k, m] = 0.0


@kernel
def clear_unrecorded(scan, box, shares, totals):
    """Set to 0 what frames before and after the scan would have: nothing of a reflection is recorded there."""
    for k in range(box.n_frames):
        if box.z0 + k < scan[0] or box.z0 + k >= scan[1]:
            totals[k] = 0.0
            for m in range(shares.shape[1]):
                shares[k, m] = 0.0
