"""Numba kernel that scales a global background model to each shoebox."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.integration.background._kernels_pixels import USED, VALID_BACKGROUND, find_largest
from xdp.kernels import kernel

N_ROUNDS = 10
"""Rounds of reweighting. After ten the scale is within 1e-9 of that after thirty, for 160 pixels of 0.05 to 500 counts
of which 3 % are 300 counts too high."""


class ModelImages(NamedTuple):
    """A global model, panel after panel.

    Attributes
    ----------
    pixels : (n_pixels,) float64
        Panel p begins at ``starts[p]``.
    starts, shapes : (n_panels,), (n_panels, 2) int64
        First pixels; slow and fast size.
    """

    pixels: np.ndarray
    starts: np.ndarray
    shapes: np.ndarray


class ScaledBoxes(NamedTuple):
    """What is found for each box: whether there is none, the mean under used pixels, and the model's factor (n,)."""

    failed: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


@kernel
def fit_gmodel(panel, boxes, images, is_robust, cut, min_pixels, found):
    """Fill the background of boxes with the model times one scale each.

    Used are pixels with bits VALID and BACKGROUND, overlapped ones too. The scale is the ratio of sums; or, robust,
    that of least squares with Huber's weights of residuals beyond `cut`, taken on a square-root scale (`robust_scale`).
    Outside its panels the model is 0.

    Parameters
    ----------
    panel : (n,) int
    boxes : BackgroundPixels
        `background` and `mask` are changed.
    images : ModelImages
    is_robust : bool
    cut : float
        In standard deviations.
    min_pixels : int
        Fewest used pixels of a box.
    found : ScaledBoxes
        Filled.
    """
    bbox, offsets, data, mask, background = boxes
    largest = find_largest(offsets)
    model, counts = np.empty(largest), np.empty(largest)
    for i in range(len(found.failed)):
        first, n = offsets[i], offsets[i + 1] - offsets[i]
        found.scale[i], found.mean[i], found.failed[i] = 0.0, 0.0, True
        p = np.int64(panel[i])
        if n == 0 or p >= len(images.starts):
            continue
        extract(bbox[i], n, images.pixels, images.starts[p], images.shapes[p], model)
        n_used, lowest = 0, 0.0
        sum_model, sum_counts = 0.0, 0.0
        for k in range(n):
            if (mask[first + k] & VALID_BACKGROUND) == VALID_BACKGROUND:
                counts[n_used] = data[first + k]
                lowest = min(lowest, counts[n_used])
                sum_counts += counts[n_used]
                sum_model += model[k]
                n_used += 1
        # Anscombe's transform takes no counts below 0, the ratio of sums does as long as they sum to something.
        if n_used < min_pixels or not sum_model > 0.0 or not sum_counts >= 0.0 or (is_robust and lowest < 0.0):
            continue
        factor = sum_counts / sum_model
        if is_robust:
            factor = robust_scale(model, counts, mask, first, n, cut)
        total = 0.0
        # All pixels get a background, foreground too: that is what is taken off.
        for k in range(n):
            background[first + k] = factor * model[k]
            if (mask[first + k] & VALID_BACKGROUND) == VALID_BACKGROUND:
                mask[first + k] |= USED
                total += np.float64(background[first + k])
        found.scale[i], found.mean[i], found.failed[i] = factor, total / n_used, False


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

    References
    ----------
    F. J. Anscombe, Biometrika 35, 246 (1948), doi:10.1093/biomet/35.3-4.246.
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
        ratio = above / below  # on the square-root scale: it serves for the next weights only
    return top / bottom
