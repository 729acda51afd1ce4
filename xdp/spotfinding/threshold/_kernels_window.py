"""Sums over windows of an image row by row: what both dispersion thresholds are made of.

Rows run through a ring as tall as the window. Sums down the columns are kept up to date by one addition and one
subtraction a pixel, in exact integers; a row's window sums are then sums of neighbouring columns. How many pixels of a
window are valid depends on the mask alone, so it is counted once a mask; only where a frame has pixels outside the
trusted range is it counted anew, for the rows that see them. Rows of bytes are `PAD`-ed to whole 64-byte lines, so that
they can be tested eight pixels at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

PAD = 64
"""Bytes of a cache line: rows of masks are padded to whole lines, and tested eight bytes at a time."""

MARGIN = np.float32(1.0 + 1e-5)
"""Covers the rounding of the single-precision tests, about 1e-6; what lies within it is tested in full."""


class RawLimits(NamedTuple):
    """Raw values that may be used, all of the image's own type, ends included.

    Attributes
    ----------
    lowest, highest : int
        The trusted range: what lies outside is as if masked.
    lowest_summed, highest_summed : int
        Values beyond these are not summed, since the sum of a window would not fit 32 bits.
    """

    lowest: int
    lowest_summed: int
    highest_summed: int
    highest: int


@kernel
def sum_columns(column, half, out):
    """Sums of 2 half + 1 neighbouring columns; column i of the image stands at i + half, zeros around."""
    for i in range(out.size):
        out[i] = column[i]
    # pass after pass over the row: each is a plain addition of arrays, several numbers at a time
    for k in range(1, 2 * half + 1):
        shifted = column[k:]
        for i in range(out.size):
            out[i] += shifted[i]


@kernel
def count_row(rows, half, column, out):
    """Number of set pixels in each window of the image row whose window rows are `rows` (n, width), bytes 0 or 1."""
    inner = column[half:half + out.size]
    inner[:] = 0
    for r in range(rows.shape[0]):
        row = rows[r]
        for i in range(out.size):
            inner[i] += row[i]
    sum_columns(column, half, out)


@kernel
def count_windows(valid, half, out):
    """Number of valid pixels in the window of each pixel; `valid` and `out` are uint8 (slow, padded fast)."""
    height, width = valid.shape
    column = np.zeros(width + 2 * half[1], np.uint8)
    for j in range(height):
        # the mask changes little from row to row, but this is done once a mask
        rows = valid[max(0, j - half[0]):min(height, j + half[0] + 1)]
        count_row(rows, half[1], column, out[j])


@kernel
def differ(a, b):
    """Whether two rows of bytes, given as 64-bit words, differ."""
    difference = np.uint64(0)
    for k in range(a.size):
        difference |= a[k] ^ b[k]
    return difference != 0


@kernel
def add_row(raw, valid, limits, square_limit, row, use, column, squares):
    """Replace a ring row by a raw image row, invalid and untrusted pixels as 0; keep the column sums.

    `use` becomes 1 for pixels that are summed, 3 for those among them beyond `square_limit`, whose squares are summed
    as if they were there: rare, and to be looked at again.
    """
    for i in range(raw.size):
        value = raw[i]
        # & for and: without branches eight or sixteen pixels are done at a time
        ok = (valid[i] != 0) & (value >= limits.lowest_summed) & (value <= limits.highest_summed)
        new, old = np.int32(value) if ok else np.int32(0), np.int32(row[i])
        column[i] += np.int32(new - old)
        row[i] = new
        near = max(min(new, square_limit[1]), square_limit[0])
        past = max(min(old, square_limit[1]), square_limit[0])
        use[i] = np.uint8(ok) + np.uint8(2) * np.uint8(near != new)
        squares[i] += (near - past) * (near + past)


@kernel
def remove_row(square_limit, row, use, column, squares):
    """Take a ring row out of the column sums: there is no image row below the last one."""
    for i in range(row.size):
        column[i] -= np.int32(row[i])
        past = max(min(np.int32(row[i]), square_limit[1]), square_limit[0])
        squares[i] -= past * past
        row[i] = 0
    use[:] = 0


@kernel
def background_bounds(count, factors, out):
    """What a window's sum is compared with in the test of dispersion, from the number of its pixels."""
    for i in range(out.size):
        out[i] = factors[count[i]]


@kernel
def find_dispersed(use, total, square, count, bound, hits):
    """Pixels with over-dispersed windows, m y > x² + x bound: 2 where it is certain, 1 where it may be so.

    This is `is_overdispersed`, its right side but for x² divided by x: that depends on m alone.
    """
    for i in range(hits.size):
        x = np.float32(total[i])
        left, right = np.float32(count[i]) * np.float32(square[i]), x * (x + bound[i])
        ok = (total[i] >= 0) & (use[i] != 0)
        hits[i] = np.uint8(ok & (left * MARGIN > right)) + np.uint8(ok & (left > right * MARGIN))


@kernel
def find_dispersed_7(use, column, squares, count, bound, hits):
    """`find_dispersed` for windows seven columns wide, from the columns' sums: one pass instead of three."""
    for i in range(hits.size):
        total = np.int32(column[i] + column[i + 1] + column[i + 2] + column[i + 3]
                         + column[i + 4] + column[i + 5] + column[i + 6])
        square = squares.dtype.type(squares[i] + squares[i + 1] + squares[i + 2] + squares[i + 3]
                                    + squares[i + 4] + squares[i + 5] + squares[i + 6])
        x = np.float32(total)
        left, right = np.float32(count[i]) * np.float32(square), x * (x + bound[i])
        ok = (total >= 0) & (use[i] != 0)
        hits[i] = np.uint8(ok & (left * MARGIN > right)) + np.uint8(ok & (left > right * MARGIN))


@kernel
def keep_outstanding(row, total, count, factor, hits):
    """Of over-dispersed pixels keep as 1 those that may stand out of their mean: (m v - x)² > factor m x."""
    for i in range(hits.size):
        excess = np.int32(np.int32(count[i]) * row[i] - total[i])
        value = np.float32(excess)
        bound = np.float32(total[i]) * (np.float32(count[i]) * factor)
        hits[i] = np.uint8((hits[i] != 0) & (excess > 0) & (value * value > bound))


@kernel
def keep_outstanding_7(row, column, count, factor, hits):
    """`keep_outstanding` for windows seven columns wide, from the columns' sums."""
    for i in range(hits.size):
        total = np.int32(column[i] + column[i + 1] + column[i + 2] + column[i + 3]
                         + column[i + 4] + column[i + 5] + column[i + 6])
        excess = np.int32(np.int32(count[i]) * row[i] - total)
        value = np.float32(excess)
        bound = np.float32(total) * (np.float32(count[i]) * factor)
        hits[i] = np.uint8((hits[i] != 0) & (excess > 0) & (value * value > bound))


@kernel
def column_sum(column, first, width):
    """Sum of `width` neighbouring columns."""
    total = np.int64(0)
    for i in range(first, first + width):
        total += column[i]
    return total


@kernel
def square_sum(ring, first, width):
    """Exact sum of squares over a window: all rows of the ring, `width` columns from `first`."""
    total = np.int64(0)
    # from the counts themselves: sums of squares down the columns are cut off for large counts
    for r in range(ring.shape[0]):
        row = ring[r, first:first + width]
        for i in range(width):
            total += np.int64(row[i]) * np.int64(row[i])
    return total
