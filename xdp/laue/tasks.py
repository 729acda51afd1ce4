"""The two kinds of task of the Laue graph: a tile of rows over all frames, and the frames that share a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.laue.background import Grouping, Trimming, background
from xdp.laue.compression import encode
from xdp.laue.masks import Filter, filter_mask, label_mask, mask_image, raw_masks
from xdp.laue.spots import Maps, integrate
from xdp.laue.stack import ImageStack, RowTiles


@dataclass(frozen=True)
class Threshold:
    """How raw masks are drawn: see `raw_masks`."""

    cutoff: float = 3.0
    exclude_constant: bool = False


def tile_task(source: ImageStack | RowTiles, begin: int, end: int, how: Trimming | Grouping,
              threshold: Threshold) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Background statistics and raw mask bits of the rows begin ... end."""
    return values_task(source.rows(begin, end), how, threshold)


def values_task(values: np.ndarray, how: Trimming | Grouping,
                threshold: Threshold) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The same of all frames of a tile that are there already, (frame, row, column)."""
    stats = background(values, how)
    bits = raw_masks(values, stats["avg"], stats["std"], threshold.cutoff,
                     exclude_constant=threshold.exclude_constant)
    return stats, bits


@dataclass(frozen=True)
class MaskResult:
    """What one mask gives: images as they will be stored, and the spots of its frames.

    Attributes
    ----------
    raw, filtered : list of bytes or ndarray
        Of each frame.
    synced : bytes, ndarray or None
        The union of the filtered masks; None where masks are not synchronised.
    labels : bytes or ndarray
        Labels, int32.
    pixels : ndarray of int32
        Pixel lists of the labels, one after another.
    spots : list of dict
        Of each frame, as `integrate` gives them, with frame and mask; ``pixel_list_BE`` counts from this mask's first
        pixel.
    """

    raw: list
    filtered: list
    synced: bytes | np.ndarray | None
    labels: bytes | np.ndarray
    pixels: np.ndarray
    spots: list[dict[str, np.ndarray]]


def mask_task(source: ImageStack | RowTiles, mask: int, frames: np.ndarray, bits: np.ndarray, is_synced: bool,
              how: Filter, maps: Maps, compression: str) -> MaskResult:
    """Clean, join and label the masks of `frames` (bits: frame, row, word), and integrate the spots on each of them."""
    n_columns = how.n_columns
    cleaned = [filter_mask(one, how) for one in bits]
    joined = np.bitwise_or.reduce(cleaned, axis=0) if is_synced else cleaned[0]
    labels = label_mask(joined, n_columns, how.connectivity)
    limits = np.stack([labels.begin[:-1], labels.begin[1:]], axis=1)
    spots = []
    for frame in frames:
        # a frame without spots is not read again
        part = integrate(source.frame(int(frame)) if labels.n_labels else np.zeros((1, 1)), labels, maps)
        spots.append({**part, "pixel_list_BE": limits, "frame": np.full(labels.n_labels, frame, np.int32),
                      "mask": np.full(labels.n_labels, mask, np.int32)})
    return MaskResult(
        [encode(mask_image(one, n_columns), compression) for one in bits],
        [encode(mask_image(one, n_columns), compression) for one in cleaned],
        encode(mask_image(joined, n_columns), compression) if is_synced else None,
        encode(labels.image((joined.shape[0], n_columns)), compression),
        labels.pixels, spots)
