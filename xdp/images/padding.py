"""Panels of unequal size in one array: smaller ones are padded at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xdp.images.reader import Reader


def compute_padded_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Compute the shape of the array that holds all panels.

    Parameters
    ----------
    shapes : sequence of (slow, fast)
        Of the panels.

    Returns
    -------
    (panel, slow, fast)

    Examples
    --------
    >>> compute_padded_shape([(195, 487), (200, 100)])
    (2, 200, 487)
    """
    return len(shapes), max(s for s, _ in shapes), max(f for _, f in shapes)


def choose_pad_value(dtype: np.dtype) -> int:
    """What stands where there is no pixel: -1, or 0 where there are no negative numbers."""
    return 0 if np.dtype(dtype).kind == "u" else -1


def pad_masks(masks: Sequence[np.ndarray] | None, shapes: Sequence[tuple[int, int]]) -> np.ndarray:
    """Put the masks of panels into one array.

    Parameters
    ----------
    masks : sequence of (slow, fast) bool, or None
        One a panel, True where the pixel is good; None where all are.
    shapes : sequence of (slow, fast)
        Of the panels.

    Returns
    -------
    (panel, slow, fast) bool
        False where a smaller panel has no pixel.
    """
    valid = np.zeros(compute_padded_shape(shapes), bool)
    for i, (slow, fast) in enumerate(shapes):
        valid[i, :slow, :fast] = True if masks is None else masks[i]
    return valid


def read_padded(reader: Reader, start: int, stop: int, shapes: Sequence[tuple[int, int]],
                dtype: np.dtype) -> np.ndarray:
    """Read frames into one array; they are decoded one by one.

    Parameters
    ----------
    reader : Reader
        Of the frames.
    start, stop : int
        First frame, from 0, and the one behind the last.
    shapes : sequence of (slow, fast)
        Of the panels.
    dtype : dtype
        Of the array.

    Returns
    -------
    (frame, panel, slow, fast) array
        With :func:`choose_pad_value` where a smaller panel has no pixel.
    """
    result = np.empty((stop - start, *compute_padded_shape(shapes)), dtype)
    # Panels of one size fill the whole array.
    if len(set(shapes)) > 1:
        result[...] = choose_pad_value(dtype)
    for i, frame in enumerate(range(start, stop)):
        for j, panel in enumerate(reader.read(frame)):
            result[i, j, :panel.shape[0], :panel.shape[1]] = panel
    return result
