"""Numba kernel that tilts and bends level backgrounds, by the sweep's radial profile and the pixels of each box."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.integration.background._kernels_pixels import USED, find_largest
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
_FURTHEST = 300.0
"""exp of twice this is a number still; steps that do not settle may go anywhere."""
_LOWEST, _HIGHEST = math.exp(-_STEEPEST), math.exp(_STEEPEST)
"""The same for what is relative to the level."""


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


class BoxColumns(NamedTuple):
    """The columns of a box, each the pixels of all its frames at one place: a workspace, `m` columns at most.

    Attributes
    ----------
    used, own : (m,) int64
        Pixels of the column with bit BACKGROUND_USED, and of the foreground.
    shape : (m,) float64
        exp of the bend there.
    along : (m,) float64
        exp of the slope along fast, for each of a row.
    values : (n_pixels,) float64
        Counts of the used pixels, column after column.
    fitted : (m,) float32
        The background that is found.
    """

    used: np.ndarray
    own: np.ndarray
    shape: np.ndarray
    along: np.ndarray
    values: np.ndarray
    fitted: np.ndarray


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
    # one workspace serves all boxes
    columns = make_columns(boxes)
    for i in range(len(mean)):
        first, end = boxes.offsets[i], boxes.offsets[i + 1]
        level = np.float64(boxes.background[first]) if end > first else 0.0
        # a pedestal that was taken off may leave nothing, of which there is no logarithm
        if level > 0.0 and dispersion[i] > 0.0 and matters(boxes, priors, i, level / dispersion[i], columns):
            beta[:] = 0.0
            beta[0] = math.log(level)
            # only few boxes get here, so that the rest is spared the exponentials
            gather_columns(boxes, priors, i, columns)
            if settle(boxes, priors, i, tuning, dispersion[i], columns, beta, score, normal):
                mean[i] = fill(boxes, priors, i, beta, columns)
                n_changed += 1
    return n_changed


@kernel
def find_exponent(priors, i, x, y):
    """The bend at a pixel, in offsets from the centre of box i."""
    g = priors.bend[i]
    return min(max(g[0] * x + g[1] * y + g[2] * x * x + g[3] * y * y + g[4] * x * y, -_STEEPEST), _STEEPEST)


@kernel
def make_columns(boxes):
    """Make a workspace for the largest of the boxes."""
    area, size = np.int64(1), find_largest(boxes.offsets)
    for i in range(len(boxes.bbox)):
        box = boxes.bbox[i]
        area = max(area, np.int64(box[1] - box[0]) * np.int64(box[3] - box[2]))
    return BoxColumns(np.zeros(area, np.int64), np.zeros(area, np.int64), np.zeros(area), np.zeros(area),
                      np.zeros(size), np.zeros(area, np.float32))


@kernel
def count_codes(boxes, i, columns):
    """Count the used and the foreground's pixels of each column of box i."""
    box = boxes.bbox[i]
    area = np.int64(box[1] - box[0]) * np.int64(box[3] - box[2])
    used, own = columns.used[:area], columns.own[:area]
    used[:] = 0
    own[:] = 0
    # frame by frame, as pixels lie in memory
    for z in range(np.int64(box[5] - box[4])):
        first = boxes.offsets[i] + z * area
        mask = boxes.mask[first:first + area]
        for c in range(area):
            used[c] += (mask[c] & USED) != 0
            own[c] += (mask[c] & FOREGROUND) != 0


@kernel
def matters(boxes, priors, i, level, columns):
    """Whether bend and slopes can change the level under the foreground, or its shape there, by what would be seen.

    Also counts the pixels of the columns.
    """
    box = boxes.bbox[i]
    width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
    # of used pixels, then of the foreground: number, sums of x, y and the bend; squares of the foreground only
    n, x_sum, y_sum, bend_sum = 0, 0.0, 0.0, 0.0
    n_f, x_f, y_f, bend_f, xx, bend_bend = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    count_codes(boxes, i, columns)
    c = 0
    for row in range(height):
        y = box[2] + row + 0.5 - priors.centre[i, 1]
        for column in range(width):
            used, own = columns.used[c], columns.own[c]
            if used + own:
                x = box[0] + column + 0.5 - priors.centre[i, 0]
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
            c += 1
    # three numbers are fitted
    if n < 4 or n_f == 0:
        return False
    slope = 1.0 / priors.precision
    # how far the foreground lies from the middle of what the level was made of
    aside = (x_f / n_f - x_sum / n) ** 2 + (y_f / n_f - y_sum / n) ** 2
    # what the known bend adds to the level under the foreground
    shift = bend_f / n_f - bend_sum / n
    if n * level * shift * shift > LEAST_BEND or n * level * slope * aside > LEAST_TILT:
        return True
    return level * (bend_bend - bend_f * bend_f / n_f + slope * xx) > LEAST_CONTRAST


@kernel
def gather_columns(boxes, priors, i, columns):
    """Put the counts of the used pixels of box i in a row, column after column, and find the columns' shape."""
    box = boxes.bbox[i]
    width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
    depth, n, c = np.int64(box[5] - box[4]), 0, 0
    for row in range(height):
        y = box[2] + row + 0.5 - priors.centre[i, 1]
        for column in range(width):
            columns.shape[c] = math.exp(find_exponent(priors, i, box[0] + column + 0.5 - priors.centre[i, 0], y))
            if columns.used[c]:
                k = boxes.offsets[i] + c
                for _z in range(depth):
                    if boxes.mask[k] & USED:
                        columns.values[n] = boxes.data[k]
                        n += 1
                    k += width * height
            c += 1


@kernel
def find_slope(box, priors, i, beta, columns):
    """Set exp of the slope along fast, whose product with those along slow and with the shape saves most exponentials.
    """
    for column in range(np.int64(box[1] - box[0])):
        columns.along[column] = find_factor(beta[1] * (box[0] + column + 0.5 - priors.centre[i, 0]))


@kernel
def find_factor(exponent):
    """exp of a part of the logarithm, cut off so far out that products of two stay finite and above 0."""
    return math.exp(min(max(exponent, -_FURTHEST), _FURTHEST))


@kernel
def find_mean(shape, level):
    """The level times what is relative to it, as far as that is believed."""
    return level * min(max(shape, _LOWEST), _HIGHEST)


@kernel
def settle(boxes, priors, i, tuning, dispersion, columns, beta, score, normal):
    """Take scoring steps from a level; False if they do not settle."""
    box = boxes.bbox[i]
    width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
    for _ in range(MOST_STEPS):
        score[:] = 0.0
        normal[:] = 0.0
        # Huber's expectations change slowly with the mean: those at the level serve the whole box
        # counts in units of their dispersion are as those of photons
        middle = math.exp(beta[0]) / dispersion
        expected, slope = poisson_expectations(middle, tuning)
        efficiency = slope * math.sqrt(middle)
        find_slope(box, priors, i, beta, columns)
        level, c, k = math.exp(beta[0]), 0, 0
        for row in range(height):
            y = box[2] + row + 0.5 - priors.centre[i, 1]
            across = find_factor(beta[2] * y)
            for column in range(width):
                n = columns.used[c]
                if n:
                    x = box[0] + column + 0.5 - priors.centre[i, 0]
                    # all frames of a pixel have the same mean
                    mean = find_mean(columns.shape[c] * columns.along[column] * across, level)
                    sigma = math.sqrt(mean * dispersion)
                    # expectations are taken off once for all frames
                    q = -n * expected
                    for j in range(k, k + n):
                        q += min(max((columns.values[j] - mean) / sigma, -tuning), tuning)
                    k += n
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
                c += 1
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
    # nothing is known of a slope, or a number is none
    if not determinant > 0.0:
        return math.inf
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    step0 = (aa * score[0] + bb * score[1] + cc * score[2]) / determinant
    step1 = (bb * score[0] + dd * score[1] + ee * score[2]) / determinant
    step2 = (cc * score[0] + ee * score[1] + ff * score[2]) / determinant
    beta[0] += step0
    beta[1] += step1
    beta[2] += step2
    # exp of more is no count, and a number that is none ends here too
    if not abs(beta[0]) < 50.0:
        return math.inf
    return step0 * score[0] + step1 * score[1] + step2 * score[2]


@kernel
def fill(boxes, priors, i, beta, columns):
    """Write the background of a box; returns its average under the used pixels."""
    box = boxes.bbox[i]
    width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
    find_slope(box, priors, i, beta, columns)
    level, total, n, c = math.exp(beta[0]), 0.0, 0, 0
    for row in range(height):
        across = find_factor(beta[2] * (box[2] + row + 0.5 - priors.centre[i, 1]))
        for column in range(width):
            value = np.float32(find_mean(columns.shape[c] * columns.along[column] * across, level))
            # all frames of a column have this background
            columns.fitted[c] = value
            total += columns.used[c] * np.float64(value)
            n += columns.used[c]
            c += 1
    for z in range(np.int64(box[5] - box[4])):
        first = boxes.offsets[i] + z * c
        boxes.background[first:first + c] = columns.fitted[:c]
    return total / n
