"""Numba kernel for backgrounds that are the exponential of a plane, by a robust Poisson GLM."""

from __future__ import annotations

import math

import numpy as np

from xdp.integration.background._kernels_linear import solve
from xdp.integration.background._kernels_pixels import USED, Slab, find_largest, is_usable
from xdp.integration.background._kernels_poisson import (
    LARGEST_EXPONENT,
    LARGEST_MEAN,
    MOST_STEPS,
    TOLERANCE,
    poisson_expectations,
)
from xdp.kernels import kernel


@kernel
def fit_loglinear(boxes, per_frame, tuning, min_pixels, failed, mean):
    """Fill the background of boxes with exp(b0 + b1 y + b2 x) a frame, or exp(b0 + b1 z + b2 y + b3 x) a box.

    A frame's y and x are those of pixel centres; a box's z, y, x those of corners, as in DIALS. Arguments, which pixels
    are used and what fails are as in `fit_constant`; pixels must differ in y and in x too. A box whose usable pixels
    lie on one frame has no term in z, and then y and x of centres.
    """
    largest = find_largest(boxes.offsets)
    counts, design = np.empty(largest), np.ones((largest, 4))
    beta, score, normal = np.empty(4), np.empty(4), np.empty((4, 4))
    for i in range(len(failed)):
        box = boxes.bbox[i]
        width, height = np.int64(box[1] - box[0]), np.int64(box[3] - box[2])
        n_par, depth = (3, 1) if per_frame else (4, np.int64(box[5] - box[4]))
        first, end = boxes.offsets[i], boxes.offsets[i + 1]
        is_good = end > first
        total, n_used = 0.0, 0
        while is_good and first < end:
            slab = Slab(first, width, height, depth)
            n_terms = n_par
            n = collect(boxes.data, boxes.mask, slab, n_terms, counts, design)
            # Pixels of one frame say nothing of a slope from frame to frame: its term is left out.
            if n_terms == 4 and n > 0 and not varies(design, n, 1):
                n_terms = 3
                n = collect(boxes.data, boxes.mask, slab, n_terms, counts, design)
            is_good = n >= min_pixels and n > 0 and is_spread(design, n, n_terms)
            is_good = is_good and regress(counts, design, n, n_terms, tuning, beta, score, normal)
            if is_good:
                total += fill(boxes.mask, boxes.background, slab, n_terms, beta)
                n_used += n
            first += width * height * depth
        failed[i] = not is_good
        mean[i] = total / n_used if n_used > 0 else 0.0


@kernel
def collect(data, mask, slab, n_par, counts, design):
    """Copy the usable counts and their coordinates; returns their number, or -1 if one is negative."""
    shift = 0.5 if n_par == 3 else 0.0
    k, n = slab.first, 0
    for z in range(slab.depth):
        for y in range(slab.height):
            for x in range(slab.width):
                if is_usable(mask[k]):
                    # Poisson counts are never below 0; the logarithm of such a mean does not exist.
                    if not data[k] >= 0.0:
                        return -1
                    counts[n] = data[k]
                    # Columns are 1, (z), y, x: the last two are the same for frames and boxes.
                    design[n, n_par - 1] = x + shift
                    design[n, n_par - 2] = y + shift
                    if n_par == 4:
                        design[n, 1] = z
                    n += 1
                k += 1
    return n


@kernel
def is_spread(design, n, n_par):
    """Whether each coordinate takes more than one value."""
    n_varying = 0
    for j in range(1, n_par):
        n_varying += varies(design, n, j)
    return n_varying == n_par - 1


@kernel
def varies(design, n, column):
    """Whether a coordinate takes more than one value among `n` pixels."""
    i = 1
    while i < n and design[i, column] == design[0, column]:
        i += 1
    return i < n


@kernel
def regress(counts, design, n, n_par, tuning, beta, score, normal):
    """Robust quasi-likelihood estimate of a log-linear Poisson model (Cantoni and Ronchetti 2001); False if it fails.

    Scoring steps from the logarithm of the median: ``beta += (X' B X)^-1 X' q`` with ``q = (psi - E psi) s`` and
    ``B = E psi score * mean * s``, until a step is shorter than a thousandth of beta.
    """
    # The median is where no outlier can have moved the start; 0 has no logarithm, and 1 is as good as any then.
    middle = np.partition(counts[:n], n // 2)[n // 2]
    beta[:] = 0.0
    beta[0] = math.log(middle) if middle > 0.0 else 0.0
    for _ in range(MOST_STEPS):
        score[:] = 0.0
        normal[:] = 0.0
        for i in range(n):
            eta = 0.0
            for j in range(n_par):
                eta += design[i, j] * beta[j]
            mean = math.exp(eta)
            if not 0.0 < mean < LARGEST_MEAN:  # the steps have run away, as they may on hardly any counts
                return False
            sigma = math.sqrt(mean)
            expected, slope = poisson_expectations(mean, tuning)
            q = (min(max((counts[i] - mean) / sigma, -tuning), tuning) - expected) * sigma
            weight = slope * mean * sigma  # an element of the diagonal matrix B
            for j in range(n_par):
                score[j] += q * design[i, j]
                for k in range(n_par):
                    normal[j, k] += weight * design[i, j] * design[i, k]
        if not solve(normal, score, n_par):
            return False
        # The length of beta is that before the step, as in DIALS.
        moved, length = 0.0, 0.0
        for j in range(n_par):
            moved += score[j] * score[j]
            length += beta[j] * beta[j]
            beta[j] += score[j]
        if math.sqrt(moved / max(length, 1e-10)) < TOLERANCE:
            return np.max(np.abs(beta[:n_par])) < LARGEST_EXPONENT
    return False


@kernel
def fill(mask, background, slab, n_par, beta):
    """Write the fitted background, mark the used pixels; returns the sum of the background under them."""
    shift = 0.5 if n_par == 3 else 0.0
    along = beta[1] if n_par == 4 else 0.0
    k, total = slab.first, 0.0
    for z in range(slab.depth):
        for y in range(slab.height):
            for x in range(slab.width):
                eta = beta[0] + along * z + beta[n_par - 2] * (y + shift) + beta[n_par - 1] * (x + shift)
                background[k] = np.float32(math.exp(eta))
                if is_usable(mask[k]):
                    mask[k] |= USED
                    total += np.float64(background[k])
                k += 1
    return total
