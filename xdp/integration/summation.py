r"""Intensities by summation, centroids, and flags that describe the pixels they were made from.

With counts :math:`c_i` and background :math:`b_i` of the foreground's pixels, and :math:`B = \sum b_i`,

.. math::

    I = \sum_i c_i - B, \qquad \operatorname{var}(I) = |I| + |B| \left(1 + \frac{n_\text{fg}}{n_\text{bg}}\right)

The first term is the variance of the reflection's own counts, the second that of the background: of its counts beneath
the reflection, and of their estimate from :math:`n_\text{bg}` pixels. Summation fails where a pixel of the foreground
is not valid or belongs to a neighbour, or where there is no foreground.

References
----------
A. G. W. Leslie, Acta Cryst. D55, 1696 (1999), doi:10.1107/S090744499900846X, on summation and its variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.integration._kernels_sum import sum_boxes
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes


@dataclass(frozen=True)
class Sums:
    """What :func:`sum_intensities` found.

    Attributes
    ----------
    columns : dict of str to array
        DIALS' columns ``intensity.sum.*``, ``background.sum.*``, ``num_pixels.*``, ``xyzobs.px.*``.
    flags : (n,) uint64
        Bits to be set: INTEGRATED_SUM or FAILED_DURING_SUMMATION, OVERLOADED, and those of bad pixels.
    valid_fraction : (n,) float64
        The part of the foreground that is valid; 0 without foreground.
    """

    columns: dict[str, np.ndarray]
    flags: np.ndarray
    valid_fraction: np.ndarray


def sum_intensities(boxes: Shoeboxes) -> Sums:
    """Sum shoeboxes whose masks and backgrounds are complete.

    Parameters
    ----------
    boxes : Shoeboxes
        With bits VALID, FOREGROUND, BACKGROUND, BACKGROUND_USED and OVERLAPPED.

    Returns
    -------
    Sums
        Intensities in counts, variances in counts², centroids in px, px, frames.
    """
    n = len(boxes)
    counts, sums, centres = np.empty((n, 8), np.int64), np.empty((n, 2)), np.zeros((n, 6))
    sum_boxes(boxes.bbox, boxes.offsets, boxes.data, boxes.mask, boxes.background, counts, sums, centres)
    valid, valid_bg, used, valid_fg, n_fg, n_bg, summed, overloaded = counts.T
    intensity = sums[:, 0] - sums[:, 1]
    # Leslie's n_fg / n_bg: the background's own error counts for each pixel that it is taken from.
    ratio = np.divide(summed, used, out=np.zeros(n), where=used > 0)
    # a background below zero has a variance all the same
    beneath = np.abs(sums[:, 1]) * (1.0 + ratio)
    position, variance = _compute_centroids(boxes.bbox, centres)
    columns = {
        "intensity.sum.value": intensity, "intensity.sum.variance": np.abs(intensity) + beneath,
        "background.sum.value": sums[:, 1], "background.sum.variance": beneath,
        "xyzobs.px.value": position, "xyzobs.px.variance": variance,
        "num_pixels.valid": valid.astype(np.int32), "num_pixels.background": valid_bg.astype(np.int32),
        "num_pixels.background_used": used.astype(np.int32), "num_pixels.foreground": valid_fg.astype(np.int32),
    }
    # DIALS fails a reflection for a single missing pixel: the sum of the others says nothing of the whole.
    is_whole = (summed == n_fg) & (n_fg > 0)
    flags = np.where(is_whole, np.uint64(Flag.INTEGRATED_SUM), np.uint64(Flag.FAILED_DURING_SUMMATION))
    for which, flag in ((overloaded > 0, Flag.OVERLOADED), (valid_fg < n_fg, Flag.FOREGROUND_INCLUDES_BAD_PIXELS),
                        (valid_bg < n_bg, Flag.BACKGROUND_INCLUDES_BAD_PIXELS)):
        flags[which] |= np.uint64(flag)
    return Sums(columns, flags, np.divide(valid_fg, n_fg, out=np.zeros(n), where=n_fg > 0))


def _compute_centroids(bbox: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centroids on the detector and their variances; of boxes without signal the middle, with variance 0.

    To the variance of the mean 1/12 is added, that of a position within a pixel, as DIALS does for weights that suit
    refinement.
    """
    # the kernel says -1 where fewer than two pixels are above their background
    has_none = centres[:, 0] < 0.0
    position = centres[:, :3] + bbox[:, ::2]
    position[has_none] = 0.5 * (bbox[has_none, ::2] + bbox[has_none, 1::2])
    variance = centres[:, 3:] + 1.0 / 12.0
    variance[has_none] = 0.0
    return position, variance
