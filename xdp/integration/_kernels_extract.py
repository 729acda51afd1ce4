"""Numba kernels that cut shoeboxes out of frames."""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel

#: In a mask while boxes are processed: the count lies above the trusted range. No bit of DIALS'; never written.
OVERLOAD = np.uint8(64)


@kernel
def cut_boxes(image, valid, low, high, frame, chosen, bbox, offsets, data, mask):
    """Copy what one panel's frame holds of some boxes into their pixels.

    `image` is (slow, fast) counts, `valid` the same shape, or (0, 0) where every pixel is good; counts outside
    `low`..`high` are not valid. `chosen` are the boxes that the frame meets; box i has pixels (frame, slow, fast) from
    ``offsets[i]`` on in `data` and `mask` (zero before). Pixels beyond the panel stay zero and not valid.
    """
    height = np.int64(image.shape[0])
    width = np.int64(image.shape[1])
    is_masked = valid.shape[0] > 0
    for i in chosen:
        x0, x1 = np.int64(bbox[i, 0]), np.int64(bbox[i, 1])
        y0, y1 = np.int64(bbox[i, 2]), np.int64(bbox[i, 3])
        at = offsets[i] + (frame - bbox[i, 4]) * (y1 - y0) * (x1 - x0)
        for y in range(max(y0, 0), min(y1, height)):
            k = at + (y - y0) * (x1 - x0) - x0
            for x in range(max(x0, 0), min(x1, width)):
                value = image[y, x]
                data[k + x] = value
                if is_masked and not valid[y, x]:
                    continue
                if value > high:
                    mask[k + x] = OVERLOAD
                elif value >= low:
                    mask[k + x] = np.uint8(1)


@kernel
def clear_bad(panel, bbox, offsets, bad_start, bad_slow, bad_fast, mask):
    """Make the bad pixels of each panel invalid on all frames of all boxes.

    Those of panel p are ``bad_start[p]`` to ``bad_start[p + 1]`` - 1, ascending in slow.
    """
    for i in range(bbox.shape[0]):
        p = np.int64(panel[i])
        width = np.int64(bbox[i, 1] - bbox[i, 0])
        area = width * np.int64(bbox[i, 3] - bbox[i, 2])
        first = bad_start[p] + np.searchsorted(bad_slow[bad_start[p]:bad_start[p + 1]], bbox[i, 2])
        for k in range(first, bad_start[p + 1]):
            if bad_slow[k] >= bbox[i, 3]:
                break
            if bad_fast[k] < bbox[i, 0] or bad_fast[k] >= bbox[i, 1]:
                continue
            for at in range(offsets[i] + (bad_slow[k] - bbox[i, 2]) * width + bad_fast[k] - bbox[i, 0], offsets[i + 1],
                            area):
                mask[at] = np.uint8(0)
