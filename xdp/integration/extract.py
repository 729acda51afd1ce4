"""Shoeboxes from frames, each frame decoded once: boxes are given away as soon as their last frame was read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xdp.integration._kernels_extract import cut_boxes
from xdp.integration.frames import FrameSource, PanelFrame
from xdp.reflections.shoeboxes import Shoeboxes

BATCH = 5
"""Boxes that end within so many frames of each other are processed together."""


@dataclass
class Boxes:
    """Pixels of some reflections on a range of frames.

    Attributes
    ----------
    rows : (n,) int64
        Rows of the reflection table.
    bbox : (n, 6) int32
        Their boxes.
    z_first, z_last : (n,) int32
        Frames of each box that are here: all, or only those of one block.
    offsets : (n + 1,) int64
    data : (n_pixels,) float32
    mask : (n_pixels,) uint8
    """

    rows: np.ndarray
    bbox: np.ndarray
    z_first: np.ndarray
    z_last: np.ndarray
    offsets: np.ndarray
    data: np.ndarray
    mask: np.ndarray

    @classmethod
    def empty(cls, rows: np.ndarray, bbox: np.ndarray, first: int, last: int) -> Boxes:
        """Boxes without counts, of the frames `first` to `last` - 1."""
        z_first, z_last = np.maximum(bbox[:, 4], first), np.minimum(bbox[:, 5], last)
        offsets = np.concatenate([[0], np.cumsum(areas(bbox) * (z_last - z_first))])
        return cls(rows, bbox, z_first, z_last, offsets, np.zeros(offsets[-1], np.float32),
                   np.zeros(offsets[-1], np.uint8))

    def shoeboxes(self, panel: np.ndarray) -> Shoeboxes:
        """As shoeboxes, where all frames are here."""
        return Shoeboxes(panel, self.bbox, self.offsets, self.data, self.mask)

    def cut(self, z: int, panels: list[PanelFrame] | None, panel: np.ndarray) -> None:
        """Take what frame `z` holds of the boxes; nothing from an excluded one (None)."""
        active = np.flatnonzero((self.z_first <= z) & (z < self.z_last))
        if panels is None or not len(active):
            return
        for i, frame in enumerate(panels):
            rows = active if len(panels) == 1 else active[panel[self.rows[active]] == i]
            if len(rows):
                cut_boxes(frame.image, frame.valid, frame.low, frame.high, z, rows, self.bbox, self.z_first,
                          self.z_last, self.offsets, self.data, self.mask)


def areas(bbox: np.ndarray) -> np.ndarray:
    """Pixels of each box on one frame, int64 (n,)."""
    extent = np.diff(bbox.reshape(-1, 3, 2).astype(np.int64), axis=2)[:, :2, 0]
    return extent[:, 0] * extent[:, 1]


def extract(source: FrameSource, rows: np.ndarray, panel: np.ndarray, bbox: np.ndarray, first: int, last: int
            ) -> Iterator[Boxes]:
    """The boxes of reflections on the frames `first` to `last` - 1.

    Parameters
    ----------
    source : FrameSource
        Each frame is read once.
    rows : (n,) int64
        Reflections whose boxes meet these frames.
    panel, bbox
        Columns of the whole table.
    first, last : int
        Frames.

    Yields
    ------
    Boxes
        Whole ones, in groups, as soon as their last frame was read; in the end those of which other frames hold a part.
    """
    whole = (bbox[rows, 4] >= first) & (bbox[rows, 5] <= last)
    groups = _groups(rows[whole], bbox, first)
    parts = Boxes.empty(rows[~whole], bbox[rows[~whole]], first, last)
    waiting: list[tuple[int, Boxes]] = []
    for z in range(first, last):
        while groups and groups[-1][0] <= z:
            _, end, members = groups.pop()
            waiting.append((end, Boxes.empty(members, bbox[members], first, last)))
        frame = source.read(z)
        for _, boxes in waiting:
            boxes.cut(z, frame, panel)
        parts.cut(z, frame, panel)
        finished = [boxes for end, boxes in waiting if end == z + 1]
        waiting = [item for item in waiting if item[0] != z + 1]
        yield from finished
    yield parts


def _groups(rows: np.ndarray, bbox: np.ndarray, first: int) -> list[tuple[int, int, np.ndarray]]:
    """Rows that are extracted together: (first frame, end, rows), the earliest last.

    Deep boxes go apart, lest their early start makes shallow ones wait in memory.
    """
    if not len(rows):
        return []
    begin, end = bbox[rows, 4], bbox[rows, 5]
    batch = (end - 1 - first) // BATCH
    is_deep = end - begin > 3 * BATCH
    groups = []
    for key in np.unique(2 * batch + is_deep):
        members = rows[2 * batch + is_deep == key]
        groups.append((int(bbox[members, 4].min()), int(bbox[members, 5].max()), members))
    return sorted(groups, key=lambda g: g[:2], reverse=True)
