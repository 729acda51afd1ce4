"""Numba kernels that lay shoeboxes out as DIALS' files have them, and read them back.

One shoebox is: panel (uint32), bbox (6 x int32), a byte (0: no pixels, 1: mask of int32, 2: mask of uint8), then all
its data (float32), all its mask, all its background (float32); little endian, without padding. So nothing is aligned,
and the kernels move bytes.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel


@kernel
def pack_shoeboxes(heads, offsets, data, mask, background, out):
    """Write shoeboxes one after the other into the bytes `out`.

    `heads` is (n, 28) bytes, `offsets` (n + 1) counts pixels, `data` and `background` are the bytes of float32 pixels
    (4 a pixel), `mask` is uint8. `out` has 29 bytes a shoebox and 12 a pixel.
    """
    at = np.int64(0)
    for box in range(heads.shape[0]):
        for k in range(28):  # panel and limits
            out[at + k] = heads[box, k]
        first = offsets[box]
        n_pixels = offsets[box + 1] - first
        # the marker: whether pixels follow
        out[at + 28] = np.uint8(1) if n_pixels > 0 else np.uint8(0)
        at += 29
        for k in range(4 * n_pixels):
            out[at + k] = data[4 * first + k]
            out[at + 8 * n_pixels + k] = background[4 * first + k]
        at += 4 * n_pixels
        for k in range(n_pixels):  # the mask's 8 bits widened to 32, little endian
            out[at + 4 * k] = mask[first + k]
            out[at + 4 * k + 1] = np.uint8(0)
            out[at + 4 * k + 2] = np.uint8(0)
            out[at + 4 * k + 3] = np.uint8(0)
        at += 8 * n_pixels  # mask, and the background that was written with the data


@kernel
def _int32_at(raw, at):
    """The little-endian int32 that starts at byte `at`."""
    low = np.uint32(raw[at]) | (np.uint32(raw[at + 1]) << np.uint32(8))
    high = (np.uint32(raw[at + 2]) << np.uint32(16)) | (np.uint32(raw[at + 3]) << np.uint32(24))
    value = np.int64(np.uint32(low | high))
    return value - np.int64(1 << 32) if value >= np.int64(1 << 31) else value


@kernel
def scan_shoeboxes(raw, heads, offsets):
    """Walk over packed shoeboxes: copy the (n, 29) heads and count pixels into `offsets`.

    Returns the number of bytes used, or -1 - box for the first box whose limits are reversed, whose marker is
    unknown, or that does not fit into what is left. No sum overflows: a volume is compared with the rest
    before it is multiplied on.
    """
    at = np.int64(0)
    size = np.int64(raw.shape[0])
    for box in range(heads.shape[0]):
        if size - at < 29:
            return np.int64(-1) - np.int64(box)
        for k in range(29):
            heads[box, k] = raw[at + k]
        at += 29
        marker = raw[at - 1]
        if marker > 2:
            return np.int64(-1) - np.int64(box)
        # data 4, background 4, and the mask's 4 or 1
        per_pixel = np.int64(12) if marker == 1 else np.int64(9)
        n_pixels = np.int64(1)
        for axis in range(3):
            extent = _int32_at(raw, at - 25 + 8 * axis + 4) - _int32_at(raw, at - 25 + 8 * axis)
            if extent < 0:
                return np.int64(-1) - np.int64(box)
            if extent > 0 and n_pixels > size // extent and marker > 0:
                return np.int64(-1) - np.int64(box)
            if marker > 0:
                n_pixels *= extent
        if marker == 0:
            n_pixels = np.int64(0)
        if n_pixels > (size - at) // per_pixel:
            return np.int64(-1) - np.int64(box)
        offsets[box + 1] = offsets[box] + n_pixels
        at += per_pixel * n_pixels
    return at


@kernel
def unpack_shoeboxes(raw, markers, offsets, data, mask, background):
    """Copy pixels out of packed shoeboxes that `scan_shoeboxes` has checked.

    `data` and `background` are bytes (4 a pixel), `mask` uint8. Returns -1, or the first box with a mask value
    beyond 8 bits.
    """
    at = np.int64(0)
    for box in range(markers.shape[0]):
        at += 29
        first = offsets[box]
        n_pixels = offsets[box + 1] - first
        step = np.int64(4) if markers[box] == 1 else np.int64(1)
        background_at = at + (4 + step) * n_pixels
        for k in range(4 * n_pixels):
            data[4 * first + k] = raw[at + k]
            background[4 * first + k] = raw[background_at + k]
        at += 4 * n_pixels
        for k in range(n_pixels):
            mask[first + k] = raw[at + step * k]
            for byte in range(1, step):  # a mask has eight bits here; more would be lost
                if raw[at + step * k + byte] != 0:
                    return np.int64(box)
        at = background_at + 4 * n_pixels
    return np.int64(-1)
