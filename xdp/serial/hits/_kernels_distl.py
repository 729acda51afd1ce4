r"""The kernels of the Spotfinder recipe that score pixels: their distance from a plane of background.

A box of pixels gets a plane :math:`b(p, q) = u p + v q + w`, fitted by least squares to the box's background, and each
of its pixels the score

.. math:: z = \frac{I - b}{\sigma}, \qquad \sigma = \sqrt{\tfrac1n \sum (I - b)^2}

over the n background pixels that were used. Scores are kept in single precision, as Spotfinder keeps them: a pixel at
the threshold is decided by that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel, sum_kernel

STEP = 2
"""Every second pixel of every second row is used for the plane, as in Spotfinder: a quarter of the work."""
WIDEST = 1000
"""A box that has grown beyond so many pixels finds no background; Spotfinder gives up scoring there, too."""


FLAT = 1e-3
"""Whole counts that do not all lie in one plane have a larger spread in any box of less than a million pixels."""
LARGEST = np.iinfo(np.int32).max
"""The highest count of an image."""


class Levels(NamedTuple):
    """Pixel values and scores that divide pixels into kinds.

    Attributes
    ----------
    underload : int
        Pixels of this value or less are no background and no peak.
    overload : int
        Pixels of this value and more are overloaded.
    use_overloads : bool
        Whether overloaded pixels are background and begin spots like others.
    spot_score : float
        A score above it belongs to a spot.
    n_neighbours : int
        A peak has at least so many neighbours of a spot's score.
    first, last : (2,) int64
        Rows and columns searched, (slow, fast), both ends included.
    """

    underload: int
    overload: int
    use_overloads: bool
    spot_score: float
    n_neighbours: int
    first: np.ndarray
    last: np.ndarray


@kernel
def limit_background(cut, levels):
    """The cut, and the values between which pixels are background, in the types of scores and counts.

    Comparisons of one type are done for many pixels at once. A score is below the cut if it is below the next higher
    number of its type.
    """
    limit = np.float32(cut)
    if limit < cut:
        limit = np.nextafter(limit, np.float32(np.inf))
    top = LARGEST if levels.use_overloads else levels.overload - 1
    return limit, np.int32(levels.underload + 1), np.int32(top)


@sum_kernel
def sum_row(values, marks, limits, q):
    """n, ΣI, Σq, Σq² and ΣIq over the background pixels of a row, every second one; the first is at `q`.

    Whole numbers: the sums are exact in any order. All pixels are looked at: steps would be slower.
    """
    limit, low, high = limits
    n, total, first, second, product = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(values.size):
        value = values[k]
        if marks[k] < limit and value >= low and value <= high and k % STEP == 0:
            at = q + np.float64(k)
            n += 1.0
            total += np.float64(value)
            first += at
            second += at * at
            product += np.float64(value) * at
    return n, total, first, second, product


@kernel
def sum_background(image, scores, box, origin, cut, levels):
    """Sums over the background of a box (slow0, fast0, slow1, fast1; ends excluded), as needed for its plane.

    Returns
    -------
    (9,) float64
        n, Σp, Σq, Σp², Σpq, Σq², ΣI, ΣIp, ΣIq; p and q count from `origin`.
    """
    sums, limits = np.zeros(9), limit_background(cut, levels)
    for slow in range(box[0], box[2], STEP):
        n, total, first, second, product = sum_row(
            image[slow, box[1]:box[3]], scores[slow, box[1]:box[3]], limits, np.float64(box[1] - origin[1]))
        # a row's sums are multiplied by p once
        p = slow - origin[0]
        sums[0] += n
        sums[1] += p * n
        sums[2] += first
        sums[3] += p * p * n
        sums[4] += p * first
        sums[5] += second
        sums[6] += total
        sums[7] += p * total
        sums[8] += product
    return sums


@sum_kernel
def count_row(values, marks, limits):
    """How many pixels of a row, every second one, are background."""
    limit, low, high = limits
    n = np.int32(0)
    for k in range(values.size):
        if marks[k] < limit and values[k] >= low and values[k] <= high and k % STEP == 0:
            n += np.int32(1)
    return n


@kernel
def count_background(image, scores, box, cut, levels):
    """How many pixels of a box would take part in the fit of its plane."""
    n, limits = 0, limit_background(cut, levels)
    for slow in range(box[0], box[2], STEP):
        n += count_row(image[slow, box[1]:box[3]], scores[slow, box[1]:box[3]], limits)
    return n


@kernel
def solve_plane(sums):
    """Slopes along slow and fast and the value at the origin: the normal equations, by the adjugate matrix."""
    n, sp, sq, spp, spq, sqq, si, sip, siq = sums
    c00, c01, c02 = sqq * n - sq * sq, sq * sp - spq * n, spq * sq - sqq * sp
    c11, c12, c22 = spp * n - sp * sp, spq * sp - spp * sq, spp * sqq - spq * spq
    determinant = spp * c00 + spq * c01 + sp * c02
    u = c00 / determinant * sip + c01 / determinant * siq + c02 / determinant * si
    v = c01 / determinant * sip + c11 / determinant * siq + c12 / determinant * si
    w = c02 / determinant * sip + c12 / determinant * siq + c22 / determinant * si
    return u, v, w


@sum_kernel
def sum_row_squares(values, marks, limits, level, slope):
    """Number and squared distances from a line of the background pixels of a row, every second one."""
    limit, low, high = limits
    n, square = 0.0, 0.0
    for k in range(values.size):
        value = values[k]
        if marks[k] < limit and value >= low and value <= high and k % STEP == 0:
            distance = np.float64(value) - level - slope * np.float64(k)
            square += distance * distance
            n += 1.0
    return n, square


@kernel
def measure_spread(image, scores, box, origin, cut, levels, plane):
    """Root mean square distance of the background pixels of a box from its plane."""
    u, v, w = plane
    n, square, limits = 0.0, 0.0, limit_background(cut, levels)
    for slow in range(box[0], box[2], STEP):
        level = u * (slow - origin[0]) + v * (box[1] - origin[1]) + w
        more, squares = sum_row_squares(image[slow, box[1]:box[3]], scores[slow, box[1]:box[3]], limits, level, v)
        n += more
        square += squares
    spread = np.sqrt(square / n)
    return measure_flat_spread(image, scores, box, origin, limits, plane) if spread < FLAT else spread


@kernel
def measure_flat_spread(image, scores, box, origin, limits, plane):
    """The same with Spotfinder's order of additions: of a flat background the spread is nothing but their rounding."""
    u, v, w = plane
    limit, low, high = limits
    n, square = 0, 0.0
    for slow in range(box[0], box[2], STEP):
        p = slow - origin[0]
        for fast in range(box[1], box[3], STEP):
            value = image[slow, fast]
            if scores[slow, fast] < limit and value >= low and value <= high:
                distance = value - u * p - v * (fast - origin[1]) - w
                square += distance * distance
                n += 1
    return np.sqrt(square / n)


@kernel
def widen_box(box, grown, shape):
    """A larger box for a plane that lacks background: by a third of the shorter side on each side, inside the image."""
    more = min(box[2] - box[0], box[3] - box[1]) // 3
    height, width = grown[2] - grown[0] + 2 * more, grown[3] - grown[1] + 2 * more
    slow, fast = min(max(0, grown[0] - more), shape[0] - height), min(max(0, grown[1] - more), shape[1] - width)
    return np.array([slow, fast, slow + height, fast + width])


@kernel
def score_box(image, scores, box, cut, levels):
    """Score the pixels of one box; False where no box about it holds enough background."""
    fewest = (box[2] - box[0]) * (box[3] - box[1]) * 2 // 3 // (STEP * STEP)
    used = box.copy()
    while count_background(image, scores, used, cut, levels) < fewest:
        used = widen_box(box, used, image.shape)
        if used[2] - used[0] > WIDEST or used[0] < 0 or used[1] < 0:
            return False
    sums = sum_background(image, scores, used, box, cut, levels)
    u, v, w = solve_plane(sums)
    spread = measure_spread(image, scores, used, box, cut, levels, (u, v, w))
    # a flat box scores 0 everywhere
    factor = 0.0 if spread <= 0 else 1.0 / spread
    for slow in range(box[0], box[2]):
        values, marks, along = image[slow, box[1]:box[3]], scores[slow, box[1]:box[3]], u * (slow - box[0])
        for q in range(values.size):
            marks[q] = (values[q] - (along + v * q + w)) * factor
    return True


@kernel
def score_pixels(image, boxes, n_boxes, cuts, levels, scores):
    """Score all pixels in several passes, each over its own boxes; scores of one pick the background of the next.

    Parameters
    ----------
    image : int32 (slow, fast)
    boxes : int64 (n, 4), boxes of all passes one after the other: slow0, fast0, slow1, fast1, ends excluded
    n_boxes : int64 (passes,), how many belong to each
    cuts : float64 (passes,), scores below these are background; levels : Levels
    scores : float32 (slow, fast), set here; 0 at first, and afterwards where there is no box

    Returns
    -------
    bool : whether all boxes could be scored
    """
    at = 0
    for number in range(n_boxes.size):
        for _ in range(n_boxes[number]):
            if not score_box(image, scores, boxes[at], cuts[number], levels):
                return False
            at += 1
    return True


@kernel
def clear_boxes(scores, boxes):
    """Set the scores of all boxes to 0."""
    for k in range(boxes.shape[0]):
        scores[boxes[k, 0]:boxes[k, 2], boxes[k, 1]:boxes[k, 3]] = 0.0


@kernel
def count_ring_scores(scores, rings, counts, area, cut, below):
    """Add to `counts` of each ring about the beam its pixels that are scored below a cut, or those that are not.

    Parameters
    ----------
    scores : float32 (slow, fast)
    rings : int32 (slow, fast), twice a ring's number, and 1 more for pixels exactly on its inner edge
    counts : int64 (rings,), pixels of further rings are not counted
    area : int64 (4,), slow0, fast0, slow1, fast1, ends excluded
    cut : float64; below : bool, which of both are counted
    """
    for slow in range(area[0], area[2]):
        for fast in range(area[1], area[3]):
            # few are counted: the ring of the others need not be looked up
            if (scores[slow, fast] < cut) == below:
                ring = rings[slow, fast] >> 1
                if ring < counts.size:
                    counts[ring] += 1
