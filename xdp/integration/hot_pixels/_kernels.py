"""Kernels of hot and dead pixels: counts summed over frames, pixels that differ from their neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

CAP = 1 << 22
"""Counts above this are summed as this, so that 512 frames fit into uint32."""


class BoxMasks(NamedTuple):
    """Shoeboxes as far as bad pixels are looked for in them.

    Attributes
    ----------
    panel : (n,) uint64
    bbox : (n, 6) int32
        Half-open limits: fast, fast, slow, slow, frame, frame.
    offsets : (n + 1,) int64
        Pixels of box i are ``offsets[i]:offsets[i + 1]``; a box may have none.
    mask : (n_pixels,) uint8
    """

    panel: np.ndarray
    bbox: np.ndarray
    offsets: np.ndarray
    mask: np.ndarray


class BadPlaces(NamedTuple):
    """Bad pixels, panel by panel, sorted by slow.

    Attributes
    ----------
    start : (n_panels + 1,) int64
        Those of panel p are ``start[p]:start[p + 1]``.
    slow, fast : (k,) int64
    """

    start: np.ndarray
    slow: np.ndarray
    fast: np.ndarray


@kernel
def add_counts(image, least, most, sums):
    """Add one image to the sums, what lies beyond two limits as the limits.

    Parameters
    ----------
    image : (slow, fast) of any number type
    least, most : the same type
        0 and `CAP` (or less): as arguments they keep the loop free of conversions to wider types.
    sums : (slow, fast) uint32
        Grows in place.
    """
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            sums[y, x] += np.uint32(max(min(image[y, x], most), least))


@kernel
def count_isolated(sums, valid, ratio, n_sigma, times):
    """Add 1 to `times` where a pixel towers over each of its valid neighbours.

    ``c > ratio * m + n_sigma * sqrt(c + ratio**2 * m)``, m the highest of at least 3 valid ones among the 8 neighbours,
    or 1 where they count less: the excess over `ratio` times m, in standard deviations of counting statistics.

    Parameters
    ----------
    sums : (slow, fast) uint32
    valid : (slow, fast) bool
    ratio, n_sigma : float
    times : (slow, fast) uint8
        Grows in place.
    """
    n_slow, n_fast = sums.shape
    # with m = 1 the excess of a smaller count is less than n_sigma standard deviations: most pixels end here
    least = ratio + n_sigma * n_sigma
    for y in range(n_slow):
        for x in range(n_fast):
            c = np.float64(sums[y, x])
            if c <= least or not valid[y, x]:
                continue
            # one neighbour that is high enough decides, before the others are looked at
            if x > 0 and valid[y, x - 1] and ratio * sums[y, x - 1] >= c:
                continue
            m, n = 1.0, 0
            for v in range(max(y - 1, 0), min(y + 2, n_slow)):
                for u in range(max(x - 1, 0), min(x + 2, n_fast)):
                    if (u != x or v != y) and valid[v, u]:
                        m = max(m, np.float64(sums[v, u]))
                        n += 1
            # at the edge of good pixels too few neighbours are left to judge by
            if n >= 3 and c - ratio * m > n_sigma * np.sqrt(c + ratio * ratio * m):
                times[y, x] += np.uint8(1)


@kernel
def find_low(sums, valid, level, fraction, log_probability, found):
    """Flat indices of pixels that count far less than those around them; how many there are.

    The expected count is a low quantile (0.3) of the valid ones (at least 12) in the 5 x 5 pixels around, which other
    dead pixels, or the straight edge or the corner of a shadow, pull to theirs; and no more than `level`. A count c
    where e are expected has a probability below ``exp(c - e - c log(c / e))`` (Chernoff's bound of Poisson's lower
    tail).

    Parameters
    ----------
    sums : (slow, fast) uint32
    valid : (slow, fast) bool
    level : float
        What a pixel counts at most where there are no reflections. Beside strong ones most of the pixels around may be
        bright, where on a thin background a good pixel counts nothing.
    fraction : float
        A low pixel counts at most this part of what is expected.
    log_probability : float
        And has a lower probability than this.
    found : (k,) int64
        Filled; what goes beyond its end is only counted.
    """
    n_slow, n_fast = sums.shape
    around = np.empty(24, np.float64)
    total = 0
    for y in range(n_slow):
        for x in range(n_fast):
            c = np.float64(sums[y, x])
            # a shortcut: what is not far below the higher of the two beside it needs no sorting
            near = max(sums[y, x - 1] if x > 0 else np.uint32(0), sums[y, x + 1] if x + 1 < n_fast else np.uint32(0))
            if not valid[y, x] or c > fraction * near:
                continue
            n = 0
            for v in range(max(y - 2, 0), min(y + 3, n_slow)):
                for u in range(max(x - 2, 0), min(x + 3, n_fast)):
                    if (u != x or v != y) and valid[v, u]:
                        around[n] = sums[v, u]
                        n += 1
            if n < 12:
                continue
            e = min(np.sort(around[:n])[3 * n // 10], level)
            if c > fraction * e or e <= 0.0:
                continue
            # c log(c / e) tends to 0 with c
            if (c - e - c * np.log(c / e) if c > 0.0 else -e) < log_probability:
                if total < len(found):
                    found[total] = np.int64(y) * n_fast + x
                total += 1
    return total


@kernel
def clear_bad(boxes, bad, keep, touched):
    """Find the boxes that hold bad pixels, and clear bits of the mask of those pixels, on all frames.

    Parameters
    ----------
    boxes : BoxMasks
        Masks are changed in place.
    bad : BadPlaces
    keep : uint8
        Bits that the masks of bad pixels keep.
    touched : (n,) bool
        Set in place for boxes that hold bad pixels.
    """
    bbox, offsets, mask = boxes.bbox, boxes.offsets, boxes.mask
    for i in range(len(boxes.panel)):
        p = np.int64(boxes.panel[i])
        x0, x1, y0, y1 = bbox[i, 0], bbox[i, 1], bbox[i, 2], bbox[i, 3]
        first, last = bad.start[p], bad.start[p + 1]
        k = first + np.searchsorted(bad.slow[first:last], y0)
        while k < last and bad.slow[k] < y1:
            if x0 <= bad.fast[k] < x1:
                touched[i] = True
                at = offsets[i] + (bad.slow[k] - y0) * (x1 - x0) + bad.fast[k] - x0
                while at < offsets[i + 1]:
                    mask[at] &= keep
                    at += (x1 - x0) * (y1 - y0)
            k += 1
