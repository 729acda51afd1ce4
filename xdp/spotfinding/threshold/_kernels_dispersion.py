"""Threshold by dispersion for integer images: window sums in exact integers, doubtful pixels tested in full.

Every pixel is tested in single precision with a margin for its rounding. Where the outcome is within the margin, or the
window holds counts too large for 32-bit sums of squares, the test is repeated in double precision as the formula
stands, with the exact sum of squares.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel
from xdp.spotfinding.threshold._kernels_formula import BIG, is_above_mean, is_overdispersed
from xdp.spotfinding.threshold._kernels_window import (
    PAD,
    add_row,
    background_bounds,
    column_sum,
    count_row,
    differ,
    find_dispersed,
    find_dispersed_7,
    keep_outstanding,
    keep_outstanding_7,
    remove_row,
    square_sum,
    sum_columns,
)

UNFIT = -1
"""Status of a frame whose values are too large, or negative beyond -2**24, for the sums here."""
BUSY = -2
"""Status of a frame with many counts too large for 32-bit sums of squares: give `squares` as int64."""
BUSY_PART = 1000
"""A frame is busy if more than one pixel in so many has such counts: each costs a test in full of its whole window."""
ROUNDING = 1.0 - 1e-5
"""Lowers the bound of the test against the mean by more than single precision rounds; survivors are tested in full."""


class WindowMask(NamedTuple):
    """A mask, and how many of its pixels each window holds.

    Attributes
    ----------
    valid : (slow, padded fast) uint8
        1 for pixels that may be used.
    counts : (slow, padded fast) uint8
        `count_windows` of it.
    changes : (slow,) bool
        Rows of `counts` that are not as the row before.
    """

    valid: np.ndarray
    counts: np.ndarray
    changes: np.ndarray


class Window(NamedTuple):
    """The window about a pixel.

    Attributes
    ----------
    half : (2,) int64
        Half widths (slow, fast).
    factors : (256,) float32
        For each number of pixels m what the window's sum is compared with: g (m - 1 + σ_b √(2 (m - 1))).
    """

    half: np.ndarray
    factors: np.ndarray


class MiddleRow(NamedTuple):
    """An image row, and the sums of the rows in the window about it.

    Attributes
    ----------
    raw : (fast,) integers
        Its raw values.
    use, present : (padded fast,) uint8
        Which of them are summed, and how many pixels the windows hold.
    ring, column : integers
        See `WindowSums`.
    """

    raw: np.ndarray
    use: np.ndarray
    present: np.ndarray
    ring: np.ndarray
    column: np.ndarray


class WindowSums(NamedTuple):
    """What is kept from row to row of a frame; all but `words` and `bound` begin as 0.

    Attributes
    ----------
    ring : (2 half + 1, fast + 2 half) integers
        Counts of the rows in the window, in any order; 0 where they are not summed, and at the margins.
    use : (2 half + 1, padded fast) uint8
        Which of them are summed.
    column, squares : (fast + 2 half,) int32, and int32 or int64
        Sums down the columns of the ring: of counts, and of their squares.
    total, square : (fast,), of the same types
        Sums over windows.
    hits : (padded fast,) uint8
        Pixels that pass the tests: 2 is certain, 1 may be.
    words, recount, margins, bound
        Non-zero words of `hits`; numbers of pixels in the windows of a row, counted anew, with work space for that;
        what the sums of the windows are compared with.
    """

    ring: np.ndarray
    use: np.ndarray
    column: np.ndarray
    squares: np.ndarray
    total: np.ndarray
    square: np.ndarray
    hits: np.ndarray
    words: np.ndarray
    recount: np.ndarray
    margins: np.ndarray
    bound: np.ndarray


def make_window_sums(width: int, half: np.ndarray, ring_type: type, square_type: type) -> WindowSums:
    """Make the workspace for frames of `width` pixels along fast.

    Parameters
    ----------
    width : int
    half : (2,) int64
        Half widths of the window (slow, fast).
    ring_type, square_type : type
        Integers that hold a count, and a sum of squares down a column.

    Returns
    -------
    WindowSums
    """
    n_rows, line, wide = 2 * int(half[0]) + 1, -(-width // PAD) * PAD, width + 2 * int(half[1])
    return WindowSums(np.zeros((n_rows, wide), ring_type), np.zeros((n_rows, line), np.uint8), np.zeros(wide, np.int32),
                     np.zeros(wide, square_type), np.zeros(width, np.int32), np.zeros(width, square_type),
                     np.zeros(line, np.uint8), np.empty(line // 8 + 1, np.int64), np.zeros(line, np.uint8),
                     np.zeros(line + 2 * int(half[1]), np.uint8), np.empty(width, np.float32))


@kernel
def grow(values):
    """A copy with room for twice as many."""
    larger = np.empty(2 * values.size, values.dtype)
    larger[:values.size] = values
    return larger


@kernel
def sort_odd_pixels(raw, valid, limits, use, first, huge, n_huge, large, n_large):
    """Look again at a row with pixels that are not simply summed.

    Flat indices (from `first`) of pixels of 2**24 counts and more go to `huge`, of those beyond the limit of the sums
    of squares to `large`; both have room for a row. `use` keeps 0 and 1.

    Returns
    -------
    n_huge (UNFIT where a value fits no sum), n_large, and whether a valid pixel takes part in no sum
    """
    unused = False
    for i in range(raw.size):
        value = raw[i]
        if not valid[i]:
            continue
        # above the limit of the squares: it is summed, but what is found near it must be tested in full
        if use[i] == 3:
            use[i] = 1
            large[n_large] = first + i
            n_large += 1
        unused |= use[i] == 0
        if use[i] == 0 and value >= limits.lowest and value <= limits.highest:
            if value < BIG:  # trusted, below the counts that take part in no sum, and yet too large for these
                return UNFIT, n_large, unused
            huge[n_huge] = first + i
            n_huge += 1
    return n_huge, n_large, unused


@kernel
def mark_doubtful(hits, column, reach):
    """Set to 1 what is 0 within `reach` of a column."""
    for i in range(max(0, column - reach), min(hits.size, column + reach + 1)):
        hits[i] = max(hits[i], 1)


@kernel
def list_nonzero_words(hits, where):
    """Which words of eight bytes of a row have one that is not 0: their numbers go to `where`; how many they are."""
    words, n = hits.view(np.uint64), np.int64(0)
    for k in range(words.size):
        # written in any case, and kept by counting on: no branch
        where[n] = k
        n += np.int64(words[k] != 0)
    return n


@kernel
def mark_huge(hits, huge, begin, end, first):
    """Mark the pixels of a row (flat indices from `first`) that stand in `huge`; give where the next row begins."""
    while begin < end and huge[begin] < first + hits.size:
        mark_doubtful(hits, huge[begin] - first, 0)
        begin += 1
    return begin


@kernel
def mark_large(hits, large, begin, end, top, reach):
    """Mark the pixels whose windows hold pixels that stand in `large`; give the first of them from index `top` on."""
    while begin < end and large[begin] < top:
        begin += 1
    for k in range(begin, end):
        mark_doubtful(hits, large[k] % hits.size, reach)
    return begin


@kernel
def is_dispersed(i, row, rules, with_mean_test):
    """The tests of pixel `i` of a row in full, in double precision and exact sums of squares."""
    window = row.ring.shape[1] - row.raw.size + 1
    value, m, x = float(row.raw[i]), float(row.present[i]), float(column_sum(row.column, i, window))
    # huge pixels are in no sum, but may be strong
    if m < rules.min_count or x < 0 or not (row.use[i] or value >= BIG):
        return False
    if with_mean_test and not (value > rules.threshold and is_above_mean(value, m, x, rules)):
        return False
    return is_overdispersed(m, x, float(square_sum(row.ring, i, window)), rules)


@kernel
def collect_row(hits, words, row, rules, with_mean_test, first, out, n_out):
    """Append the flat indices (from `first`) of a row's hits to `out`; those that are 1 are tested in full before.

    `words` are the numbers of the words of eight `hits` that are not all 0. Gives how many `out` then holds.
    """
    for k in range(words.size):
        for i in range(8 * words[k], min(8 * words[k] + 8, row.raw.size)):
            if hits[i] == 2 or (hits[i] == 1 and is_dispersed(i, row, rules, with_mean_test)):
                out[n_out] = first + i
                n_out += 1
    return n_out


@kernel
def find_dispersed_pixels(raw, mask, limits, square_limit, window, rules, with_mean_test, work):
    """Pixels of one frame whose window is over-dispersed and, `with_mean_test`, that stand out of its mean.

    Parameters
    ----------
    raw : (slow, fast) integers, the frame
    mask : WindowMask; limits : RawLimits; window : Window; rules : Rules
    square_limit : int32 (2,), values beyond which are not squared exactly in `WindowSums.squares`
    work : WindowSums, as `make_window_sums` gives it

    Returns
    -------
    status, index : number of pixels found, or UNFIT, or BUSY; int64 flat indices in order, with room behind them
    """
    ring, use, column, squares, total, square, hits, words, recount, margins, bound = work
    height, width = raw.shape
    half, reach, n_rows, budget = window.half, window.half[1], ring.shape[0], height * width // BUSY_PART
    inner, mark = slice(reach, reach + width), hits[:width]
    is_odd, was_odd = np.zeros(n_rows, np.bool_), True
    huge, n_huge, next_huge = np.empty(2 * width, np.int64), 0, 0
    large, n_large, next_large = np.empty(2 * width, np.int64), 0, 0
    out, n_out = np.empty(8 * width, np.int64), 0
    factor = np.float32(rules.sigma_strong * rules.sigma_strong * rules.gain * ROUNDING)
    # the row that comes in is half a window ahead of row j, which is tested
    for incoming in range(height + half[0]):
        slot, j = incoming % n_rows, incoming - half[0]
        is_odd[slot] = False
        if incoming >= height:
            remove_row(square_limit, ring[slot, inner], use[slot], column[inner], squares[inner])
        else:
            valid = mask.valid[incoming]
            add_row(raw[incoming], valid, limits, square_limit, ring[slot, inner], use[slot], column[inner],
                    squares[inner])
            if differ(use[slot].view(np.uint64), valid.view(np.uint64)):
                huge = grow(huge) if n_huge + width > huge.size else huge
                large = grow(large) if n_large + width > large.size else large
                n_huge, n_large, is_odd[slot] = sort_odd_pixels(raw[incoming], valid, limits, use[slot],
                                                                incoming * width, huge, n_huge, large, n_large)
                if n_huge == UNFIT:
                    return UNFIT, out
                if n_large > budget:
                    return BUSY, out
        if j < 0:
            continue
        middle, odd, present = j % n_rows, bool(is_odd.any()), mask.counts[j]
        if odd:  # pixels outside the trusted range: the mask's own numbers do not hold
            count_row(use, reach, margins, recount)
            present = recount
        if odd or was_odd or mask.changes[j]:
            background_bounds(present, window.factors, bound)
        was_odd = odd
        if reach == 3:  # the default window has kernels of its own
            find_dispersed_7(use[middle], column, squares, present, bound, mark)
            if with_mean_test:
                keep_outstanding_7(ring[middle, inner], column, present, factor, mark)
        else:
            sum_columns(column, reach, total)
            sum_columns(squares, reach, square)
            find_dispersed(use[middle], total, square, present, bound, mark)
            if with_mean_test:
                keep_outstanding(ring[middle, inner], total, present, factor, mark)
        next_huge = mark_huge(mark, huge, next_huge, n_huge, j * width)
        next_large = mark_large(mark, large, next_large, n_large, (j - half[0]) * width, reach)
        n_words = list_nonzero_words(hits, words)
        if n_words:
            out = grow(out) if n_out + width > out.size else out
            row = MiddleRow(raw[j], use[middle], present, ring, column)
            n_out = collect_row(hits, words[:n_words], row, rules, with_mean_test, j * width, out, n_out)
    return n_out, out
