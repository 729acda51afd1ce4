"""Threshold by dispersion for integer images: window sums in exact integers, doubtful pixels tested in full.

Every pixel is tested in single precision with a margin for its rounding. Where the outcome is within the margin, or the
window holds counts too large for 32-bit sums of squares, the test is repeated in double precision as the formula
stands, with the exact sum of squares.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel
from xdp.spotfinding.threshold._kernels_table import BIG, is_above_mean, is_overdispersed
from xdp.spotfinding.threshold._kernels_window import (
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
        if use[i] == 3:
            use[i] = 1
            large[n_large] = first + i
            n_large += 1
        unused |= use[i] == 0
        if use[i] == 0 and value >= limits[0] and value <= limits[3]:
            if value < BIG:
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
    words, n = hits.view(np.uint64), 0
    for k in range(words.size):
        where[n] = k
        n += np.int64(words[k] != 0)
    return n


@kernel
def is_dispersed(i, raw, use, ring, columns, count, rules, with_mean_test):
    """The tests of one pixel in full; arguments as for `collect_row`."""
    window = ring.shape[1] - raw.size + 1
    value, m, x = float(raw[i]), float(count[i]), float(column_sum(columns, i, window))
    if m < rules[3] or x < 0 or not (use[i] or value >= BIG):
        return False
    if with_mean_test and not (value > rules[2] and is_above_mean(value, m, x, rules[4], rules[5] != 0, rules[1])):
        return False
    return is_overdispersed(m, x, float(square_sum(ring, i, window)), rules[4], rules[5] != 0, rules[0])


@kernel
def collect_row(hits, where, raw, use, ring, columns, count, rules, with_mean_test, first, out, n_out):
    """Append the flat indices (from `first`) of a row's hits to `out`; those that are 1 are tested in full before.

    `rules` is (sigma_background, sigma_strong, threshold, min_count, gain, has_gain).
    """
    for k in range(list_nonzero_words(hits, where)):
        for i in range(8 * where[k], min(8 * where[k] + 8, raw.size)):
            if hits[i] == 2 or (hits[i] == 1 and is_dispersed(i, raw, use, ring, columns, count, rules,
                                                              with_mean_test)):
                out[n_out] = first + i
                n_out += 1
    return n_out


@kernel
def find_dispersed_pixels(raw, valid, counts, changes, limits, square_limit, half, factors, rules, with_mean_test, ring,
                     squares):
    """Pixels of one frame whose window is over-dispersed and, `with_mean_test`, that stand out of its mean.

    Parameters
    ----------
    raw : integers (slow, fast); valid, counts : uint8 (slow, padded fast), the mask and its `count_windows`
    changes : bool (slow,), rows of `counts` that are not as the row before
    limits : lowest trusted, lowest summed, highest summed, highest trusted raw value, of raw's dtype
    square_limit : int32 (2,), values beyond which are not squared exactly in `squares`
    half : half widths of the window (slow, fast)
    factors : float32, for each number of pixels m what the window's sum is compared with: g (m - 1 + σ √(2 (m - 1)))
    rules : float64 (6,), see `collect_row`
    ring : integers (2 half + 1, fast + 2 half), squares : int32 or int64 (fast + 2 half), work space

    Returns
    -------
    status, index : number of pixels found, or UNFIT, or BUSY; int64 flat indices in order, with room behind them
    """
    height, width = raw.shape
    line, n_rows, reach = valid.shape[1], 2 * half[0] + 1, half[1]
    inner, budget = slice(reach, reach + width), height * width // 1000
    column, recount = np.zeros(width + 2 * reach, np.int32), np.zeros(line, np.uint8)
    use, hits = np.zeros((n_rows, line), np.uint8), np.zeros(line, np.uint8)
    scratch, where = np.zeros(line + 2 * reach, np.uint8), np.empty(line // 8 + 1, np.int64)
    total, square, bound = np.zeros(width, np.int32), np.zeros(width, squares.dtype), np.zeros(width, np.float32)
    is_odd, was_odd = np.zeros(n_rows, np.bool_), True
    huge, n_huge, next_huge = np.empty(2 * width, np.int64), 0, 0
    large, n_large, next_large = np.empty(2 * width, np.int64), 0, 0
    out, n_out = np.empty(8 * width, np.int64), 0
    factor = np.float32(rules[1] * rules[1] * rules[4] * (1.0 - 1e-5))
    ring[:] = 0
    squares[:] = 0
    for incoming in range(height + half[0]):
        slot, j = incoming % n_rows, incoming - half[0]
        is_odd[slot] = False
        if incoming < height:
            add_row(raw[incoming], valid[incoming], limits[1], limits[2], square_limit, ring[slot, inner], use[slot],
                    column[inner], squares[inner])
            if differ(use[slot].view(np.uint64), valid[incoming].view(np.uint64)):
                huge = grow(huge) if n_huge + width > huge.size else huge
                large = grow(large) if n_large + width > large.size else large
                n_huge, n_large, is_odd[slot] = sort_odd_pixels(raw[incoming], valid[incoming], limits, use[slot],
                                                         incoming * width, huge, n_huge, large, n_large)
                if n_huge == UNFIT:
                    return UNFIT, out
                if n_large > budget:
                    return BUSY, out
        else:
            remove_row(square_limit, ring[slot, inner], use[slot], column[inner], squares[inner])
        if j < 0:
            continue
        middle, odd = j % n_rows, is_odd.any()
        present = counts[j]
        if odd:
            count_row(use, reach, scratch, recount)
            present = recount
        if odd or was_odd or changes[j]:
            background_bounds(present, factors, bound)
        was_odd = odd
        if reach == 3:
            find_dispersed_7(use[middle], column, squares, present, bound, hits[:width])
            if with_mean_test:
                keep_outstanding_7(ring[middle, inner], column, present, factor, hits[:width])
        else:
            sum_columns(column, reach, total)
            sum_columns(squares, reach, square)
            find_dispersed(use[middle], total, square, present, bound, hits[:width])
            if with_mean_test:
                keep_outstanding(ring[middle, inner], total, present, factor, hits[:width])
        while next_huge < n_huge and huge[next_huge] < (j + 1) * width:
            mark_doubtful(hits[:width], huge[next_huge] - j * width, 0)
            next_huge += 1
        while next_large < n_large and large[next_large] < (j - half[0]) * width:
            next_large += 1
        for k in range(next_large, n_large):
            mark_doubtful(hits[:width], large[k] % width, reach)
        out = grow(out) if n_out + width > out.size else out
        n_out = collect_row(hits, where, raw[j], use[middle], ring, column, present, rules, with_mean_test, j * width,
                            out, n_out)
    return n_out, out
