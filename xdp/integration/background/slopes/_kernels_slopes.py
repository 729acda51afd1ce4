"""Numba kernel that tilts and bends level backgrounds, by the sweep's radial profile and the pixels of each box."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.integration.background._kernels_pixels import USED
from xdp.integration.background._kernels_poisson import poisson_expectations
from xdp.kernels import kernel

FOREGROUND = np.uint8(4)
"""MaskCode.FOREGROUND as a plain byte."""
LEAST_BEND = 0.01
"""Squared effect of the bend on the level under a reflection, in units of the level's variance, below which a box stays
level: a tenth of a standard deviation, which is the same for all reflections of a resolution, is not seen in means."""
LEAST_TILT = 0.1
"""The same for further slopes, which differ from box to box: below this they scatter intensities by less than
a twentieth of what the counts of the background do."""
LEAST_CONTRAST = 1.0
"""What a slope adds to chi^2 of a profile's fit, summed over the foreground, below which it is left out: chi^2 of some
hundred pixels varies by fifteen. A choice."""
MOST_STEPS = 8
"""Scoring steps at most; two or three settle."""
SETTLED = 1e-4
"""Steps end when one changes chi^2 by less than this: a hundredth of a standard deviation."""
_STEEPEST = 3.0
"""Exponents are cut here: within a box no background changes by a factor of 20, and exp must not overflow."""


class SlopePriors(NamedTuple):
    """What is known of each box beforehand.

    Attributes
    ----------
    centre : (n, 2) float64
        Where offsets are 0: the prediction, px of the panel (fast, slow).
    bend : (n, 5) float64
        Logarithm of the radial profile about the centre, ``g0 x + g1 y + g2 x^2 + g3 y^2 + g4 x y``.
    precision : float
        1 / variance of further slopes of the logarithm, px^2; infinite where there are none.
    """

    centre: np.ndarray
    bend: np.ndarray
    precision: float


@kernel
def follow_slopes(boxes, priors, tuning, dispersion, mean):
    """Replace the level background of boxes by ``exp(a + bend + b x + c y)``, where that makes a difference.

    The logarithm has the known bend of the sweep's radial profile, a level, and two slopes with a normal prior. Level
    and slopes are those of largest posterior by the pixels with bit BACKGROUND_USED: Fisher scoring with residuals cut
    off at `tuning` standard deviations (Huber), as in `regress`. A box whose level could change by less than a tenth of
    its standard deviation stays as it is, and so does one whose steps do not settle.

    Parameters
    ----------
    boxes : BackgroundPixels
        `background` holds the level; it is changed.
    priors : SlopePriors
    tuning : float
        Huber's constant, in standard deviations; infinite: nothing is cut off.
    dispersion : (n,) float64
        Variance over mean of the counts of each box: 1 for photons.
    mean : (n,) float64
        Changed: the average background under the used pixels.

    Returns
    -------
    int
        How many boxes are no longer level.
    """
    n_changed = 0
    beta, score, normal = np.zeros(3), np.zeros(3), np.zeros((3, 3))
    for i in range(len(mean)):
        first, end = boxes.offsets[i], boxes.offsets[i + 1]
        level = np.float64(boxes.background[first]) if end > first else 0.0
        # a pedestal that was taken off may leave nothing, of which there is no logarithm
        if level > 0.0 and dispersion[i] > 0.0 and matters(boxes, priors, i, level / dispersion[i]):
            beta[:] = 0.0
            beta[0] = math.log(level)
            if settle(boxes, priors, i, tuning, dispersion[i], beta, score, normal):
                mean[i] = fill(boxes, priors, i, beta)
                n_changed += 1
    return n_changed


@kernel
def find_exponent(priors, i, x, y):
    """The bend at a pixel, in offsets from the centre of box i."""
    g = priors.bend[i]
    return min(max(g[0] * x + g[1] * y + g[2] * x * x + g[3] * y * y + g[4] * x * y, -_STEEPEST), _STEEPEST)


@kernel
def matters(boxes, priors, i, level):
    """Whether bend and slopes can change the level under the foreground, or its shape there, by what would be seen."""
    box = boxes.bbox[i]
    width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
    # of used pixels, then of the foreground: number, sums of x, y and the bend; squares of the foreground only
    n, x_sum, y_sum, bend_sum = 0, 0.0, 0.0, 0.0
    n_f, x_f, y_f, bend_f, xx, bend_bend = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    k = boxes.offsets[i]
    depth = np.int64(box[5] - box[4])
    for row in range(height):
        y = box[2] + row + 0.5 - priors.centre[i, 1]
        for column in range(width):
            x = box[0] + column + 0.5 - priors.centre[i, 0]
            used, own = 0, 0
            for z in range(depth):
                code = boxes.mask[k + (z * height + row) * width + column]
                used += (code & USED) != 0
                own += (code & FOREGROUND) != 0
            if used + own:
                bend = find_exponent(priors, i, x, y)
                n += used
                x_sum += used * x
                y_sum += used * y
                bend_sum += used * bend
                n_f += own
                x_f += own * x
                y_f += own * y
                bend_f += own * bend
                xx += own * (x * x + y * y)
                bend_bend += own * bend * bend
    if n < 4 or n_f == 0:
        return False
    slope = 1.0 / priors.precision
    aside = (x_f / n_f - x_sum / n) ** 2 + (y_f / n_f - y_sum / n) ** 2
    shift = bend_f / n_f - bend_sum / n
    if n * level * shift * shift > LEAST_BEND or n * level * slope * aside > LEAST_TILT:
        return True
    return level * (bend_bend - bend_f * bend_f / n_f + slope * xx) > LEAST_CONTRAST


@kernel
def settle(boxes, priors, i, tuning, dispersion, beta, score, normal):
    """Take scoring steps from a level; False if they do not settle."""
    box = boxes.bbox[i]
    width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
    depth = np.int64(box[5] - box[4])
    for _ in range(MOST_STEPS):
        score[:] = 0.0
        normal[:] = 0.0
        # Huber's expectations change slowly with the mean: those at the level serve the whole box
        middle = math.exp(beta[0]) / dispersion
        expected, slope = poisson_expectations(middle, tuning)
        efficiency = slope * math.sqrt(middle)
        for row in range(height):
            y = box[2] + row + 0.5 - priors.centre[i, 1]
            for column in range(width):
                x = box[0] + column + 0.5 - priors.centre[i, 0]
                k = boxes.offsets[i] + row * width + column
                n, q = 0, 0.0
                variance, sigma, mean = 0.0, 0.0, 0.0
                for _z in range(depth):
                    if boxes.mask[k] & USED:
                        if n == 0:
                            # all frames of a pixel have the same mean
                            mean = math.exp(beta[0] + min(max(find_exponent(priors, i, x, y) + beta[1] * x
                                                              + beta[2] * y, -_STEEPEST), _STEEPEST))
                            variance = mean * dispersion
                            sigma = math.sqrt(variance)
                        q += min(max((boxes.data[k] - mean) / sigma, -tuning), tuning) - expected
                        n += 1
                    k += width * height
                if n:
                    # in units of the variance: what the counts of a pixel say of its logarithm
                    q *= sigma / dispersion
                    weight = n * efficiency * mean / dispersion
                    score[0] += q
                    score[1] += q * x
                    score[2] += q * y
                    normal[0, 0] += weight
                    normal[0, 1] += weight * x
                    normal[0, 2] += weight * y
                    normal[1, 1] += weight * x * x
                    normal[1, 2] += weight * x * y
                    normal[2, 2] += weight * y * y
        for j in (1, 2):
            score[j] -= priors.precision * beta[j]
            normal[j, j] += priors.precision
        change = take_step(normal, score, beta)
        if not change < math.inf:
            return False
        if change < SETTLED:
            return True
    return False


@kernel
def take_step(normal, score, beta):
    """Add ``normal^-1 score`` to beta; returns by how much that changes chi^2, infinite where it cannot be solved."""
    a, b, c, d, e, f = normal[0, 0], normal[0, 1], normal[0, 2], normal[1, 1], normal[1, 2], normal[2, 2]
    # cofactors of a symmetric 3 x 3 matrix
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * aa + b * bb + c * cc
    if not determinant > 0.0:
        return math.inf
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    step0 = (aa * score[0] + bb * score[1] + cc * score[2]) / determinant
    step1 = (bb * score[0] + dd * score[1] + ee * score[2]) / determinant
    step2 = (cc * score[0] + ee * score[1] + ff * score[2]) / determinant
    beta[0] += step0
    beta[1] += step1
    beta[2] += step2
    if not abs(beta[0]) < 50.0:
        return math.inf
    return step0 * score[0] + step1 * score[1] + step2 * score[2]


@kernel
def fill(boxes, priors, i, beta):
    """Write the background of a box; returns its average under the used pixels."""
    box = boxes.bbox[i]
    width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
    depth = np.int64(box[5] - box[4])
    total, n = 0.0, 0
    for row in range(height):
        y = box[2] + row + 0.5 - priors.centre[i, 1]
        for column in range(width):
            x = box[0] + column + 0.5 - priors.centre[i, 0]
            exponent = find_exponent(priors, i, x, y) + beta[1] * x + beta[2] * y
            value = np.float32(math.exp(beta[0] + min(max(exponent, -_STEEPEST), _STEEPEST)))
            k = boxes.offsets[i] + row * width + column
            for _z in range(depth):
                boxes.background[k] = value
                if boxes.mask[k] & USED:
                    total += np.float64(value)
                    n += 1
                k += width * height
    return total / n
