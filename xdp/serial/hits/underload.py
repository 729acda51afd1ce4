"""Dark borders: the value below which pixels of an image without tiles are no background, as Spotfinder finds it."""

from __future__ import annotations

import math

import numpy as np


def is_round(image: np.ndarray) -> bool:
    """Whether the image seems to come from a round detector: all pixels from 50 to 99 of its first corner are equal."""
    if min(image.shape) < 100:
        return False
    return bool((image[50:100, 50:100] == image[50, 50]).all())


def find_underload(image: np.ndarray) -> int:
    """The value at or below which pixels of an image without tiles are no background.

    A value that fills three neighbouring ones of 30 percentiles of the corners and the middle cross occurs so often
    that it is taken for that of dark borders: the next percentile is the underload, but never more than a tenth of all
    pixels are at or below it.

    Parameters
    ----------
    image : (slow, fast) int32

    Returns
    -------
    int

    Examples
    --------
    >>> find_underload(np.arange(90 * 90, dtype=np.int32).reshape(90, 90))
    0
    """
    if min(image.shape) < 100:
        return 0
    sample = np.sort(_sample_corners_and_cross(image))
    size = _sample_size(image.shape)
    # the arrays are indexed as Spotfinder does it: by the size it allots, padded with zeros where fewer were found
    sample = np.sort(np.concatenate([sample, np.zeros(max(0, size - len(sample)), sample.dtype)]))
    marks = [int(sample[size * (k + 1) // 31]) for k in range(30)]
    level = marks[30 // 4]
    if marks[29] == marks[28] == marks[27]:
        level = int(sample[size * 32 // 33])
    else:
        for k in range(28, 1, -1):
            if marks[k] == marks[k - 1] == marks[k - 2]:
                level = marks[k + 1]
                break
    every = _sample_disc(image) if is_round(image) else image[::2, ::2].ravel()
    return min(level, int(np.partition(every, int(0.1 * every.size))[int(0.1 * every.size)]))


def _sample_size(shape: tuple[int, int]) -> int:
    """Pixels that Spotfinder allots for corners and cross."""
    corner = shape[1] // 5
    return 4 * corner * corner + 40 * sum(shape) - 40 * 40


def _sample_corners_and_cross(image: np.ndarray) -> np.ndarray:
    """Pixels of the four corners, a fifth of the width each, and of a cross of 40 pixels through the middle."""
    height, width = image.shape
    corner, middle = width // 5, (height // 2, width // 2)
    rows = image[middle[0] - 20:middle[0] + 20]
    parts = [block[:, cut] for block in (image[:corner], image[height - corner:])
             for cut in (slice(0, corner), slice(width - corner, width))]
    column = image[:, middle[1] - 20:middle[1] + 20]
    parts += [column, rows[:, :middle[1] - 20], rows[:, middle[1] + 20:]]
    return np.concatenate([part.ravel() for part in parts])


def _sample_disc(image: np.ndarray) -> np.ndarray:
    """Every fourth pixel inside the circle that touches the image's edges."""
    height, width = image.shape
    out = []
    for slow in range(0, height, 2):
        chord = int(math.sqrt(max(0.0, image.size / 4 - (height // 2 - slow) ** 2)))
        out.append(image[slow, max(0, width // 2 - chord + 1):max(0, width // 2 + chord - 1):2])
    return np.concatenate(out)
