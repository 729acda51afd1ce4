"""Spot masks: which pixels stand out of the background, cleaned, joined over frames, and labelled.

A mask is kept as bits, (row, word) of uint64 with 64 pixels a word, until it is written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.laue._kernels_masks import (
    count_runs,
    label_runs,
    list_label_pixels,
    morph_bits,
    paint_runs,
    threshold_bits,
    unpack_bits,
)


@dataclass(frozen=True)
class Filter:
    """How raw masks are cleaned: erosions, then dilations, with the cross (connectivity 1) or square (2)."""

    erosions: int = 1
    dilations: int = 2
    connectivity: int = 2
    n_columns: int = 0


def draw_raw_masks(values: np.ndarray, avg: np.ndarray, std: np.ndarray, cutoff: float,
              *, exclude_constant: bool = False) -> np.ndarray:
    """Bits of the pixels with ``I >= avg + cutoff * std``.

    Parameters
    ----------
    values : ndarray, shape (n_frames, n_rows, n_columns)
        Counts.
    avg, std : ndarray, shape (n_rows, n_columns)
        The background and its spread.
    cutoff : float
        In units of `std`.
    exclude_constant : bool
        Leave out pixels with std = 0, which are equal to avg and so marked on every frame otherwise.

    Returns
    -------
    ndarray, shape (n_frames, n_rows, count_words), uint64
    """
    limit = avg + cutoff * std
    if exclude_constant:
        # no count reaches it
        limit = np.where(std == 0, np.inf, limit)
    if values.dtype.kind in "iu":
        # I >= x is I >= ceil(x) for whole numbers: integer comparisons, and no rounding enters
        whole = np.int32 if values.dtype.itemsize <= 2 else np.int64
        bounds = np.iinfo(np.int32) if whole is np.int32 else np.iinfo(np.int64)
        limit = np.clip(np.ceil(limit), bounds.min, np.nextafter(float(bounds.max), 0)).astype(whole)
    bits = np.empty((*values.shape[:2], count_words(values.shape[2])), np.uint64)
    threshold_bits(np.ascontiguousarray(values), np.ascontiguousarray(limit), bits)
    return bits


def count_words(n_columns: int) -> int:
    """Words of 64 pixels that hold a row."""
    return -(-n_columns // 64)


def filter_mask(bits: np.ndarray, how: Filter) -> np.ndarray:
    """Erode and dilate one mask.

    Parameters
    ----------
    bits : (n_rows, n_words) uint64
    how : Filter

    Returns
    -------
    (n_rows, n_words) uint64
        Pixels outside the image count as not set, as in ``scipy.ndimage``.
    """
    # the same structure for erosion, dilation and labelling, as in the reference
    full = how.connectivity > 1
    for erode, times in ((True, how.erosions), (False, how.dilations)):
        for _ in range(times):
            out = np.empty_like(bits)
            morph_bits(bits, full, erode, how.n_columns, out)
            if np.array_equal(out, bits):
                break  # empty, full, or stable: more steps change nothing
            bits = out
    return bits


def make_mask_image(bits: np.ndarray, n_columns: int) -> np.ndarray:
    """Unpack the bits of a mask.

    Parameters
    ----------
    bits : (n_rows, n_words) uint64
    n_columns : int

    Returns
    -------
    (n_rows, n_columns) uint8
        0 and 1.
    """
    image = np.empty((bits.shape[0], n_columns), np.uint8)
    unpack_bits(bits, image)
    return image


@dataclass(frozen=True)
class Labels:
    """The spots of one mask.

    Attributes
    ----------
    runs : ndarray, shape (n, 4), int32
        Row, begin, end, label of each run of set pixels.
    begin : ndarray, shape (n_labels + 1,), int64
        Limits of each label's part of `pixels`.
    box : ndarray, shape (n_labels, 4), int32
        Half-open limits: row begin, row end, column begin, column end.
    pixels : ndarray of int32
        Indices into the flattened image, ascending in each label.
    """

    runs: np.ndarray
    begin: np.ndarray
    box: np.ndarray
    pixels: np.ndarray

    @property
    def n_labels(self) -> int:
        """Number of spots."""
        return len(self.begin) - 1

    def make_image(self, shape: tuple[int, int]) -> np.ndarray:
        """The label of each pixel, int32, 0 outside spots."""
        image = np.zeros(shape, np.int32)
        paint_runs(self.runs, image)
        return image


def label_mask(bits: np.ndarray, n_columns: int, connectivity: int) -> Labels:
    """Number the connected spots of a mask 1, 2, ... in the order of their first pixels, row by row.

    Parameters
    ----------
    bits : (n_rows, n_words) uint64
    n_columns : int
    connectivity : int
        1: pixels touch along rows and columns; 2: at corners, too.

    Returns
    -------
    Labels
    """
    # counted first, so that all arrays have their size at once
    runs = np.empty((count_runs(bits), 4), np.int32)
    n_labels = label_runs(bits, connectivity > 1, runs)
    begin = np.zeros(n_labels + 1, np.int64)
    box = np.empty((n_labels, 4), np.int32)
    pixels = np.empty(int(np.sum(runs[:, 2] - runs[:, 1])), np.int32)
    list_label_pixels(runs, n_labels, n_columns, begin, box, pixels)
    return Labels(runs, begin, box, pixels)
