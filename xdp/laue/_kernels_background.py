"""Kernels of the per-pixel background: the values of a pixel over all frames, trimmed or rid of whole groups.

Both kernels take a tile ``values`` of shape (frame, pixel) in the detector's own type, copy a few pixels at a time into
``work`` (pixel, frame), and turn each pixel's values into codes 0, 1, 2, ... in the order of the values: the value less
the smallest where the range is short (counting, no sort), else the place among the distinct values. All that follows
(quantiles, sums, ranks with ties) needs only how often each code occurs.
"""

from __future__ import annotations

import math

import numpy as np

from xdp.kernels import kernel

#: Longest range of values that is counted directly; a longer one is sorted first.
MAX_RANGE = 2048


@kernel
def _gather(values, order, first, count, work):
    """Copy pixels first ... first+count of all frames, in the order given, to the rows of `work`."""
    for place in range(order.size):
        frame = order[place]
        for j in range(count):
            work[j, place] = values[frame, first + j]


@kernel
def _extremes(row, order):
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
def _encode(row, low, direct, codes, levels):
    """Write each value's code; give the number of codes. Without `direct`, `levels` gets the value of each code."""
    if direct:
        top = 0
        for place in range(row.size):
            codes[place] = np.int32(row[place] - low)
            top = max(top, codes[place])
        return top + 1
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
def _moments_and_iqr(histogram, keep, low, direct, levels):
    """Mean, standard deviation (ddof 0) and Q75 - Q25 of the `keep` smallest values counted in `histogram`.

    The quartiles interpolate linearly between order statistics at q (keep - 1), as ``numpy.percentile`` does.
    """
    at25, at75 = 0.25 * (keep - 1), 0.75 * (keep - 1)
    places = (np.int64(at25), min(np.int64(at25) + 1, keep - 1), np.int64(at75), min(np.int64(at75) + 1, keep - 1))
    if keep == 2:  # the upper quartile begins below the lower one's end: ascending, and put right after the loop
        places = (np.int64(0), np.int64(0), np.int64(1), np.int64(1))
    q = np.zeros(4)
    seen, wanted = np.int64(0), 0
    total = 0.0
    squares, sum_codes = np.int64(0), np.int64(0)
    code = -1
    while seen < keep:
        code += 1
        n = min(np.int64(histogram[code]), keep - seen)
        value = np.float64(low) + code if direct else levels[code]
        seen += n
        while wanted < 4 and seen > places[wanted]:
            q[wanted] = value
            wanted += 1
        total += n * value
        sum_codes += n * code
        squares += n * code * code
    last = code
    if keep == 2:
        q[1], q[2] = q[2], q[1]
    mean = total / keep
    if direct:
        # whole numbers until the last division: no cancellation, and exactly 0 for a constant pixel
        variance = np.float64(keep * squares - sum_codes * sum_codes) / (np.float64(keep) * np.float64(keep))
    else:
        variance = 0.0
        seen = 0
        for code in range(last + 1):
            n = min(np.int64(histogram[code]), keep - seen)
            variance += n * (levels[code] - mean) ** 2
            seen += n
        variance /= keep
    return mean, math.sqrt(variance), _lerp(q[2], q[3], at75) - _lerp(q[0], q[1], at25)


@kernel
def _lerp(a, b, at):
    """Between a and b by the fraction of `at`, rounded as NumPy rounds it."""
    t = at - math.floor(at)
    return b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t


@kernel
def _count_above(limit, histogram, n_codes, low, direct, levels):
    """How many values lie above `limit`."""
    code = n_codes
    count = np.int64(0)
    if direct:
        code = max(np.int64(0), np.int64(math.floor(limit - low)) + 1)
    else:
        code = np.searchsorted(levels[:n_codes], limit, side="right")
    while code < n_codes:
        count += histogram[code]
        code += 1
    return count


@kernel
def _untruncated(mean, std, tables, pedestal, histogram, n_codes, low, direct, levels):
    """Mean and standard deviation of the background that was cut from above: see :mod:`xdp.laue.truncation`.

    `tables` (4, n_removed + 1) holds, for s spot frames among those removed, what truncation does to a Gaussian's
    mean and variance, and how the distribution's skewness changes both. The number s is found by counting what lies
    beyond 3.5 sigma of the corrected background, which in turn depends on s.
    """
    mu, sigma, spots = mean, std, 0
    for _ in range(4):
        skew = 0.0
        if mu > pedestal:
            skew = min(1.0, sigma / (mu - pedestal))
        variance = max(tables[1, spots] - tables[3, spots] * skew, 0.05)
        sigma = std / math.sqrt(variance)
        mu = mean + sigma * (tables[0, spots] + tables[2, spots] * skew)
        count = _count_above(mu + 3.5 * sigma + 1.0, histogram, n_codes, low, direct, levels)
        spots = min(count, tables.shape[1] - 1)
    return mu, sigma


@kernel
def trimmed_statistics(values, order, work, integer, n_removed, tables, pedestal,
                       avg, std, iqr, top, arg, avg_corrected, std_corrected):
    """Statistics of each pixel without its `n_removed` largest values; maximum and its frame over all.

    values : (frame, pixel); order : (frame,) 0, 1, 2, ...; work : (pixels at a time, frame) scratch, int32 or float64;
    integer : whether values are whole numbers; tables : see `_untruncated`. The rest are outputs (pixel,).
    """
    n_frames, n_pixels = values.shape
    keep = np.int64(n_frames - n_removed)
    histogram = np.zeros(max(MAX_RANGE, n_frames), np.int32)
    codes = np.empty(n_frames, np.int32)
    levels = np.empty(n_frames, np.float64)
    for first in range(0, n_pixels, work.shape[0]):
        count = min(work.shape[0], n_pixels - first)
        _gather(values, order, first, count, work)
        for j in range(count):
            row = work[j]
            low, high, frame = _extremes(row, order)
            direct = integer and high - low < 2**40
            if direct:
                # bins beyond the last share it: fine as long as only removed values lie there
                top_code = np.int64(min(high - low, MAX_RANGE - 1))
                for place in range(n_frames):
                    histogram[min(np.int64(row[place] - low), top_code)] += 1
                n_codes = top_code + 1
                if high - low >= MAX_RANGE and histogram[top_code] > n_removed:
                    direct = False
                    histogram[:n_codes] = 0
            if not direct:
                n_codes = _encode(row, low, False, codes, levels)
                for place in range(n_frames):
                    histogram[codes[place]] += 1
            p = first + j
            avg[p], std[p], iqr[p] = _moments_and_iqr(histogram, keep, low, direct, levels)
            avg_corrected[p], std_corrected[p] = _untruncated(
                avg[p], std[p], tables, pedestal, histogram, n_codes, low, direct, levels)
            histogram[:n_codes] = 0
            top[p] = high
            arg[p] = frame


@kernel
def chi_square_tail(x, df):
    """P(chi-square with `df` degrees of freedom > x): the finite sums of Abramowitz & Stegun 26.4.4 and 26.4.5."""
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
def _kruskal(histogram, n_codes, codes, starts, left, ranks, rank_sums):
    """Kruskal-Wallis p-value of the groups still `left`, and the group of the highest mean rank.

    H = [12 / (N (N + 1)) sum R_g^2 / n_g - 3 (N + 1)] / [1 - sum (t^3 - t) / (N^3 - N)] against chi-square with one
    degree of freedom less than groups; ties share their mean rank. All values equal: p = 1.
    """
    n = np.int64(0)
    ties = 0.0
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
    if correction <= 0:
        return 1.0, highest
    h = (12.0 / (size * (size + 1)) * total - 3 * (size + 1)) / correction
    return chi_square_tail(h, n_left - 1), highest


@kernel
def _drop_group(histogram, codes, starts, left, group):
    """Take a group's values out of the histogram."""
    left[group] = False
    for place in range(starts[group], starts[group + 1]):
        histogram[codes[place]] -= 1


@kernel
def _reject_by_kruskal(histogram, n_codes, codes, starts, left, ranks, rank_sums, alpha):
    """Drop the highest group while the groups differ at `alpha`; give first and last p-value and how many went."""
    first_p = last_p = 1.0
    rejected = 0
    while left.size - rejected > 1:
        p, highest = _kruskal(histogram, n_codes, codes, starts, left, ranks, rank_sums)
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
def _t_of_highest(sums, squares, starts, left):
    """The left group of highest mean, and Student's t of that mean against the other left groups' values."""
    highest, best = -1, -np.inf
    n, s1, s2 = 0, 0.0, 0.0
    for group in range(left.size):
        if left[group]:
            size = starts[group + 1] - starts[group]
            n, s1, s2 = n + size, s1 + sums[group], s2 + squares[group]
            if sums[group] / size > best:
                best, highest = sums[group] / size, group
    size = starts[highest + 1] - starts[highest]
    rest = n - size
    if rest < 2:
        return highest, 0.0, 1
    mean = (s1 - sums[highest]) / rest
    variance = max((s2 - squares[highest]) - rest * mean * mean, 0.0) / (rest - 1)
    if variance <= 0:
        return highest, (np.inf if best > mean else 0.0), rest - 1
    return highest, (best - mean) / math.sqrt(variance * (1.0 / size + 1.0 / rest)), rest - 1


@kernel
def _reject_by_maxgroup(row, low, codes, histogram, starts, left, sums, squares, dropped, critical):
    """Drop groups by Rosner's sequence; give the t and degrees of freedom of the first test and of the next one left.

    The highest group is taken out again and again, up to half of them; as many go for good as the last significant
    test says, so that several bright groups do not hide each other (Rosner, Technometrics 25 (1983) 165).
    """
    n_groups = left.size
    for group in range(n_groups):
        sums[group] = squares[group] = 0.0
        for place in range(starts[group], starts[group + 1]):
            x = np.float64(row[place]) - np.float64(low)
            sums[group] += x
            squares[group] += x * x
    rejected = 0
    first_t, first_df = 0.0, 1
    for step in range(n_groups // 2):
        highest, t, df = _t_of_highest(sums, squares, starts, left)
        if step == 0:
            first_t, first_df = t, df
        if t > critical[n_groups - step, df]:
            rejected = step + 1
        dropped[step] = highest
        left[highest] = False
    left[:] = True
    for step in range(rejected):
        _drop_group(histogram, codes, starts, left, dropped[step])
    _, last_t, last_df = _t_of_highest(sums, squares, starts, left)
    return first_t, first_df, last_t, last_df, rejected


@kernel
def grouped_statistics(values, order, work, integer, starts, alpha, critical,
                       avg, std, iqr, top, arg, n_used, n_rejected, first, last, first_df, last_df):
    """Statistics of each pixel over the groups of frames that carry only background.

    values : (frame, pixel); order : (frame,) frames sorted by group; starts : (group + 1,) limits of the groups in
    `order`; alpha : level of the Kruskal-Wallis test, used where `critical` is empty; critical : (groups left, degrees
    of freedom) limits of t, which choose the test of the highest group. Outputs (pixel,): `first` and `last` get
    p-values (kruskal) or t (maxgroup, with degrees of freedom).
    """
    n_frames, n_pixels = values.shape
    n_groups = starts.size - 1
    histogram = np.zeros(max(MAX_RANGE, n_frames), np.int32)
    ranks = np.empty(histogram.size, np.float64)
    codes = np.empty(n_frames, np.int32)
    levels = np.empty(n_frames, np.float64)
    left = np.empty(n_groups, np.bool_)
    sums, squares = np.empty(n_groups), np.empty(n_groups)
    dropped = np.empty(n_groups, np.int64)
    for begin in range(0, n_pixels, work.shape[0]):
        count = min(work.shape[0], n_pixels - begin)
        _gather(values, order, begin, count, work)
        for j in range(count):
            p, row = begin + j, work[j]
            low, high, frame = _extremes(row, order)
            direct = integer and high - low < MAX_RANGE
            n_codes = _encode(row, low, direct, codes, levels)
            for place in range(n_frames):
                histogram[codes[place]] += 1
            left[:] = True
            if critical.size:
                first[p], first_df[p], last[p], last_df[p], rejected = _reject_by_maxgroup(
                    row, low, codes, histogram, starts, left, sums, squares, dropped, critical)
            else:
                first[p], last[p], rejected = _reject_by_kruskal(
                    histogram, n_codes, codes, starts, left, ranks, sums, alpha)
            keep = np.int64(0)
            for group in range(n_groups):
                if left[group]:
                    keep += starts[group + 1] - starts[group]
            avg[p], std[p], iqr[p] = _moments_and_iqr(histogram, keep, low, direct, levels)
            histogram[:n_codes] = 0
            top[p], arg[p], n_used[p], n_rejected[p] = high, frame, keep, rejected
