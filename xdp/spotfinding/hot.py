"""Hot pixels: those that are strong on every frame of a scan range; and those that spots through all frames show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def always_strong(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Pixels strong on all frames.

    Parameters
    ----------
    frames : iterable of (m,) int
        Flat pixel indices that are strong, sorted, for each frame.

    Returns
    -------
    (k,) int32
        Flat pixel indices, sorted; none for no frames.
    """
    common: np.ndarray | None = None
    for strong in frames:
        common = strong if common is None else np.intersect1d(common, strong, assume_unique=True)
    return np.zeros(0, np.int32) if common is None else common.astype(np.int32)


def hot_mask(shapes: Sequence[tuple[int, int]], hot: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Masks (slow, fast), False at the hot pixels, given by flat indices for each panel."""
    masks = [np.ones(shape, bool) for shape in shapes]
    for mask, pixels in zip(masks, hot, strict=True):
        mask.reshape(-1)[pixels] = False
    return masks


def full_depth_pixels(bbox: np.ndarray, depth: int) -> np.ndarray:
    """First pixels (fast, slow) of the spots whose box spans `depth` frames: what ``find_hot_pixels`` calls hot.

    Parameters
    ----------
    bbox : (n, 6) int
        x0 x1 y0 y1 z0 z1.
    depth : int
        Frames in the whole scan.

    Returns
    -------
    (k, 2) int
    """
    return bbox[bbox[:, 5] - bbox[:, 4] == depth][:, [0, 2]]
