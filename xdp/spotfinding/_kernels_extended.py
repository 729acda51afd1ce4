"""The second half of the extended dispersion threshold: peaks against the background around them, pixel by pixel.

Over-dispersed pixels are few, so this works on their list: it is eroded, and only for what is left is the mean of the
background pixels in the wider window formed.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel
from xdp.spotfinding._kernels_table import background_test


@kernel
def erode_list(index, radius, marks):
    """Keep pixels that have no pixel outside the list within `radius` rows and columns; the edges do not count.

    `marks` (slow, fast) is 0 on entry; on return 7 for the pixels that were kept, lower for the others of the list.
    """
    width, flat = marks.shape[1], marks.reshape(marks.size)
    for k in range(index.size):
        flat[index[k]] = 1
    start = np.int64(0)  # of the row; indices rise, so that no division is needed
    for k in range(index.size):
        at = index[k]
        while at >= start + width:
            start += width
        whole = True
        for c in range(max(start, at - radius), min(start + width, at + radius + 1)):
            whole &= flat[c] != 0
        if whole:
            flat[at] = 3
    for k in range(index.size):
        at = index[k]
        if flat[at] != 3:
            continue
        whole = True
        for r in range(-radius, radius + 1):
            near = at + r * width
            whole &= near < 0 or near >= flat.size or flat[near] >= 3
        if whole:
            flat[at] = 7


@kernel
def background_columns(raw, valid, marks, limits, row, half, first, last, number, total):
    """Number and sum of the background pixels in the window rows around `row`, of the columns from first to last."""
    number[:last - first] = 0
    total[:last - first] = 0
    for r in range(max(0, row - half), min(raw.shape[0], row + half + 1)):
        values, allowed, mark = raw[r, first:last], valid[r, first:last], marks[r, first:last]
        for c in range(values.size):
            ok = (allowed[c] != 0) & (mark[c] != 7) & (values[c] >= limits[1]) & (values[c] <= limits[2])
            number[c] += np.int64(ok)
            total[c] += np.int64(values[c]) if ok else np.int64(0)


@kernel
def strong_in_run(raw, row, first, last, start, half, number, total, rules, out, n_out):
    """Append the strong pixels of a run of peak pixels to `out`; column sums start at column `start`."""
    width = raw.shape[1]
    m, x, left, right = 0, 0, start, start
    for i in range(first, last):
        while right < min(width, i + half + 1):
            m, x, right = m + number[right - start], x + total[right - start], right + 1
        while left < i - half:
            m, x, left = m - number[left - start], x - total[left - start], left + 1
        value = float(raw[row, i])
        if x >= 0 and value > rules[2] and background_test(value, m, float(x), rules[4], rules[5] != 0, rules[1]):
            out[n_out] = row * width + i
            n_out += 1
    return n_out


@kernel
def strong_peaks(raw, valid, limits, half, rules, index, marks):
    """Those of the over-dispersed pixels `index` that are strong against their background; `index` is overwritten.

    Parameters
    ----------
    raw, valid, limits, rules : as for `_kernels_dispersion.dispersed_pixels`; half : of the first window
    index : (n,) int64 flat indices in order
    marks : uint8 (slow, fast), all 0, and all 0 again on return

    Returns
    -------
    int : how many pixels are strong; `index` begins with them
    """
    width, reach = raw.shape[1], half + 2
    flat, j, start_of_row = marks.reshape(marks.size), np.int64(0), np.int64(0)
    number, total = np.zeros(width, np.int64), np.zeros(width, np.int64)
    erode_list(index, min(half[0], half[1]) - 1, marks)
    out, n_out, k = np.empty(index.size, np.int64), 0, 0
    while k < index.size:
        if flat[index[k]] != 7:
            k += 1
            continue
        while index[k] >= start_of_row + width:
            start_of_row += width
            j += 1
        i = index[k] - start_of_row
        last, hopeful = i, False
        while last < width and marks[j, last] == 7:
            hopeful |= float(raw[j, last]) > rules[2]
            last += 1
        if hopeful:
            start, end = max(0, i - reach[1]), min(width, last + reach[1])
            background_columns(raw, valid, marks, limits, j, reach[0], start, end, number, total)
            n_out = strong_in_run(raw, j, i, last, start, reach[1], number, total, rules, out, n_out)
        k += last - i
    for k in range(index.size):
        flat[index[k]] = 0
    index[:n_out] = out[:n_out]
    return n_out
