"""Numba kernels that cut shoeboxes out of frames, and put them together from their parts."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

#: In a mask while boxes are processed: the count lies above the trusted range. No bit of DIALS'; never written.
OVERLOAD = np.uint8(64)


@kernel
def cut_boxes(image, valid, low, high, frame, chosen, bbox, offsets, data, mask):
    """Copy what one panel's frame holds of some boxes into their pixels.

    Pixels beyond the panel stay zero and not valid.

    Parameters
    ----------
    image : (slow, fast) of any number type
        Counts.
    valid : (slow, fast) bool
        Pixels that may be used; (0, 0) where all may.
    low, high : float
        Counts beyond these are not valid; both are valid themselves.
    frame : int
        Number of the frame, as in `bbox`.
    chosen : (k,) int64
        Boxes that the frame meets.
    bbox, offsets : (n, 6) int32, (n + 1,) int64
        Limits, and where the pixels (frame, slow, fast) of each box begin.
    data, mask : (n_pixels,) float32, uint8
        Filled; zero before.
    """
    height = np.int64(image.shape[0])
    width = np.int64(image.shape[1])
    is_masked = valid.shape[0] > 0
    for i in chosen:
        x0, x1 = np.int64(bbox[i, 0]), np.int64(bbox[i, 1])
        y0, y1 = np.int64(bbox[i, 2]), np.int64(bbox[i, 3])
        # The place in the box of pixel (x, y) of the panel is at + (y - y0) * (x1 - x0) + x - x0.
        at = offsets[i] + (frame - bbox[i, 4]) * (y1 - y0) * (x1 - x0)
        for y in range(max(y0, np.int64(0)), min(y1, height)):
            k = at + (y - y0) * (x1 - x0) - x0
            for x in range(max(x0, np.int64(0)), min(x1, width)):
                value = image[y, x]
                data[k + x] = value  # kept of bad pixels too: shoeboxes in files show what was there
                if is_masked and not valid[y, x]:
                    continue
                if value > high:
                    mask[k + x] = OVERLOAD
                elif value >= low:
                    mask[k + x] = np.uint8(1)


@kernel
def put_parts(taken, put, sizes, data, mask, whole_data, whole_mask):
    """Copy parts of boxes to their places in the whole ones.

    Part j is the ``sizes[j]`` pixels from ``taken[j]`` on in `data` and `mask`; its place begins at ``put[j]`` of
    `whole_data` and `whole_mask`.
    """
    for j in range(taken.shape[0]):
        a, b = taken[j], put[j]
        for k in range(sizes[j]):
            whole_data[b + k] = data[a + k]
            whole_mask[b + k] = mask[a + k]
