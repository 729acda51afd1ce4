"""Numba kernel that sums shoeboxes and takes their centroids."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

# Bits of xdp.reflections.flags.MaskCode; OVERLOAD is ours, there while boxes are worked on (see _kernels_extract).
VALID = 1
BACKGROUND = 2
FOREGROUND = 4
BACKGROUND_USED = 16
OVERLAPPED = 32
OVERLOAD = 64


@kernel
def sum_boxes(bbox, offsets, data, mask, background, counts, sums, centres):
    """Count, sum and centre the pixels of boxes.

    Summed are foreground pixels that are valid and do not belong to a neighbour. `counts` (n, 8) gets the numbers of
    pixels: valid; valid background; used background; valid foreground; foreground; background; summed; overloaded.
    `sums` (n, 2) gets the sum of counts and that of the background beneath. `centres` (n, 6) gets the centroid of
    the positive part of counts less background, from the box's corner in (fast, slow, frame), and its variance
    ``sum w (x - m)^2 W / (W^2 - sum w^2) / W`` with W the sum of the weights w; -1 for the first where there is none.
    """
    moments = np.empty((3, 2))
    for i in range(bbox.shape[0]):
        width = np.int64(bbox[i, 1] - bbox[i, 0])
        height = np.int64(bbox[i, 3] - bbox[i, 2])
        _count_pixels(mask, offsets[i], offsets[i + 1], counts[i])
        weight, square = _add_foreground(width, height, data, mask, background, offsets[i], offsets[i + 1], sums[i],
                                         moments)
        # The variance of a mean of one pixel is not known: that box has no centroid either.
        centres[i, 0] = -1.0
        if weight > 0.0 and weight * weight > square:
            scale = weight / (weight * weight - square)
            for axis in range(3):
                mean = moments[axis, 0] / weight
                centres[i, axis] = mean
                centres[i, 3 + axis] = max(moments[axis, 1] / weight - mean * mean, 0.0) * scale


@kernel
def _count_pixels(mask, first, last, counts):
    """The numbers of a box's pixels by their codes, into `counts` (8,), as of :func:`sum_boxes`."""
    n_valid, n_valid_bg, n_used, n_valid_fg, n_fg, n_bg, n_sum, n_over = 0, 0, 0, 0, 0, 0, 0, 0
    for k in range(first, last):
        code = np.int64(mask[k])
        is_valid = (code & VALID) != 0
        n_valid += is_valid
        n_over += (code & OVERLOAD) != 0
        if code & FOREGROUND:
            n_fg += 1
            n_valid_fg += is_valid
            n_sum += is_valid and (code & OVERLAPPED) == 0
        elif code & BACKGROUND:
            n_bg += 1
            n_valid_bg += is_valid
            n_used += is_valid and (code & BACKGROUND_USED) != 0
    counts[0], counts[1], counts[2], counts[3] = n_valid, n_valid_bg, n_used, n_valid_fg
    counts[4], counts[5], counts[6], counts[7] = n_fg, n_bg, n_sum, n_over


@kernel
def _add_foreground(width, height, data, mask, background, first, last, sums, moments):
    """Sums of counts and background, into `sums` (2,), and of weights w: w, w^2; w x, w x^2 into `moments` (3, 2)."""
    total, beneath, weight, square = 0.0, 0.0, 0.0, 0.0
    mx, my, mz, vx, vy, vz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    k = first
    for z in range((last - first) // max(width * height, np.int64(1))):
        for y in range(height):
            for x in range(width):
                if (np.int64(mask[k]) & (VALID | FOREGROUND | OVERLAPPED)) == VALID | FOREGROUND:
                    value, below = np.float64(data[k]), np.float64(background[k])
                    total += value
                    beneath += below
                    w = value - below
                    if w > 0.0:
                        fx, fy, fz = x + 0.5, y + 0.5, z + 0.5
                        weight += w
                        square += w * w
                        mx, my, mz = mx + w * fx, my + w * fy, mz + w * fz
                        vx, vy, vz = vx + w * fx * fx, vy + w * fy * fy, vz + w * fz * fz
                k += 1
    sums[0], sums[1] = total, beneath
    moments[0, 0], moments[1, 0], moments[2, 0] = mx, my, mz
    moments[0, 1], moments[1, 1], moments[2, 1] = vx, vy, vz
    return weight, square


@kernel
def find_cores(bbox, offsets, mask, core):
    """The smallest limits (fast, fast, slow, slow, of the detector) that hold each box's foreground, into `core`.

    A box without foreground has a core of no pixels.
    """
    for i in range(bbox.shape[0]):
        width, height = bbox[i, 1] - bbox[i, 0], bbox[i, 3] - bbox[i, 2]
        x0, x1, y0, y1 = width, 0, height, 0
        k = offsets[i]
        while k < offsets[i + 1]:
            for y in range(height):
                for x in range(width):
                    if mask[k] & FOREGROUND:
                        x0, x1, y0, y1 = min(x0, x), max(x1, x + 1), min(y0, y), max(y1, y + 1)
                    k += 1
        if x1 <= x0:  # no foreground: limits that were never met
            x0, x1, y0, y1 = 0, 0, 0, 0
        core[i, 0], core[i, 1] = bbox[i, 0] + x0, bbox[i, 0] + x1
        core[i, 2], core[i, 3] = bbox[i, 2] + y0, bbox[i, 2] + y1


@kernel
def copy_cores(bbox, core, offsets, core_offsets, source, out):
    """Copy the pixels of boxes that lie within their cores.

    Parameters
    ----------
    bbox, core : (n, 6) int32
        Limits of the boxes, and of their cores, as :func:`find_cores` gives them.
    offsets, core_offsets : (n + 1,) int64
        Where the pixels of each begin, in `source` and in `out`.
    source, out : (n_pixels,), (n_core_pixels,) of one type
        `out` is filled.
    """
    for i in range(bbox.shape[0]):
        width, height = np.int64(bbox[i, 1] - bbox[i, 0]), np.int64(bbox[i, 3] - bbox[i, 2])
        k = core_offsets[i]
        for at in range(offsets[i], offsets[i + 1], max(width * height, np.int64(1))):
            for y in range(core[i, 2] - bbox[i, 2], core[i, 3] - bbox[i, 2]):
                for x in range(core[i, 0] - bbox[i, 0], core[i, 1] - bbox[i, 0]):
                    out[k] = source[at + y * width + x]
                    k += 1


@kernel
def flatten_boxes(offsets, flat_offsets, data, mask, flat_data, flat_mask):
    """Sum the frames of boxes; masks are joined, but a pixel is VALID only where it is on all frames."""
    for i in range(offsets.shape[0] - 1):
        area = flat_offsets[i + 1] - flat_offsets[i]
        for k in range(area):
            total = 0.0
            # Bits are joined; VALID alone must be there on each frame, or the sum lacks one.
            joined, valid = np.uint8(0), np.uint8(VALID)
            for at in range(offsets[i] + k, offsets[i + 1], area):
                total += np.float64(data[at])
                joined |= mask[at]
                valid &= mask[at]
            flat_data[flat_offsets[i] + k] = total
            flat_mask[flat_offsets[i] + k] = (joined & np.uint8(255 - VALID)) | valid
