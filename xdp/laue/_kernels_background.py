"""Kernels of the per-pixel background: the values of a pixel over all frames, rid of whole groups of frames.

A tile ``values`` has shape (frame, pixel) and the detector's own type. The values of a few pixels at a time are copied
into ``work`` (pixel, frame) and turned into codes 0, 1, 2, ... in the order of the values: the value less the smallest
where the range is short (counting, no sort), else the place among the distinct values. All that follows (quantiles,
sums, ranks with ties) needs only how often each code occurs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

MAX_RANGE = 2048
"""Longest range of values that is counted directly; a longer one is sorted first.

A choice: the counts of 64 pixels side by side (`_kernels_trimmed.BLOCK`) then take half a MiB, and background varies by
less.
"""


class Groups(NamedTuple):
    """Which frames belong together, and how groups that stand out are found.

    Attributes
    ----------
    order : (frame,) int64
        Frames, group after group.
    starts : (group + 1,) int64
        Limits of the groups in `order`.
    alpha : float
        Level of the Kruskal-Wallis test, which is made where `critical` is empty.
    critical : (groups left, degrees of freedom) float64
        Limits of t for the test of the highest group.
    """

    order: np.ndarray
    starts: np.ndarray
    alpha: float
    critical: np.ndarray


class GroupedMaps(NamedTuple):
    """What `compute_grouped_statistics` writes: arrays (pixel,), in the order in which `background.py` names them.

    Attributes
    ----------
    avg, std, iqr : float64
        Mean, standard deviation (ddof 0) and interquartile range of the values left.
    top, arg : values' own type, int32
        Largest value of all frames, and the first frame that has it.
    n_used, n_rejected : int32
        Values left, and groups dropped.
    first, last : float64
        Of the test with all groups, and of that with those left: p-values (Kruskal-Wallis), or t.
    first_df, last_df : int32
        Degrees of freedom of t.
    """

    avg: np.ndarray
    std: np.ndarray
    iqr: np.ndarray
    top: np.ndarray
    arg: np.ndarray
    n_used: np.ndarray
    n_rejected: np.ndarray
    first: np.ndarray
    last: np.ndarray
    first_df: np.ndarray
    last_df: np.ndarray


class GroupState(NamedTuple):
    """What the tests keep of each group of one pixel; work space.

    Attributes
    ----------
    left : bool
        Whether it was not dropped.
    sums, squares, means : float64
        Of its values less the pixel's smallest; `sums` holds sums of ranks in the test on these.
    ranking : int64
        Groups by falling mean.
    """

    left: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    means: np.ndarray
    ranking: np.ndarray


@kernel
def _gather(values, order, first, count, work):
    """Copy pixels first ... first+count of all frames, in the order given, to the rows of `work`."""
    for place in range(order.size):
        # groups stand side by side in a row of `work`, so that each is a stretch of it
        frame = order[place]
        for j in range(count):
            work[j, place] = values[frame, first + j]


@kernel
def _find_extremes(row, order):
    """Smallest value, largest value, and the first frame with the largest one."""
    low = row[0]
    high = row[0]
    for v in row:
        low = min(low, v)
        high = max(high, v)
    frame = np.int64(order.size)
    for place in range(row.size):
        if row[place] == high:
            frame = min(frame, order[place])
    return low, high, frame


@kernel
def encode(row, low, direct, codes, levels):
    """Write each value's code; give the number of codes. Without `direct`, `levels` gets the value of each code."""
    if direct:
        top = 0
        for place in range(row.size):
            codes[place] = np.int32(row[place] - low)
            top = max(top, codes[place])
        return top + 1
    # the places of the values among the distinct ones serve as codes: ranks need no more
    ordered = np.sort(row)
    n_levels = 0
    for v in ordered:
        if n_levels == 0 or levels[n_levels - 1] < v:
            levels[n_levels] = v
            n_levels += 1
    for place in range(row.size):
        codes[place] = np.searchsorted(levels[:n_levels], np.float64(row[place]))
    return n_levels


@kernel
def compute_moments_and_iqr(histogram, keep, low, direct, levels, q):
    """Mean, standard deviation (ddof 0) and Q75 - Q25 of the `keep` smallest values counted in `histogram`.

    The quartiles interpolate linearly between order statistics at q (keep - 1), as ``numpy.percentile`` does; `q` (4,)
    is scratch.
    """
    at25, at75 = 0.25 * (keep - 1), 0.75 * (keep - 1)
    places = (np.int64(at25), min(np.int64(at25) + 1, keep - 1), np.int64(at75), min(np.int64(at75) + 1, keep - 1))
    if keep == 2:  # the upper quartile begins below the lower one's end: ascending, and put right after the loop
        places = (np.int64(0), np.int64(0), np.int64(1), np.int64(1))
    seen, wanted, awaited = np.int64(0), 0, places[0]
    squares, sum_codes = np.int64(0), np.int64(0)
    code = -1
    while seen < keep:
        # codes rise, and so do the places of the quartiles: one pass finds all of it
        code += 1
        n = min(np.int64(histogram[code]), keep - seen)
        seen += n
        sum_codes += n * code
        squares += n * code * code
        while seen > awaited:
            q[wanted] = np.float64(low) + code if direct else levels[code]
            wanted += 1
            awaited = places[wanted] if wanted < 4 else keep
    if keep == 2:
        q[1], q[2] = q[2], q[1]
    if direct:
        # whole numbers until the last division: no cancellation, and exactly 0 for a constant pixel
        mean = (np.float64(keep) * np.float64(low) + np.float64(sum_codes)) / keep
        variance = np.float64(keep * squares - sum_codes * sum_codes) / (np.float64(keep) * np.float64(keep))
    else:
        mean, variance = _moments_of_levels(histogram, keep, levels)
    return mean, math.sqrt(variance), _interpolate(q[2], q[3], at75) - _interpolate(q[0], q[1], at25)


@kernel
def _moments_of_levels(histogram, keep, levels):
    """Mean and variance of the `keep` smallest values, where `levels` holds the value of each code."""
    total, seen, n_codes = 0.0, np.int64(0), 0
    while seen < keep:
        n = min(np.int64(histogram[n_codes]), keep - seen)
        total += n * levels[n_codes]
        seen += n
        n_codes += 1
    mean = total / keep
    variance, seen = 0.0, np.int64(0)
    for code in range(n_codes):
        n = min(np.int64(histogram[code]), keep - seen)
        variance += n * (levels[code] - mean) ** 2
        seen += n
    return mean, variance / keep


@kernel
def _interpolate(a, b, at):
    """Between a and b by the fraction of `at`, rounded as NumPy rounds it."""
    # from the nearer end, as numpy.percentile does: the same last bit
    t = at - math.floor(at)
    return b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t


@kernel
def compute_chi_square_tail(x, df):
    """P(chi-square with `df` degrees of freedom > x): the finite sums of Abramowitz & Stegun 26.4.4 and 26.4.5.

    SciPy's function cannot be called from a kernel, and the test decides anew after each group that is dropped.
    """
    if x <= 0:
        return 1.0
    half = 0.5 * x
    if df % 2 == 0:
        term = math.exp(-half)
        total = term
        for i in range(1, df // 2):
            term *= half / i
            total += term
        return min(total, 1.0)
    total = math.erfc(math.sqrt(half))
    term = math.exp(-half) * math.sqrt(half) * 2 / math.sqrt(math.pi)
    for i in range(1, (df - 1) // 2 + 1):
        total += term
        term *= half / (i + 0.5)
    return min(total, 1.0)


@kernel
def _test_kruskal(histogram, n_codes, codes, starts, left, ranks, rank_sums):
    """Kruskal-Wallis p-value of the groups still `left`, and the group of the highest mean rank.

    H = [12 / (N (N + 1)) sum R_g^2 / n_g - 3 (N + 1)] / [1 - sum (t^3 - t) / (N^3 - N)] against chi-square with one
    degree of freedom less than groups; ties share their mean rank. All values equal: p = 1.
    """
    n = np.int64(0)
    ties = 0.0
    # equal values share one code, so that their mean rank comes from how many there are, without a sort
    for code in range(n_codes):
        t = np.int64(histogram[code])
        ranks[code] = n + 0.5 * (t + 1)
        ties += np.float64(t) * (np.float64(t) * t - 1)
        n += t
    n_left, highest, best, total = 0, -1, -1.0, 0.0
    for group in range(left.size):
        if not left[group]:
            continue
        n_left += 1
        rank_sum = 0.0
        for place in range(starts[group], starts[group + 1]):
            rank_sum += ranks[codes[place]]
        rank_sums[group] = rank_sum
        size = starts[group + 1] - starts[group]
        total += rank_sum * rank_sum / size
        if rank_sum / size > best:
            best, highest = rank_sum / size, group
    size = np.float64(n)
    correction = 1 - ties / (size * size * size - size)
    # all values are equal
    if correction <= 0:
        return 1.0, highest
    h = (12.0 / (size * (size + 1)) * total - 3 * (size + 1)) / correction
    return compute_chi_square_tail(h, n_left - 1), highest


@kernel
def _drop_group(histogram, codes, starts, left, group):
    """Take a group's values out of the histogram."""
    left[group] = False
    for place in range(starts[group], starts[group + 1]):
        histogram[codes[place]] -= 1


@kernel
def _reject_by_kruskal(histogram, n_codes, codes, groups, ranks, state):
    """Drop the highest group while the groups differ at `alpha`; give first and last p-value and how many went."""
    first_p = last_p = 1.0
    rejected = 0
    starts, alpha, left, rank_sums = groups.starts, groups.alpha, state.left, state.sums
    while left.size - rejected > 1:
        p, highest = _test_kruskal(histogram, n_codes, codes, starts, left, ranks, rank_sums)
        if rejected == 0:
            first_p = p
        last_p = p
        if not p < alpha:
            break
        _drop_group(histogram, codes, starts, left, highest)
        rejected += 1
        last_p = 1.0  # a single group left differs from nothing
    return first_p, last_p, rejected


@kernel
def _rank_descending(means, ranking):
    """Write the groups' numbers to `ranking` by falling mean, the lower number first among equals."""
    for group in range(means.size):
        place = group
        while place > 0 and means[ranking[place - 1]] < means[group]:
            ranking[place] = ranking[place - 1]
            place -= 1
        ranking[place] = group


@kernel
def _compute_t_against_rest(size, s1, n_rest, rest1, rest2):
    """Student's t of a group's mean against the values of the rest, and its degrees of freedom.

    From numbers of values, their sums and their sums of squares; the spread is that of the rest alone, so that a bright
    group's own spread does not count.
    """
    # nothing to take a spread from
    if n_rest < 2:
        return 0.0, 1
    mean, own = rest1 / n_rest, s1 / size
    variance = max(rest2 - n_rest * mean * mean, 0.0) / (n_rest - 1)
    if variance <= 0:
        return (np.inf if own > mean else 0.0), n_rest - 1
    return (own - mean) / math.sqrt(variance * (1.0 / size + 1.0 / n_rest)), n_rest - 1


@kernel
def _reject_by_maxgroup(row, low, codes, histogram, groups, state):
    """Drop groups by Rosner's sequence; give the t and degrees of freedom of the first test and of the next one left.

    The highest group is taken out again and again, up to half of them; as many go for good as the last significant
    test says, so that several bright groups do not hide each other (Rosner, Technometrics 25 (1983) 165).
    """
    starts, critical = groups.starts, groups.critical
    left, sums, squares, means, ranking = state
    n_groups = left.size
    n, rest1, rest2 = row.size, 0.0, 0.0
    for group in range(n_groups):
        s1 = s2 = 0.0
        for place in range(starts[group], starts[group + 1]):
            x = np.float64(row[place]) - np.float64(low)  # small numbers: their squares lose no digit
            s1 += x
            s2 += x * x
        sums[group], squares[group] = s1, s2
        means[group] = s1 / (starts[group + 1] - starts[group])
        rest1, rest2 = rest1 + s1, rest2 + s2
    _rank_descending(means, ranking)
    rejected = 0
    first_t, first_df, last_t, last_df = 0.0, 1, 0.0, 1
    # one step more than groups may go: the test that nothing more stands out is reported, too
    for step in range(min(n_groups // 2 + 1, n_groups)):
        group = ranking[step]
        size = starts[group + 1] - starts[group]
        n, rest1, rest2 = n - size, rest1 - sums[group], rest2 - squares[group]
        t, df = _compute_t_against_rest(size, sums[group], n, rest1, rest2)
        if step == 0:
            first_t, first_df = t, df
        if step == rejected:
            last_t, last_df = t, df
        if step < n_groups // 2 and t > critical[n_groups - step, df]:
            rejected = step + 1
    for step in range(rejected):
        _drop_group(histogram, codes, starts, left, ranking[step])
    return first_t, first_df, last_t, last_df, rejected


@kernel
def compute_grouped_statistics(values, work, integer, groups, maps):
    """Statistics of each pixel over the groups of frames that carry only background.

    Parameters
    ----------
    values : (frame, pixel) of the detector's type
    work : (some pixels, frame), scratch, of a type that holds the values
    integer : whether values are whole numbers
    groups : Groups
    maps : GroupedMaps, written
    """
    order, starts, _, critical = groups
    avg, std, iqr, top, arg, n_used, n_rejected, first, last, first_df, last_df = maps
    n_frames, n_pixels = values.shape
    n_groups = starts.size - 1
    histogram = np.zeros(max(MAX_RANGE, n_frames), np.int32)
    ranks = np.empty(histogram.size, np.float64)
    codes = np.empty(n_frames, np.int32)
    levels = np.empty(n_frames, np.float64)
    q = np.empty(4)
    left = np.empty(n_groups, np.bool_)
    state = GroupState(left, np.empty(n_groups), np.empty(n_groups), np.empty(n_groups), np.empty(n_groups, np.int64))
    # a few pixels at a time: frame by frame their values are neighbours in memory, pixel by pixel in `work`
    for begin in range(0, n_pixels, work.shape[0]):
        count = min(work.shape[0], n_pixels - begin)
        _gather(values, order, begin, count, work)
        for j in range(count):
            p, row = begin + j, work[j]
            low, high, frame = _find_extremes(row, order)
            direct = integer and high - low < MAX_RANGE
            n_codes = encode(row, low, direct, codes, levels)
            for place in range(n_frames):
                histogram[codes[place]] += 1
            left[:] = True
            if critical.size:
                first[p], first_df[p], last[p], last_df[p], rejected = _reject_by_maxgroup(
                    row, low, codes, histogram, groups, state)
            else:
                first[p], last[p], rejected = _reject_by_kruskal(histogram, n_codes, codes, groups, ranks, state)
            keep = np.int64(0)
            for group in range(n_groups):
                if left[group]:
                    keep += starts[group + 1] - starts[group]
            avg[p], std[p], iqr[p] = compute_moments_and_iqr(histogram, keep, low, direct, levels, q)
            # only the codes that occurred: the next pixel finds zeros
            histogram[:n_codes] = 0
            top[p], arg[p], n_used[p], n_rejected[p] = high, frame, keep, rejected
