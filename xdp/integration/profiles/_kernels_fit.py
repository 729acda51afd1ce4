r"""Numba kernels of the fit of a profile: the equation, its solution, and the variance of what is found.

With counts d, background b and profile p in points i, the intensity I solves

.. math::

    \sum_i \frac{p_i}{v_i} (d_i - b_i - I p_i) = 0, \qquad v_i = b_i + S(I)\, p_i, \qquad S(I) = I + k^2 I^2.

v is the variance of a point's counts. Without k it is that of counting alone: b + I p. Shapes of reflections scatter
about their mean as well. A part p of a shape has the variance ``k^2 p (1 - p)`` and two parts have the covariance
``-k^2 p p'`` (Dirichlet's distribution), so that the counts have the covariance

.. math::

    V = \mathrm{diag}(b + S p) - k^2 I^2\, p\, p^T.

Its second term leaves the weights p/v of the best fit as they are, and takes ``k^2 I^2`` off the variance of I.

References
----------
R. Diamond, Acta Cryst. A25, 43 (1969), doi:10.1107/S0567739469000064, on profiles fitted by least squares;
A. G. W. Leslie, Acta Cryst. D55, 1696 (1999), doi:10.1107/S090744499900846X, on weights and variances.
"""

from __future__ import annotations

import math

import numpy as np

from xdp.integration.profiles._kernels_transform import FOREGROUND
from xdp.kernels import kernel

MOST_ROUNDS = 100
"""Reweightings, at most. Rounds end when a change is a thousandth of the standard deviation; this only bounds time."""
SMALL_CHANGE = 1e-6
"""Square of the last change, in variances."""
LEAST_VARIANCE = 1e-20
"""Keeps a division finite where neither counts nor background are expected."""


@kernel
def compute_signal_variance(intensity, k2):
    """``S(I) = I + k^2 I^2``: variance of a point's counts above background, for each unit of its profile."""
    return intensity + k2 * intensity * intensity


@kernel
def compute_shape_covariance(intensity, k2, total):
    """``k^2 I^2``: what scatter of the shape takes off the variance of I, since the parts of a shape make up a whole.

    `total` is the sum of the profile; where that is more than 1 by rounding, parts are of the sum.
    """
    return k2 * intensity * intensity / max(total, 1.0)


@kernel
def fit_scale(d, b, p, n, k2, start):
    """Intensity I with which ``b + I p`` fits the counts d best in the first `n` points: reweighted least squares.

    ``I = sum(p (d - b) / v) / sum(p^2 / v)`` with ``v = b + S(max(I, least)) p`` of the I before, from `start` on.
    `least` is 0 unless less than one count is expected beneath: then it makes v the variance of one count. `k2` is
    k^2 of the scatter of shapes.

    Returns
    -------
    I, ``sum p^2 / v``, `least`
    """
    # where hardly anything is expected, no count would be certain: 0 +- 0. v of one count makes it 0 +- 1
    beneath, shape = 0.0, 0.0
    for i in range(n):
        beneath += b[i]
        shape += p[i]
    least = max(1.0 - beneath, 0.0) / max(shape, 1e-30)
    intensity, information = start, 0.0
    for _ in range(MOST_ROUNDS):
        top, information = 0.0, 0.0
        s = compute_signal_variance(max(intensity, least), k2)
        for i in range(n):
            w = p[i] / max(b[i] + s * p[i], LEAST_VARIANCE)
            top += w * (d[i] - b[i])
            information += w * p[i]
        if not information > 0.0:  # no point has any of the profile
            return 0.0, 0.0, least
        change = top / information - intensity
        intensity += change
        # 1 / information is the variance, but for the scatter of shapes
        if change * change * information < SMALL_CHANGE:
            break
    return intensity, information, least


@kernel
def compute_background_variance(boxes, box, n_used):
    """Variance of a background estimated from `n_used` pixels: ``mean(b) / n_used``, the mean over the foreground."""
    n, total = 0, 0.0
    for i in range(box.first, box.end):
        if boxes.mask[i] & FOREGROUND:
            n += 1
            total += boxes.background[i]
    return max(total, 0.0) / (n * n_used) if n_used > 0 and n > 0 else 0.0


@kernel
def correlate(scale, p, b, d, n):
    """Linear correlation of ``scale p + b`` with d in the first `n` points; 0 where one of them does not vary."""
    sx, sy, sxx, sxy, syy = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        x = scale * p[i] + b[i]
        y = np.float64(d[i])
        sx += x
        sy += y
        sxx += x * x
        sxy += x * y
        syy += y * y
    xx, yy = sxx - sx * sx / n, syy - sy * sy / n
    if not (xx > 0.0 and yy > 0.0):
        return 0.0
    return (sxy - sx * sy / n) / math.sqrt(xx * yy)
