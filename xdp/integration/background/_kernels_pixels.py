"""What the kernels of the background take: the pixels of shoeboxes, and the codes of their masks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xdp.kernels import kernel

# Sums of xdp.reflections.flags.MaskCode, as plain bytes that kernels take: VALID 1, BACKGROUND 2, OVERLAPPED 32.
SELECTED, WANTED = np.uint8(35), np.uint8(3)
"""Of the bits `SELECTED` a usable pixel has those of `WANTED`: valid background that is no neighbour's."""
VALID_BACKGROUND = np.uint8(3)
"""Bits of valid background, whether a neighbour lies on it or not."""
USED, NOT_USED = np.uint8(16), np.uint8(239)
"""The bit BACKGROUND_USED, and all the others."""


class BackgroundPixels(NamedTuple):
    """The pixels of shoeboxes, one box after the other, frame by frame, row by row.

    Attributes
    ----------
    bbox : (n, 6) int32
        Half-open limits: fast, fast, slow, slow, frame, frame.
    offsets : (n + 1,) int64
        Pixels of box i are ``offsets[i]:offsets[i + 1]``; a box may have none.
    data, mask, background : (n_pixels,) float32, uint8, float32
        Counts, mask codes, and the background, which kernels write.
    """

    bbox: np.ndarray
    offsets: np.ndarray
    data: np.ndarray
    mask: np.ndarray
    background: np.ndarray


class Slab(NamedTuple):
    """A shoebox or some of its frames: `depth` frames of `height` by `width` pixels from pixel `first` on."""

    first: int | np.int64
    width: int | np.int64
    height: int | np.int64
    depth: int | np.int64


@kernel
def is_usable(code):
    """Whether a pixel of this mask code may be used for the background."""
    return (code & SELECTED) == WANTED


@kernel
def find_largest(offsets):
    """Pixels of the largest box, at least 1: the length of the arrays in which one box after the other is worked on."""
    largest = 1
    for i in range(len(offsets) - 1):
        largest = max(largest, offsets[i + 1] - offsets[i])
    return largest
