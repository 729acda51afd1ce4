"""Boxes in which the Spotfinder recipe fits the background: how an image, or each of its tiles, is divided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

PILATUS = ((195, 17), (487, 7))
"""A Pilatus module's pixels and the gap that follows it, (slow, fast)."""
EIGER = ((514, 37), (1030, 10))
"""The same of an Eiger."""
PILATUS_MODULES = {(2527, 2463): (12, 5), (1679, 1475): (8, 3), (619, 487): (3, 1)}
"""Pilatus detectors (6M, 2M, 300K) whose modules Spotfinder knows, and how many of these there are (slow, fast)."""

Interval = tuple[int, int]


def split_evenly(first: int, last: int, size: int) -> list[Interval]:
    """Divide a line of pixels into as many equal intervals as are at least `size` long; they begin at pixel 0.

    That they begin at 0 and not at `first` is how Spotfinder divides an image that has no tiles.

    Parameters
    ----------
    first, last : int
        Pixels searched, both included: their number is divided.
    size : int
        Least length, pixels.

    Returns
    -------
    list of (int, int)
        Intervals, ends excluded.

    Examples
    --------
    >>> split_evenly(20, 129, 51)
    [(0, 55), (55, 110)]
    """
    n = (last - first + 1) // size
    width = (last - first + 1) / n if n else 0.0
    return [(int(k * width), int((k + 1) * width)) for k in range(n)]


def split_tile(begin: int, end: int, margin: int, size: int) -> list[Interval]:
    """Divide the part of a tile within its margin into intervals of at least about `size`.

    Parameters
    ----------
    begin, end : int
        The tile's pixels, the end excluded.
    margin : int
        Pixels left out at either end.
    size : int
        Least length, pixels; a shorter tile is not searched.

    Returns
    -------
    list of (int, int)
        Intervals, ends excluded.

    Examples
    --------
    >>> split_tile(0, 194, 1, 51)
    [(1, 65), (65, 129), (129, 193)]
    """
    start, finish = begin + margin, end - margin - 1
    n, out, at = (finish - start + 1) // size, [], start
    for k in range(n):
        stop = start + int((k + 1) / n * (finish - start)) + 1
        out.append((at, stop))
        at = stop
    return out


def divide_modules(module: tuple[int, int], n_modules: int, size: int, searched: Interval) -> list[Interval]:
    """Divide a row of modules with gaps between them, each into equal intervals of more than `size`.

    Parameters
    ----------
    module : (int, int)
        A module's pixels, and those of the gap that follows.
    n_modules : int
    size : int
        Least length, pixels.
    searched : (int, int)
        Pixels searched, both included; intervals outside are left out.

    Returns
    -------
    list of (int, int)
        Intervals, ends excluded.

    Examples
    --------
    >>> divide_modules((195, 17), 2, 101, (20, 380))
    [(0, 195), (212, 407)]
    """
    n, out = (module[0] - 1) // size, []
    for k in range(n_modules):
        origin = k * sum(module)
        for j in range(n):
            begin, end = origin + int(j * (module[0] / n)), origin + int((j + 1) * (module[0] / n))
            if begin < searched[1] and end - 1 > searched[0]:
                out.append((begin, end))
    return out


def _cross(rows: Iterable[Interval], columns: Sequence[Interval]) -> list[tuple[int, int, int, int]]:
    """Boxes (slow0, fast0, slow1, fast1) of each interval of rows with each of columns."""
    return [(row[0], column[0], row[1], column[1]) for row in rows for column in columns]


def count_modules(shape: tuple[int, int]) -> tuple[tuple[tuple[int, int], tuple[int, int]], tuple[int, int]] | None:
    """Modules of a detector of this shape: sizes with gaps, and numbers (slow, fast); None where it is no known one.

    Parameters
    ----------
    shape : (int, int)
        Pixels of the image, (slow, fast).

    Examples
    --------
    >>> count_modules((619, 487))
    (((195, 17), (487, 7)), (3, 1))
    >>> count_modules((800, 800)) is None
    True
    """
    if shape in PILATUS_MODULES:
        return PILATUS, PILATUS_MODULES[shape]
    numbers = tuple((n + gap) // (size + gap) for n, (size, gap) in zip(shape, EIGER, strict=True))
    whole = all(n == k * size + (k - 1) * gap for n, k, (size, gap) in zip(shape, numbers, EIGER, strict=True))
    return (EIGER, (numbers[0], numbers[1])) if whole and min(numbers) > 0 else None


def make_boxes(shape: tuple[int, int], size: int, margin: int,
               tiles: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """The boxes of one pass over an image.

    Parameters
    ----------
    shape : (int, int)
        Pixels of the image, (slow, fast).
    size : int
        Least side of a box, pixels.
    margin : int
        Pixels along the edges of the image, or of each tile, that are not searched.
    tiles : sequence of (slow0, fast0, slow1, fast1), optional
        Ends excluded. Without them the modules of a Pilatus or Eiger are known by the image's shape; any other image
        is one tile.

    Returns
    -------
    (n, 4) int64
        slow0, fast0, slow1, fast1, ends excluded, in the order in which they are scored.

    Examples
    --------
    >>> make_boxes((120, 120), 51, 1, tiles=[(0, 0, 120, 120)]).tolist()
    [[1, 1, 60, 60], [1, 60, 60, 119], [60, 1, 119, 60], [60, 60, 119, 119]]
    """
    out: list[tuple[int, int, int, int]] = []
    modules = count_modules(shape)
    if tiles is not None:
        for slow0, fast0, slow1, fast1 in tiles:
            out += _cross(split_tile(slow0, slow1, margin, size), split_tile(fast0, fast1, margin, size))
    elif modules is not None:
        lines = [divide_modules(module, n, size, (margin, length - 1 - margin))
                 for module, n, length in zip(*modules, shape, strict=True)]
        out = _cross(*lines)
    else:
        out = _cross(*(split_evenly(margin, length - 1 - margin, size) for length in shape))
    return np.array(out, np.int64).reshape(-1, 4)
