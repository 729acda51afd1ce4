"""Numba kernel that scales a global background model to each shoebox."""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel

VALID_BACKGROUND = np.uint8(3)
USED = np.uint8(16)
N_ROUNDS = 10


@kernel
def fit_gmodel(panel, bbox, offsets, data, mask, background, images, starts, shapes, is_robust, cut, min_pixels,
               failed, mean, scale):
    """Fill the background of boxes with the model times one scale each.

    Used are pixels with bits Valid and Background, overlapped ones too. The scale is the ratio of sums; or, robust,
    that of least squares with Huber's weights of residuals beyond `cut`, taken on a square-root scale (`weigh`).
    Panel p of the model, `shapes[p]` (slow, fast), begins at ``images[starts[p]]``; outside it is 0.
    """
    largest = 1
    for i in range(len(failed)):
        largest = max(largest, offsets[i + 1] - offsets[i])
    model, counts = np.empty(largest), np.empty(largest)
    for i in range(len(failed)):
        first, n = offsets[i], offsets[i + 1] - offsets[i]
        scale[i], mean[i], failed[i] = 0.0, 0.0, True
        p = np.int64(panel[i])
        if n == 0 or p >= len(starts):
            continue
        extract(bbox[i], n, images, starts[p], shapes[p], model)
        n_used, lowest = 0, 0.0
        sum_model, sum_counts = 0.0, 0.0
        for k in range(n):
            if (mask[first + k] & VALID_BACKGROUND) == VALID_BACKGROUND:
                counts[n_used] = data[first + k]
                lowest = min(lowest, counts[n_used])
                sum_counts += counts[n_used]
                sum_model += model[k]
                n_used += 1
        if n_used < min_pixels or not sum_model > 0.0 or not sum_counts >= 0.0 or (is_robust and lowest < 0.0):
            continue
        factor = sum_counts / sum_model
        if is_robust:
            factor = robust_scale(model, counts, mask, first, n, cut)
        total = 0.0
        for k in range(n):
            background[first + k] = factor * model[k]
            if (mask[first + k] & VALID_BACKGROUND) == VALID_BACKGROUND:
                mask[first + k] |= USED
                total += np.float64(background[first + k])
        scale[i], mean[i], failed[i] = factor, total / n_used, False


@kernel
def extract(box, n, images, start, shape, model):
    """Copy the model under a box, the same on each of its frames."""
    k = 0
    while k < n:
        for y in range(box[2], box[3]):
            for x in range(box[0], box[1]):
                is_inside = 0 <= y < shape[0] and 0 <= x < shape[1]
                model[k] = images[start + y * shape[1] + x] if is_inside else 0.0
                k += 1


@kernel
def robust_scale(model, counts, mask, first, n, cut):
    """The scale of `model` to `counts` by least squares, with weights that stop at residuals of `cut`.

    The weights come from ten rounds of the same fit after Anscombe's transform 2 sqrt(x + 3/8), which gives Poisson
    counts unit variance.
    """
    ratio, top, bottom = 1.0, 0.0, 1.0
    for _ in range(N_ROUNDS):
        above, below, top, bottom = 0.0, 0.0, 0.0, 0.0
        j = 0
        for k in range(n):
            if (mask[first + k] & VALID_BACKGROUND) != VALID_BACKGROUND:
                continue
            x, y = 2.0 * math.sqrt(model[k] + 0.375), 2.0 * math.sqrt(counts[j] + 0.375)
            residual = abs(y - ratio * x)
            weight = cut / residual if residual > cut else 1.0
            above += x * weight * y
            below += x * weight * x
            top += model[k] * weight * counts[j]
            bottom += model[k] * weight * model[k]
            j += 1
        ratio = above / below
    return top / bottom
