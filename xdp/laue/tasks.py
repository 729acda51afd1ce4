"""The two kinds of task of the Laue graph: a tile of rows over all frames, and the frames that share a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.laue.background import Grouping, Trimming, compute_background
from xdp.laue.compression import encode
from xdp.laue.masks import Filter, draw_raw_masks, filter_mask, label_mask, make_mask_image
from xdp.laue.spots import Maps, integrate_spots
from xdp.laue.stack import ImageStack, RowTiles


@dataclass(frozen=True)
class Threshold:
    """How raw masks are drawn: see `draw_raw_masks`."""

    cutoff: float = 3.0
    exclude_constant: bool = False


@dataclass(frozen=True)
class TileWork:
    """What the tasks of the first pass share.

    Attributes
    ----------
    how : Trimming or Grouping
        The method of background.
    threshold : Threshold
    source : ImageStack, RowTiles or None
        Where rows are read; None where tasks are given their values.
    """

    how: Trimming | Grouping
    threshold: Threshold
    source: ImageStack | RowTiles | None = None


def process_tile(work: TileWork, begin: int, end: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Compute the background and draw the raw masks of some rows, all frames.

    Parameters
    ----------
    work : TileWork
    begin, end : int
        Half-open range of rows.

    Returns
    -------
    stats : dict of ndarray
        Statistics (row, column); see `xdp.laue.background.compute_background`.
    bits : (n_frames, n_rows, n_words) uint64
        Raw masks.
    """
    assert work.source is not None
    return process_values(work, work.source.read_rows(begin, end))


def process_values(work: TileWork, values: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The same of all frames of a tile that are there already, (frame, row, column)."""
    stats = compute_background(values, work.how)
    bits = draw_raw_masks(values, stats["avg"], stats["std"], work.threshold.cutoff,
                     exclude_constant=work.threshold.exclude_constant)
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


@dataclass(frozen=True)
class MaskWork:
    """What the tasks of the second pass share.

    Attributes
    ----------
    source : ImageStack or RowTiles
        Where frames are read.
    is_synced : bool
        Whether the masks of the frames that share a mask are joined.
    how : Filter
        How masks are cleaned.
    maps : Maps
        The background.
    compression : str
        Of the images of masks and labels.
    """

    source: ImageStack | RowTiles
    is_synced: bool
    how: Filter
    maps: Maps
    compression: str


def process_mask(work: MaskWork, mask: int, frames: np.ndarray, bits: np.ndarray) -> MaskResult:
    """Clean, join and label the masks of some frames, and integrate the spots on each of them.

    Parameters
    ----------
    work : MaskWork
    mask : int
        Number of the mask that the frames share.
    frames : ndarray of int
    bits : (n_frames, n_rows, n_words) uint64
        Their raw masks.

    Returns
    -------
    MaskResult
    """
    n_columns, compression = work.how.n_columns, work.compression
    cleaned = [filter_mask(one, work.how) for one in bits]
    # the union: a spot seen on any of the frames is integrated on all
    joined = np.bitwise_or.reduce(cleaned, axis=0) if work.is_synced else cleaned[0]
    labels = label_mask(joined, n_columns, work.how.connectivity)
    # frames that share a mask share its pixel lists
    limits = np.stack([labels.begin[:-1], labels.begin[1:]], axis=1)
    spots = []
    for frame in frames:
        # a frame without spots is not read again
        image = work.source.read_frame(int(frame)) if labels.n_labels else np.zeros((1, 1))
        part = integrate_spots(image, labels, work.maps)
        spots.append({**part, "pixel_list_BE": limits, "frame": np.full(labels.n_labels, frame, np.int32),
                      "mask": np.full(labels.n_labels, mask, np.int32)})
    return MaskResult(
        [encode(make_mask_image(one, n_columns), compression) for one in bits],
        [encode(make_mask_image(one, n_columns), compression) for one in cleaned],
        encode(make_mask_image(joined, n_columns), compression) if work.is_synced else None,
        encode(labels.make_image((joined.shape[0], n_columns)), compression),
        labels.pixels, spots)
