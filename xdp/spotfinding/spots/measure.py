"""What is measured on a spot: bounding box, shoebox, centroid, summed intensity, as DIALS' strong.refl has them.

The centroid is the mean of the pixels' centres weighted by their counts, its variance the unbiased weighted variance
over the counts, plus 1/12 pixel² for the pixel's own width. The background is not known yet and not subtracted. Sums of
counts are single precision, as DIALS' are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.spotfinding.spots import _kernels_measure as kernels
from xdp.spotfinding.spots.label import Pixels, count_component_pixels

PIXEL_VARIANCE = 1.0 / 12.0
"""Variance of a position known to lie in one pixel, uniformly: added to each centroid's variance (pixel²)."""


class Measurement(NamedTuple):
    """Spots in order of their first pixels, and what was left out."""

    table: ReflectionTable
    """DIALS' columns; ``id`` is 0 throughout."""
    first: np.ndarray
    """int64 (n,): index of each spot's first pixel in the list; sort by that pixel for the canonical order."""
    n_too_small: int
    n_too_large: int


def measure_spots(pixels: Pixels, labels: np.ndarray, *, min_size: int = 1, max_size: int | None = None,
                  saturation: np.ndarray | None = None) -> Measurement:
    """Measure each labelled component of a list of strong pixels.

    Parameters
    ----------
    pixels : strong pixels in canonical order
    labels : (n,) integers, from :func:`~xdp.spotfinding.spots.label.label_pixels`
    min_size, max_size : spots with fewer or more pixels are left out
    saturation : (n_panels,) float64, largest counts that are not overloaded; None for no limit

    Returns
    -------
    Measurement
        With columns bbox, flags, id, intensity.sum.value, intensity.sum.variance, n_signal, panel, shoebox,
        xyzobs.px.value, xyzobs.px.variance (fast, slow in pixels; frame).
    """
    labels, n, small, large = _number_by_size(labels, min_size, max_size)
    # DIALS' shoeboxes and sums are single precision: the same numbers only so
    value = pixels.value.astype(np.float32)
    panel, bbox, first = np.zeros(n, np.int64), np.zeros((n, 6), np.int32), np.full(n, -1, np.int64)
    kernels.measure_boxes(labels, *pixels[:4], panel, bbox, first)
    total, square, count = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.int32)
    kernels.sum_pixels(labels, value, total, square, count)
    position, variance = _centroids(pixels, labels, value, bbox, total, square)
    boxes = _shoeboxes(pixels, labels, value, panel, bbox)
    flags = np.full(n, Flag.STRONG, np.uint64)
    if saturation is not None:
        overloaded = np.zeros(n, bool)
        kernels.mark_overloads(labels, pixels.panel, value, np.asarray(saturation, np.float64), overloaded, count)
        flags[overloaded] |= np.uint64(Flag.OVERLOADED)
        # only corrected counts come here: of raw ones the trusted range has masked these pixels before
        _invalidate_overloads(boxes, saturation)
    intensity = total.astype(np.float64)
    table = ReflectionTable({
        "bbox": bbox, "flags": flags, "id": np.zeros(n, np.int32), "intensity.sum.value": intensity,
        "intensity.sum.variance": np.abs(intensity), "n_signal": count, "panel": panel.astype(np.uint64),
        "shoebox": boxes, "xyzobs.px.value": position, "xyzobs.px.variance": variance})
    return Measurement(table, first, small, large)


def find_peak_positions(boxes: Shoeboxes) -> np.ndarray:
    """Find the pixel with the highest counts in each shoebox; of equal ones the first.

    Parameters
    ----------
    boxes : Shoeboxes

    Returns
    -------
    (n, 3) float64
        Its centre: fast and slow in pixels, frame.
    """
    offset = np.empty(len(boxes), np.int64)
    kernels.peak_offsets(boxes.offsets, boxes.data, offset)
    width = (boxes.bbox[:, 1] - boxes.bbox[:, 0]).astype(np.int64)
    height = (boxes.bbox[:, 3] - boxes.bbox[:, 2]).astype(np.int64)
    rows, x = np.divmod(offset, width)
    z, y = np.divmod(rows, height)
    return boxes.bbox[:, ::2] + np.stack([x, y, z], axis=1) + 0.5


def _number_by_size(labels, min_size, max_size) -> tuple[np.ndarray, int, int, int]:
    """Labels counted anew over the spots of the wanted sizes (-1 for the rest), their number, and what was left out."""
    sizes = count_component_pixels(labels)
    small = sizes < min_size
    large = sizes > max_size if max_size is not None else np.zeros_like(small)
    kept = ~(small | large)
    renumbered = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    return renumbered[labels], int(kept.sum()), int(small.sum()), int(large.sum())


def _centroids(pixels, labels, value, bbox, total, square) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) and variances (n, 3) of the spots' centroids: fast, slow, frame."""
    total, square = total.astype(np.float64), square.astype(np.float64)
    mean, moment = np.zeros((len(total), 3)), np.zeros((len(total), 3))
    kernels.sum_moments(labels, pixels.frame, pixels.slow, pixels.fast, value, bbox, total, mean, moment)
    low, high = bbox[:, ::2], bbox[:, 1::2]
    is_positive = total > 0
    position = np.where(is_positive[:, None], mean + low, (low + high) / 2.0)
    one_frame = bbox[:, 5] == bbox[:, 4] + 1
    # exactly the middle: a weighted mean of equal numbers may miss it by its last bit
    position[one_frame, 2] = bbox[one_frame, 4] + 0.5
    # of one pixel, or of weights that cancel, there is no scatter: only the pixel's own width remains
    known = is_positive & (total**2 > square)
    variance = np.where(is_positive[:, None], np.full((1, 3), PIXEL_VARIANCE), 0.0)
    scale, norm = total[known, None], (total**2 - square)[known, None]
    variance[known] = moment[known] * scale / norm / scale + PIXEL_VARIANCE
    return position, variance


def _shoeboxes(pixels, labels, value, panel, bbox) -> Shoeboxes:
    """Shoeboxes with only the strong pixels filled in."""
    extent = (bbox[:, 1::2] - bbox[:, ::2]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(extent.prod(axis=1))]).astype(np.int64)
    data, mask = np.zeros(offsets[-1], np.float32), np.zeros(offsets[-1], np.uint8)
    kernels.fill_boxes(labels, pixels.frame, pixels.slow, pixels.fast, value, bbox, offsets, data, mask)
    return Shoeboxes(panel, bbox, offsets, data, mask)


def _invalidate_overloads(boxes: Shoeboxes, saturation: np.ndarray) -> None:
    """Take the valid bit off pixels above their panel's saturation."""
    limit = np.repeat(np.asarray(saturation, np.float64)[boxes.panel.astype(np.int64)], np.diff(boxes.offsets))
    boxes.mask[boxes.data > limit] &= np.uint8(~MaskCode.VALID & 0xFF)
