"""The second half of the extended dispersion threshold: peaks against the background around them, pixel by pixel.

Over-dispersed pixels are few, so this works on their list: it is eroded, as one bit a pixel, and only for what is left
is the mean of the background pixels in the wider window formed. Sums down the columns of that window are kept for
blocks of columns: runs of peak pixels in the next row, and others in the same one, find them there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel
from xdp.spotfinding.threshold._kernels_formula import is_above_background

WIDER = 2
"""The window of the background reaches this many pixels further on each side than the first one, as DIALS' does."""
BLOCK = 16
"""Columns whose sums are formed together: a loop of fixed length is several times faster than one of about this."""


class MarkedFrame(NamedTuple):
    """A frame whose peak pixels are marked.

    Attributes
    ----------
    raw : (slow, fast) integers
    valid : (slow, padded fast) uint8
        1 for pixels that may be used.
    marks : (slow, fast) uint8
        1 for peak pixels.
    limits : RawLimits
        Raw values that may be used.
    """

    raw: np.ndarray
    valid: np.ndarray
    marks: np.ndarray
    limits: tuple


class ColumnSums(NamedTuple):
    """Background pixels in each column of a window's rows.

    Attributes
    ----------
    number, total : (fast,) int32
        How many there are, and the sum of their counts.
    done : (fast,) int64
        For each block of columns the row for which these stand; -2 for none yet.
    """

    number: np.ndarray
    total: np.ndarray
    done: np.ndarray


@kernel
def erode_bits(index, shape, radius):
    """Pixels that have no pixel outside the list within `radius` rows and columns; the edges do not count.

    Returns
    -------
    bits : uint64 (slow, words), 64 pixels of a row in each word, the lowest bit first
    """
    height, width = shape
    bits, six = np.zeros((height, (width + 63) // 64), np.uint64), np.int64(6)
    row, start = 0, np.int64(0)  # indices rise, so that no division is needed
    for k in range(index.size):
        while index[k] >= start + width:
            start += width
            row += 1
        column = index[k] - start
        bits[row, column >> six] |= np.uint64(1) << np.uint64(column & 63)
    # a square is eroded along rows, then along columns: 4 radius steps instead of (2 radius + 1)²
    across, out = np.zeros_like(bits), np.zeros_like(bits)
    for row in range(height):
        erode_row(bits[row], width, radius, across[row])
    for row in range(height):
        out[row] = across[row]
        for near in range(max(0, row - radius), min(height, row + radius + 1)):
            if near != row:
                for word in range(out.shape[1]):
                    out[row, word] &= across[near, word]
    return out


@kernel
def erode_row(bits, width, radius, out):
    """`bits` of a row where all bits within `radius` (up to 63) are set; beyond the edges they are."""
    ones, last = ~np.uint64(0), bits.size - 1
    beyond = ones << np.uint64(width & 63) if width & 63 else np.uint64(0)
    for word in range(bits.size):
        here = bits[word]
        # rows are nearly empty: most words end here
        if here == 0:
            continue
        here |= beyond if word == last else np.uint64(0)
        before = bits[word - 1] if word > 0 else ones
        # beyond the last column all is set: edges do not erode
        after = ones
        if word < last:
            after = bits[word + 1] | (beyond if word + 1 == last else np.uint64(0))
        kept = here
        for k in range(1, radius + 1):
            up, down = np.uint64(k), np.uint64(64 - k)
            kept &= ((here << up) | (before >> down)) & ((here >> up) | (after << down))
        out[word] = kept & ~beyond if word == last else kept


@kernel
def list_peak_runs(index, bits, marks, first, size):
    """Runs of pixels of the list whose bit is set: flat indices of their first pixels and lengths; marked with 1."""
    width, flat = marks.shape[1], marks.reshape(marks.size)
    n, row, start, six, end = 0, 0, np.int64(0), np.int64(6), np.int64(-1)
    for k in range(index.size):
        at = index[k]
        while at >= start + width:
            start += width
            row += 1
            end = np.int64(-1)
        column = at - start
        if (bits[row, column >> six] >> np.uint64(column & 63)) & np.uint64(1) == 0:
            continue
        if at != end:
            first[n], size[n] = at, 0
            n += 1
        size[n - 1] += 1
        flat[at] = 1
        end = at + 1
    return n


@kernel
def is_background(value, allowed, mark, lowest, highest):
    """Whether a pixel is summed: trusted, and no peak."""
    return (allowed != 0) & (mark == 0) & (value >= lowest) & (value <= highest)


@kernel
def sum_background_columns(frame, row, half, first, last, sums):
    """Bring the sums of the columns from first to last to the window rows around `row`.

    From the row before they are brought up to date by taking a row away and adding one; else they are formed anew.
    """
    raw, valid, marks, limits = frame
    number, total, done = sums
    (height, width), lowest, highest = raw.shape, limits.lowest_summed, limits.highest_summed
    for block in range(first // BLOCK, (last - 1) // BLOCK + 1):
        is_next, begin = done[block] == row - 1, BLOCK * block
        # a run before this one in the same row has seen to it
        if done[block] == row:
            continue
        done[block] = row
        if not is_next:
            number[begin:begin + BLOCK] = 0
            total[begin:begin + BLOCK] = 0
        for k in range(2 if is_next else 2 * half + 1):
            near = row - half + k if not is_next else row + half if k else row - half - 1
            sign = np.int32(-1) if is_next and k == 0 else np.int32(1)
            if near < 0 or near >= height:
                continue
            if begin + BLOCK <= width:  # slices of fixed length, for the compiler's sake
                part = slice(begin, begin + BLOCK)
                values, allowed, mark = raw[near, part], valid[near, part], marks[near, part]
                count, value = number[part], total[part]
                for c in range(BLOCK):
                    ok = is_background(values[c], allowed[c], mark[c], lowest, highest)
                    count[c] += sign * np.int32(ok)
                    value[c] += sign * (np.int32(values[c]) if ok else np.int32(0))
                continue
            for c in range(begin, width):
                if is_background(raw[near, c], valid[near, c], marks[near, c], lowest, highest):
                    number[c] += sign
                    total[c] += sign * np.int32(raw[near, c])


@kernel
def append_strong_pixels(raw, row, first, last, half, sums, rules, out, n_out):
    """Append the strong pixels of a run of peak pixels to `out`; give how many that then holds.

    The window slides along the run: m and x gain a column on the right and lose one on the left.
    """
    width = raw.shape[1]
    number, total, _ = sums
    m, x, left, right = np.int64(0), np.int64(0), max(0, first - half), max(0, first - half)
    for i in range(first, last):
        while right < min(width, i + half + 1):
            m, x, right = m + number[right], x + total[right], right + 1
        while left < i - half:
            m, x, left = m - number[left], x - total[left], left + 1
        value = float(raw[row, i])
        if x >= 0 and value > rules.threshold and is_above_background(value, m, float(x), rules):
            out[n_out] = row * width + i
            n_out += 1
    return n_out


@kernel
def select_strong_peaks(frame, half, rules, index):
    """Those of the over-dispersed pixels `index` that are strong against their background; `index` is overwritten.

    Parameters
    ----------
    frame : MarkedFrame, whose marks are all 0, and all 0 again on return
    half : (2,) int64, half widths of the first window; rules : Rules
    index : (n,) int64 flat indices in order

    Returns
    -------
    int : how many pixels are strong; `index` begins with them
    """
    raw, marks = frame.raw, frame.marks
    width, reach = raw.shape[1], half + WIDER
    first, size = np.empty(index.size, np.int64), np.empty(index.size, np.int64)
    n_runs = list_peak_runs(index, erode_bits(index, raw.shape, min(half[0], half[1]) - 1), marks, first, size)
    sums = ColumnSums(np.zeros(width, np.int32), np.zeros(width, np.int32), np.full(width, -2, np.int64))
    n_out, row, start = 0, np.int64(0), np.int64(0)
    for k in range(n_runs):
        while first[k] >= start + width:
            start += width
            row += 1
        begin = first[k] - start
        end = begin + size[k]
        sum_background_columns(frame, row, reach[0], max(0, begin - reach[1]), min(width, end + reach[1]), sums)
        n_out = append_strong_pixels(raw, row, begin, end, reach[1], sums, rules, index, n_out)
    # only what was marked is unmarked: the marks of a whole frame would take longer to clear than all of this
    flat = marks.reshape(marks.size)
    for k in range(n_runs):
        flat[first[k]:first[k] + size[k]] = 0
    return n_out
