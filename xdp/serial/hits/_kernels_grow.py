"""The kernels of the Spotfinder recipe that make spots of scored pixels: peaks, and connected pixels about them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

COLUMN_BITS = 24
"""Bits of a packed pixel that hold its column: far more than any image has."""
NEIGHBOURS = np.array([[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]], np.int64)
"""Steps to the neighbours, in the order in which they are put on the stack: it decides which of two equal peaks of a
spot is named."""


@kernel
def mark_row(values, marks, levels, flags):
    """Mark the pixels of a row that may be peaks: scored as a spot, or overloaded."""
    for k in range(values.size):
        flags[k] = (marks[k] > levels.spot_score) | (values[k] >= levels.overload)


@kernel
def is_peak(image, scores, slow, fast, levels):
    """Whether a pixel is not below any of its neighbours, of which enough have a spot's score."""
    value = image[slow, fast]
    for i in range(slow - 1, slow + 2):
        for j in range(fast - 1, fast + 2):
            if image[i, j] > value:
                return False
    # the pixel itself has a spot's score, too
    good = -1
    for i in range(slow - 1, slow + 2):
        for j in range(fast - 1, fast + 2):
            good += scores[i, j] > levels.spot_score
    return good >= levels.n_neighbours


@kernel
def list_peaks(image, scores, levels):
    """Flat indices of the peaks in order; overloaded pixels are peaks whatever their score."""
    width = image.shape[1]
    # a pixel at the edge has not all its neighbours
    begin, end = max(levels.first[1] + 1, 1), min(levels.last[1], width - 1)
    out, n = np.empty(256, np.int64), 0
    flags = np.zeros((max(end - begin, 0) + 7) // 8 * 8, np.uint8)
    eights = flags.view(np.uint64)
    for slow in range(max(levels.first[0] + 1, 1), min(levels.last[0], image.shape[0] - 1)):
        mark_row(image[slow, begin:end], scores[slow, begin:end], levels, flags)
        for eight in range(eights.size):
            # hardly any pixel is marked: eight are looked at together
            if eights[eight] == 0:
                continue
            for fast in range(begin + 8 * eight, min(begin + 8 * eight + 8, end)):
                value = image[slow, fast]
                found = value >= levels.overload
                if not found and scores[slow, fast] > levels.spot_score and value > levels.underload:
                    found = is_peak(image, scores, slow, fast, levels)
                if found:
                    if n == out.size:
                        out = double(out)
                    out[n] = slow * width + fast
                    n += 1
    return out[:n]


@kernel
def double(values):
    """A copy with room for twice as many."""
    larger = np.empty(2 * values.size, values.dtype)
    larger[:values.size] = values
    return larger


class GrownSpots(NamedTuple):
    """Spots as they were grown from peaks; one row a spot, none rejected.

    Attributes
    ----------
    peak : (n,) int64
        Flat index of the highest peak; -1 where the spot has none.
    area : (n,) int64
        Pixels.
    pairs : (n,) int64
        Pairs of pixels that are neighbours (by edge or corner).
    on_ice : (n,) bool
        Whether a pixel at its border lies in an ice ring.
    """

    peak: np.ndarray
    area: np.ndarray
    pairs: np.ndarray
    on_ice: np.ndarray


class SpotMarks(NamedTuple):
    """Marks of pixels while spots are grown: all 0 before and after.

    Attributes
    ----------
    owner : int32 (slow, fast)
        Number of the spot that a pixel belongs to, -1 at the border of one.
    is_listed : uint8 (slow, fast)
        Whether it is a peak.
    """

    owner: np.ndarray
    is_listed: np.ndarray


@kernel
def pack(slow, fast):
    """Row and column of a pixel in one number; they are taken apart again by :func:`unpack` without a division."""
    return (slow << COLUMN_BITS) | fast


@kernel
def unpack(pixel):
    """Row and column of a pixel."""
    return pixel >> COLUMN_BITS, pixel & ((1 << COLUMN_BITS) - 1)


@kernel
def grow_spot(start, image, scores, owner, number, rings, icy, levels, stack, body):
    """Collect the pixels connected to a peak; `owner` gets `number` for them, -1 for pixels at their border.

    Returns
    -------
    area, pixels of the border, whether the border touches ice, and the arrays `stack` and `body`, which may have grown;
    `body` has the spot's pixels first, and those of the border at its end, all packed
    """
    height, width = image.shape
    stack[0], n_stack, n_body, n_border, on_ice = start, 1, 0, 0, False
    while n_stack > 0:
        n_stack -= 1
        slow, fast = unpack(stack[n_stack])
        outside = (slow < levels.first[0] or slow > levels.last[0] or fast < levels.first[1] or fast > levels.last[1])
        if outside or owner[slow, fast] != 0:
            continue
        if n_body + n_border == body.size:
            larger = double(body)
            larger[larger.size - n_border:] = body[body.size - n_border:]
            body = larger
        if not scores[slow, fast] > levels.spot_score:
            # a border pixel belongs to the first spot that reaches it: only that one is tested for ice there
            owner[slow, fast] = -1
            ring = rings[slow, fast]
            on_ice = on_ice or (ring < icy.size and icy[ring])
            n_border += 1
            body[body.size - n_border] = pack(slow, fast)
            continue
        owner[slow, fast] = number
        body[n_body] = pack(slow, fast)
        n_body += 1
        if n_stack + NEIGHBOURS.shape[0] > stack.size:
            stack = double(stack)
        for k in range(NEIGHBOURS.shape[0]):
            i, j = slow + NEIGHBOURS[k, 0], fast + NEIGHBOURS[k, 1]
            # beyond the image's edge: never in the range searched
            if i >= 0 and j >= 0 and i < height and j < width and owner[i, j] == 0:
                stack[n_stack] = pack(i, j)
                n_stack += 1
    return n_body, n_border, on_ice, stack, body


@kernel
def append_all(values, n, more):
    """Values with more of them from place `n` on; a larger array where there is no room."""
    while n + more.size > values.size:
        values = double(values)
    values[n:n + more.size] = more
    return values


@kernel
def count_pairs(body, owner, number):
    """Pairs of a spot's pixels (packed) that touch by an edge or a corner."""
    height, width = owner.shape
    pairs = 0
    for k in range(body.size):
        slow, fast = unpack(body[k])
        # half of the neighbours, so that each pair is met once
        pairs += fast + 1 < width and owner[slow, fast + 1] == number
        if slow + 1 < height:
            pairs += owner[slow + 1, fast] == number
            pairs += fast + 1 < width and owner[slow + 1, fast + 1] == number
            pairs += fast > 0 and owner[slow + 1, fast - 1] == number
    return pairs


@kernel
def find_highest_peak(image, body, is_listed):
    """Flat index of the highest listed peak among a spot's pixels (packed), the first of equal ones; -1 without any."""
    best, top = -1, 0
    for k in range(body.size):
        i, j = unpack(body[k])
        if is_listed[i, j] and (best < 0 or image[i, j] > top):
            best, top = i * image.shape[1] + j, image[i, j]
    return best


@kernel
def grow_spots(image, scores, peaks, rings, icy, levels, marks):
    """Grow a spot about each peak that no earlier spot holds, from the last peak to the first.

    Parameters
    ----------
    image : int32 (slow, fast); scores : float32 (slow, fast)
    peaks : int64 (n,), flat indices in order
    rings : integers (slow, fast), as `count_ring_scores` takes them; icy : bool (n,), which of their values are ice
    levels : Levels; marks : SpotMarks, all 0

    Returns
    -------
    GrownSpots
    """
    width = image.shape[1]
    owner, is_listed = marks
    for k in range(peaks.size):
        is_listed[peaks[k] // width, peaks[k] % width] = 1
    peak, area = np.empty(peaks.size, np.int64), np.empty(peaks.size, np.int64)
    pairs, ice = np.empty(peaks.size, np.int64), np.empty(peaks.size, np.bool_)
    stack, body, n = np.empty(1024, np.int64), np.empty(256, np.int64), 0
    touched, n_touched = np.empty(1024, np.int64), 0
    for k in range(peaks.size - 1, -1, -1):
        slow, fast = peaks[k] // width, peaks[k] % width
        if owner[slow, fast] != 0 or (image[slow, fast] >= levels.overload and not levels.use_overloads):
            continue
        n_body, n_border, on_ice, stack, body = grow_spot(pack(slow, fast), image, scores, owner, n + 1, rings, icy,
                                                          levels, stack, body)
        touched = append_all(touched, n_touched, body[:n_body])
        touched = append_all(touched, n_touched + n_body, body[body.size - n_border:])
        n_touched += n_body + n_border
        peak[n], area[n], ice[n] = find_highest_peak(image, body[:n_body], is_listed), n_body, on_ice
        pairs[n] = count_pairs(body[:n_body], owner, n + 1)
        n += 1
    for k in range(n_touched):
        slow, fast = unpack(touched[k])
        owner[slow, fast] = 0
    for k in range(peaks.size):
        is_listed[peaks[k] // width, peaks[k] % width] = 0
    return GrownSpots(peak[:n], area[:n], pairs[:n], ice[:n])
