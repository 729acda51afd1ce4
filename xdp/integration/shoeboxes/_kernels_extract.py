"""Numba kernels that cut shoeboxes out of frames, and put them together from their parts."""

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
        for y in range(max(y0, np.int64(0)), min(y1, height)):
            k = at + (y - y0) * (x1 - x0) - x0
            for x in range(max(x0, np.int64(0)), min(x1, width)):
                value = image[y, x]
                data[k + x] = value
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
