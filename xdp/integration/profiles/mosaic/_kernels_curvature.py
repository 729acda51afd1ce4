r"""Numba kernel that measures how wide single spots are, along e1 and e2, by the curvature of their logarithm.

The counts d expected in a pixel at the angles x1, x2 from the predicted ray, on frame z, are

.. math::

    d = b + \left\langle \exp\left(a + l_1 x_1 + l_2 x_2 + q_1 x_1^2 + q_2 x_2^2 + l_3 z + q_3 z^2\right)
    \right\rangle, \qquad q_k = -\frac{1}{2 v_k},

the mean being that over the pixel, by two points of Gauss and Legendre along each side. This is a Gaussian anywhere
near the prediction, and v its variance without the pixel's. The parameters are the most likely ones if counts are
Poisson, found by iteratively reweighted least squares. Pixels that are missing bias nothing. So pixels that a spot
finder left out as too faint may be missing, if those are left out too that only chance made strong: pixels take part
whose expected counts lie well above the threshold.

References
----------
P. McCullagh & J. A. Nelder, Generalized Linear Models (1989), chapter 2, on reweighted least squares;
W. Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374, on the frame e1, e2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.integration.profiles._kernels_overlaps import invert
from xdp.integration.profiles._kernels_spot_spread import compute_ray, find_foot
from xdp.kernels import kernel
from xdp.prediction._kernels_kabsch import make_kabsch_axes

N_TERMS = 7
"""Terms of the logarithm: 1, x1, x2, x1^2, x2^2, z, z^2."""
POINTS = 4
"""Points of a pixel at which the exponential is taken."""
_ASIDE = 0.5 / math.sqrt(3.0)
"""Of the points from the middle of a pixel, px: a cubic function has its mean there (Gauss and Legendre)."""
_SPARE = 2
"""Pixels more than terms that a spot needs. A choice: with fewer its errors say little."""
_LARGEST_STEP = 1.5
"""No parameter changes by more in a round, in units of the spot's own width: the exponential stays finite."""
_ROUNDS = 12
"""Rounds of reweighting. A choice: spots that are strong enough to count settle in five to eight."""
_CERTAIN = 2.0
"""Standard deviations of its counts by which a pixel is expected above the threshold to take part. On simulated spots
eta comes out 20 % too large with 0 and 10 % with 2; more leaves few pixels."""
_MOST_ALIKE = 1e-6
"""Smallest pivot of the normal equations with a diagonal of 1: below, pixels do not tell the terms apart."""
_LARGEST_POWER = 30.0
"""Exponents are cut there: no count is as large, and no signal as small matters."""


class SpotLevels(NamedTuple):
    """What is known of each spot beforehand.

    Attributes
    ----------
    background, threshold : (n,) float64
        Counts a pixel: beneath the spot, and above which a pixel was kept.
    start : (n, 2) float64
        Variances along e1 and e2 to start from, rad^2.
    """

    background: np.ndarray
    threshold: np.ndarray
    start: np.ndarray


class SpotPixels(NamedTuple):
    """The pixels of a spot; room for more than it needs.

    Attributes
    ----------
    points : (m, POINTS, 2) float64
        x1 and x2 at the points of each pixel, in units of the start's standard deviations.
    z, counts : (m,) float64
        Frames from the middle of the box, and counts.
    used : (m,) bool
    """

    points: np.ndarray
    z: np.ndarray
    counts: np.ndarray
    used: np.ndarray


class CurvatureEquations(NamedTuple):
    """Room for the equations of a round.

    Attributes
    ----------
    matrix, inverse : (9, 9) float64
        As large as ``invert`` may need.
    right, scale, slope : (N_TERMS,) float64
        Right side, what makes the diagonal 1, and how a pixel's counts change with each term.
    """

    matrix: np.ndarray
    inverse: np.ndarray
    right: np.ndarray
    scale: np.ndarray
    slope: np.ndarray


@kernel
def measure_curvatures(boxes, panels, s1, s0, levels, out):
    """Measure the curvatures q1, q2 of spots.

    Parameters
    ----------
    boxes : BoxPixels
        Pixels whose mask is not 0 take part.
    panels : (p, 13) float64
        As of :func:`xdp.integration.profiles.spot_spread.make_panel_rows`.
    s1 : (n, 3) float64
        Predicted rays.
    s0 : (3,) float64
    levels : SpotLevels
    out : (n, 5) float64
        Filled: q1, q2 and their standard deviations, rad^-2, and the height above background, counts; NaN where a spot
        does not tell.
    """
    most = 1
    for i in range(s1.shape[0]):
        most = max(most, boxes.offsets[i + 1] - boxes.offsets[i])
    pixels = SpotPixels(np.empty((most, POINTS, 2)), np.empty(most), np.empty(most), np.empty(most, np.bool_))
    work = CurvatureEquations(np.empty((9, 9)), np.empty((9, 9)), np.empty(N_TERMS), np.empty(N_TERMS),
                              np.empty(N_TERMS))
    beta = np.empty(N_TERMS)
    for i in range(s1.shape[0]):
        out[i, :] = np.nan
        n, n_terms = _list_pixels(i, boxes, panels, s1, s0, levels.start, pixels)
        if n < n_terms + _SPARE:
            continue
        b = levels.background[i]
        is_fit = _start(n, n_terms, b, pixels, beta, work)
        for k in range(_ROUNDS):
            # the first rounds find about where the spot is; which pixels count is settled in the later ones
            if is_fit and k in (2, 5, 8):
                is_fit = _choose_certain(n, n_terms, b, levels.threshold[i], pixels, beta, work.slope)
            is_fit = is_fit and _improve(n, n_terms, b, pixels, beta, work)
        if is_fit:
            out[i, 4] = math.exp(min(beta[0], _LARGEST_POWER))
            for k in range(2):
                v = levels.start[i, k]
                out[i, k] = beta[3 + k] / v
                out[i, 2 + k] = math.sqrt(max(work.inverse[3 + k, 3 + k], 0.0)) * work.scale[3 + k] / v


@kernel
def _list_pixels(i, boxes, panels, s1, s0, start, pixels):
    """List the pixels of spot `i`; returns their number, and how many terms it has."""
    axes = make_kabsch_axes(s1[i], s0)
    inverse = 1.0 / math.sqrt(s1[i, 0] ** 2 + s1[i, 1] ** 2 + s1[i, 2] ** 2)
    u = (s1[i, 0] * inverse, s1[i, 1] * inverse, s1[i, 2] * inverse)
    d = panels[boxes.panel[i]]
    foot = find_foot(d)
    box, j = boxes.bbox[i], boxes.offsets[i]
    root_1, root_2 = 1.0 / math.sqrt(start[i, 0]), 1.0 / math.sqrt(start[i, 1])
    depth = box[5] - box[4]
    n, first, last = 0, depth, -1
    # spots whose pixels were not kept have none
    for z in range(depth if boxes.offsets[i + 1] > j else 0):
        for y in range(box[2], box[3]):
            for x in range(box[0], box[1]):
                j += 1
                if boxes.mask[j - 1] == 0:
                    continue
                for p in range(POINTS):
                    # the bits of the point's number are its signs
                    rx, ry, rz = compute_ray(d, foot, x + 0.5 + _ASIDE * (2 * (p & 1) - 1),
                                             y + 0.5 + _ASIDE * ((p & 2) - 1))
                    rx, ry, rz = rx - u[0], ry - u[1], rz - u[2]
                    pixels.points[n, p, 0] = (axes[0] * rx + axes[1] * ry + axes[2] * rz) * root_1
                    pixels.points[n, p, 1] = (axes[3] * rx + axes[4] * ry + axes[5] * rz) * root_2
                pixels.z[n], pixels.counts[n], pixels.used[n] = z - 0.5 * (depth - 1), boxes.data[j - 1], True
                first, last = min(first, z), max(last, z)
                n += 1
    # with one frame there is no term of z, with two none of z^2
    return n, N_TERMS - max(2 - (last - first), 0)


@kernel
def _expect(p, pixels, beta, n_terms, slope):
    """Counts of pixel `p` above background, and into `slope` (n_terms,) how they change with each term."""
    z, along, total = pixels.z[p], 0.0, 0.0
    slope[:] = 0.0
    if n_terms > 5:
        along += beta[5] * z
    if n_terms > 6:
        along += beta[6] * z * z
    for k in range(POINTS):
        x, y = pixels.points[p, k, 0], pixels.points[p, k, 1]
        power = along + beta[0] + x * (beta[1] + beta[3] * x) + y * (beta[2] + beta[4] * y)
        signal = math.exp(min(max(power, -_LARGEST_POWER), _LARGEST_POWER)) / POINTS
        total += signal
        slope[1] += signal * x
        slope[2] += signal * y
        slope[3] += signal * x * x
        slope[4] += signal * y * y
    slope[0], slope[5], slope[6] = total, total * z, total * z * z
    return total


@kernel
def _start(n, n_terms, b, pixels, beta, work):
    """First values of all terms: a parabola through the logarithms of counts. False where they do not tell."""
    matrix, right, slope = work.matrix, work.right, work.slope
    matrix[:, :] = 0.0
    right[:] = 0.0
    beta[:] = 0.0
    for p in range(n):
        # with all terms 0 the slopes are the terms themselves, averaged over the pixel
        _expect(p, pixels, beta, n_terms, slope)
        net = max(pixels.counts[p] - b, 0.5)
        weight = net * net / max(pixels.counts[p], 0.5)
        for j in range(n_terms):
            right[j] += weight * slope[j] * math.log(net)
            for k in range(n_terms):
                matrix[j, k] += weight * slope[j] * slope[k]
    return _step(n_terms, np.inf, beta, work)


@kernel
def _improve(n, n_terms, b, pixels, beta, work):
    """One round of reweighted least squares; False where pixels do not tell the terms apart."""
    matrix, right, slope = work.matrix, work.right, work.slope
    matrix[:, :] = 0.0
    right[:] = 0.0
    for p in range(n):
        if not pixels.used[p]:
            continue
        signal = _expect(p, pixels, beta, n_terms, slope)
        weight = 1.0 / max(b + signal, 1e-9)
        miss = weight * (pixels.counts[p] - b - signal)
        for j in range(n_terms):
            right[j] += slope[j] * miss
            for k in range(n_terms):
                matrix[j, k] += weight * slope[j] * slope[k]
    return _step(n_terms, _LARGEST_STEP, beta, work)


@kernel
def _step(m, largest, beta, work):
    """Solve the normal equations and add the step to `beta` (m,); False if they are nearly singular."""
    matrix, inverse, scale = work.matrix, work.inverse, work.scale
    for j in range(m):
        if not matrix[j, j] > 0.0:
            return False
        scale[j] = 1.0 / math.sqrt(matrix[j, j])
    for j in range(m):
        for k in range(m):
            matrix[j, k] *= scale[j] * scale[k]
    if not invert(matrix, m, inverse):
        return False
    for j in range(m):
        if not 0.0 < inverse[j, j] < 1.0 / _MOST_ALIKE:
            return False
    for j in range(m):
        step = 0.0
        for k in range(m):
            step += scale[j] * inverse[j, k] * scale[k] * work.right[k]
        beta[j] += min(max(step, -largest), largest)
    return True


@kernel
def _choose_certain(n, n_terms, b, threshold, pixels, beta, slope):
    """Choose the pixels that are expected well above the threshold; False where these are too few."""
    m = 0
    for p in range(n):
        expected = b + _expect(p, pixels, beta, n_terms, slope)
        pixels.used[p] = expected - _CERTAIN * math.sqrt(expected) >= threshold
        m += pixels.used[p]
    return m >= n_terms + _SPARE
