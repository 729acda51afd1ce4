"""Spots as connected components of strong pixels, within a chunk of frames and across the borders of chunks.

Two strong pixels of one panel belong to one spot if they are neighbours along fast, slow or, in three dimensions,
frame (6-connected; 4-connected within a frame in two dimensions). Components are numbered by their first pixel in the
order (frame, panel, slow, fast). The union-find follows Hoshen, J. & Kopelman, R. (1976), Phys. Rev. B 14, 3438-3445,
on the sparse list of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from xdp.spotfinding.spots._kernels_label import label_keys


class Pixels(NamedTuple):
    """Strong pixels, sorted by (frame, panel, slow, fast)."""

    frame: np.ndarray
    """int32 (n,): frame, counted as in the scan's array range."""
    panel: np.ndarray
    """int32 (n,)"""
    slow: np.ndarray
    """int32 (n,)"""
    fast: np.ndarray
    """int32 (n,)"""
    value: np.ndarray
    """float64 (n,): counts."""

    @property
    def size(self) -> int:
        """Number of pixels."""
        return len(self.frame)

    def select(self, which: np.ndarray) -> Pixels:
        """The pixels that a mask or an index array picks, in its order.

        Parameters
        ----------
        which : (n,) bool, or (k,) int

        Returns
        -------
        Pixels
        """
        return Pixels(*(column[which] for column in self))

    def sorted(self) -> Pixels:
        """In canonical order."""
        return self.select(np.lexsort((self.fast, self.slow, self.panel, self.frame)))

    @classmethod
    def empty(cls) -> Pixels:
        """No pixels."""
        none = np.zeros(0, np.int32)
        return cls(none, none, none, none, np.zeros(0, np.float64))

    @classmethod
    def concatenate(cls, parts: Iterable[Pixels]) -> Pixels:
        """All pixels of `parts`, one part after the other."""
        parts = list(parts) or [cls.empty()]
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    @classmethod
    def from_index(cls, frame: int, panel: int, index: np.ndarray, value: np.ndarray, width: int) -> Pixels:
        """Make the strong pixels of one panel image from flat indices.

        Parameters
        ----------
        frame, panel : int
            Of all of them.
        index : (n,) int
            Flat indices into the (slow, fast) image, in order.
        value : (n,) float
            Counts.
        width : int
            Pixels of the image along fast.

        Returns
        -------
        Pixels

        Examples
        --------
        >>> pixels = Pixels.from_index(3, 0, np.array([2, 7]), np.array([40.0, 50.0]), width=5)
        >>> pixels.slow.tolist(), pixels.fast.tolist()
        ([0, 1], [2, 2])
        """
        index = index.astype(np.int32, copy=False)
        slow = index // np.int32(width)  # several times faster than divmod
        return cls(np.full(len(index), frame, np.int32), np.full(len(index), panel, np.int32), slow,
                   index - slow * np.int32(width), value.astype(np.float64, copy=False))


def label_pixels(frame: np.ndarray, panel: np.ndarray, slow: np.ndarray, fast: np.ndarray, *,
                 two_d: bool = False) -> np.ndarray:
    """The component that each strong pixel belongs to.

    Parameters
    ----------
    frame, panel, slow, fast : (n,) integers, none of panel, slow and fast negative
        Pixels in canonical order: ascending in (frame, panel, slow, fast), none twice.
    two_d : bool
        Do not connect pixels of neighbouring frames.

    Returns
    -------
    (n,) int32
        Components, counted from 0 in order of their first pixels.

    Raises
    ------
    ValueError
        If the pixels are not in order.
    """
    if not len(frame):
        return np.zeros(0, np.int32)
    # one more than the largest index + 1: the last pixel of a row and the first of the next do not differ by 1
    width, height = int(np.max(fast)) + 2, int(np.max(slow)) + 2
    per_frame = (int(np.max(panel)) + 1) * height * width
    key = (np.asarray(frame, np.int64) - int(frame[0])) * per_frame
    key += (np.asarray(panel, np.int64) * height + slow) * width + fast
    steps = np.array([1, width] if two_d else [1, width, per_frame], np.int64)
    labels = np.empty(len(key), np.int32)
    count = label_keys(key, steps, np.empty(len(key), np.int64), labels)
    if count < 0:
        raise ValueError(f"strong pixels must ascend in (frame, panel, slow, fast); pixel {-1 - count} does not")
    return labels


def is_open(labels: np.ndarray, frame: np.ndarray, borders: Iterable[int]) -> np.ndarray:
    """Which pixels belong to a component that has a pixel in one of the frames `borders`: bool (n,).

    A chunk's border frames are its first one where a chunk comes before it, its last one where one comes after.
    """
    on_border = np.isin(frame, np.fromiter(borders, np.int64))
    # by component, not by pixel: a spot is open as a whole
    touched = np.zeros(int(labels.max(initial=-1)) + 1, bool)
    touched[labels[on_border]] = True
    return touched[labels]


class SeamJoiner:
    """Joins the components that cross the borders of consecutive chunks of frames.

    Give it each chunk's open pixels (:func:`is_open`) in order of the chunks; it gives back those that are now
    complete. What it has given back in the end is the same however the frames were cut.
    """

    def __init__(self, *, two_d: bool = False):
        self._two_d = two_d
        self._waiting = Pixels.empty()

    def add(self, pixels: Pixels, next_frame: int | None) -> Pixels:
        """Add a chunk's open pixels; the pixels of components that do not reach the border before `next_frame`.

        `next_frame` is the first frame of the chunk to come, None after the last chunk: then all come back.
        """
        joined = Pixels.concatenate([self._waiting, pixels])
        if next_frame is None:
            self._waiting = Pixels.empty()
            return joined
        labels = label_pixels(*joined[:4], two_d=self._two_d)
        # what does not reach the last frame so far cannot go on in the next chunk
        waits = is_open(labels, joined.frame, [next_frame - 1])
        self._waiting = joined.select(waits)
        return joined.select(~waits)


def count_component_pixels(labels: np.ndarray) -> np.ndarray:
    """Count the pixels of each component.

    Parameters
    ----------
    labels : (n,) int
        Component of each pixel, from 0.

    Returns
    -------
    (n_components,) int64

    Examples
    --------
    >>> count_component_pixels(np.array([0, 0, 1])).tolist()
    [2, 1]
    """
    return np.bincount(labels, minlength=int(labels.max(initial=-1)) + 1)
