"""Kernels of the spot masks: one bit a pixel, 64 pixels of a row in a word, the lowest bit first.

Erosion and dilation are then a few shifts a word; labelling works on the runs of set pixels of each row.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel


@kernel
def threshold_bits(values, limit, bits):
    """Set the bits of `bits` (frame, row, word) where ``values >= limit``; values (frame, row, column)."""
    n_frames, n_rows, n_columns = values.shape
    for frame in range(n_frames):
        for row in range(n_rows):
            for word in range(bits.shape[2]):
                begin = 64 * word
                # the loop over the bits has no branch: comparisons are bits already
                packed = np.uint64(0)
                for k in range(min(64, n_columns - begin)):
                    packed |= np.uint64(values[frame, row, begin + k] >= limit[row, begin + k]) << np.uint64(k)
                bits[frame, row, word] = packed


@kernel
def unpack_bits(bits, image):
    """Write 0 and 1 for the bits (row, word) to `image` (row, column)."""
    for row in range(image.shape[0]):
        for word in range(bits.shape[1]):
            packed = bits[row, word]
            begin = 64 * word
            for k in range(min(64, image.shape[1] - begin)):
                image[row, begin + k] = (packed >> np.uint64(k)) & np.uint64(1)


@kernel
def _with_neighbours(bits, row, word, erode):
    """A word combined with itself shifted one pixel left and right: AND for erosion, OR for dilation."""
    one, top = np.uint64(1), np.uint64(63)
    here = bits[row, word]
    # the outermost bits of a word have their neighbours in the words beside it
    before = bits[row, word - 1] >> top if word > 0 else np.uint64(0)
    after = bits[row, word + 1] << top if word + 1 < bits.shape[1] else np.uint64(0)
    left, right = (here << one) | before, (here >> one) | after
    return here & left & right if erode else here | left | right


@kernel
def morph_bits(bits, full, erode, n_columns, out):
    """One erosion or dilation of `bits` (row, word) with the 3x3 square (`full`) or cross; outside nothing is set."""
    n_rows, count_words = bits.shape
    spare = np.uint64(64 * count_words - n_columns)
    # bits beyond the last column stay 0, whatever is dilated into them
    tail = ~np.uint64(0) >> spare
    for row in range(n_rows):
        for word in range(count_words):
            result = _with_neighbours(bits, row, word, erode)
            for other in (row - 1, row + 1):
                near = np.uint64(0)
                if 0 <= other < n_rows:
                    near = _with_neighbours(bits, other, word, erode) if full else bits[other, word]
                result = result & near if erode else result | near
            out[row, word] = result & tail if word == count_words - 1 else result


@kernel
def count_runs(bits):
    """Number of runs of set pixels in all rows."""
    n = np.int64(0)
    for row in range(bits.shape[0]):
        previous = np.uint64(0)
        for word in range(bits.shape[1]):
            # a run begins where a bit is set and the one before is not
            rising = bits[row, word] & ~((bits[row, word] << np.uint64(1)) | previous)
            while rising:
                rising &= rising - np.uint64(1)
                n += 1
            previous = bits[row, word] >> np.uint64(63)
    return n


@kernel
def _fill_runs(bits, runs, first_of_row):
    """Write (row, begin, end) of each run, rows first; `first_of_row` gets the limits of the rows' runs."""
    n = 0
    for row in range(bits.shape[0]):
        first_of_row[row] = n
        inside = False
        for word in range(bits.shape[1]):
            packed = bits[row, word]
            # most words are empty
            if packed == 0 and not inside:
                continue
            for k in range(64):
                is_set = (packed >> np.uint64(k)) & np.uint64(1) != 0
                if is_set and not inside:
                    runs[n, 0], runs[n, 1] = row, 64 * word + k
                elif inside and not is_set:
                    runs[n, 2] = 64 * word + k
                    n += 1
                inside = is_set
        if inside:
            runs[n, 2] = 64 * bits.shape[1]
            n += 1
    first_of_row[bits.shape[0]] = n


@kernel
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def label_runs(bits, full, runs):
    """Label connected runs 1, 2, ... in the order of their first pixels; `runs` (n, 4) gets row, begin, end, label.

    Runs of neighbouring rows touch if they share a column, or with `full` also if they meet at a corner. Union-find
    with the earlier run as root, so that the numbers are those of ``scipy.ndimage.label``. Gives the number of labels.
    """
    first_of_row = np.empty(bits.shape[0] + 1, np.int64)
    _fill_runs(bits, runs, first_of_row)
    n = first_of_row[bits.shape[0]]
    # runs in the order of the image: the smaller root is the earlier run, and gives the label its place
    parent = np.arange(n)
    reach = 1 if full else 0
    for row in range(1, bits.shape[0]):
        above = first_of_row[row - 1]
        for i in range(first_of_row[row], first_of_row[row + 1]):
            # runs of both rows ascend, so that one pointer goes along the row above
            while above < first_of_row[row] and runs[above, 2] + reach <= runs[i, 1]:
                above += 1
            j = above
            while j < first_of_row[row] and runs[j, 1] < runs[i, 2] + reach:
                a, b = _root(parent, j), _root(parent, i)
                parent[max(a, b)] = min(a, b)
                j += 1
    n_labels = 0
    for i in range(n):
        root = _root(parent, i)
        if root == i:
            n_labels += 1
            runs[i, 3] = n_labels
        else:
            runs[i, 3] = runs[root, 3]
    return n_labels


@kernel
def paint_runs(runs, image):
    """Write each run's label into `image` (row, column), which was all 0."""
    for i in range(runs.shape[0]):
        image[runs[i, 0], runs[i, 1]:runs[i, 2]] = runs[i, 3]


@kernel
def list_label_pixels(runs, n_labels, n_columns, begin, box, pixels):
    """Pixel lists of the labels and the boxes round them.

    begin : (n_labels + 1,) limits of each label's part of `pixels`; box : (n_labels, 4) half-open limits of rows and of
    columns; pixels : indices into the flattened image, ascending in each label.
    """
    begin[:] = 0
    for i in range(runs.shape[0]):
        begin[runs[i, 3]] += runs[i, 2] - runs[i, 1]
    for label in range(n_labels):
        begin[label + 1] += begin[label]
    at = begin.copy()
    for i in range(runs.shape[0]):
        row, left, right, label = runs[i, 0], runs[i, 1], runs[i, 2], runs[i, 3] - 1
        # the first run of a label: its box begins here
        if at[label] == begin[label]:
            box[label, 0], box[label, 2], box[label, 3] = row, left, right
        box[label, 1] = row + 1
        box[label, 2], box[label, 3] = min(box[label, 2], left), max(box[label, 3], right)
        for column in range(left, right):
            pixels[at[label]] = row * n_columns + column
            at[label] += 1


@kernel
def integrate_labels(image, begin, pixels, avg, avg_corrected, variance, mean_variance, sums, peak):
    """Sum each label's pixels over the background; `image` and the maps are flat.

    sums : (n_labels, 4) gets sum(v - avg), sum(v - avg_corrected), sum(variance), sum(mean_variance);
    peak : (n_labels,) gets the index of the brightest pixel, the first among equals.
    """
    for label in range(begin.size - 1):
        best = pixels[begin[label]]
        s = np.zeros(4)
        for k in range(begin[label], begin[label + 1]):
            p = pixels[k]
            v = np.float64(image[p])
            s[0] += v - avg[p]
            s[1] += v - avg_corrected[p]
            s[2] += variance[p]
            s[3] += mean_variance[p]
            # not >=: of equal pixels the first
            if image[p] > image[best]:
                best = p
        sums[label] = s
        peak[label] = best
