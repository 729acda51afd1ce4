"""Shoeboxes from frames, each frame decoded once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xdp.integration.shoeboxes._kernels_extract import cut_boxes, put_parts
from xdp.integration.shoeboxes.frames import FrameSource
from xdp.integration.shoeboxes.packing import pack_counts, pack_mask, unpack_counts, unpack_mask
from xdp.reflections.flags import MaskCode
from xdp.reflections.shoeboxes import Shoeboxes

Collector = Callable[[int, list[np.ndarray]], None]
"""Sees each frame while it is in memory: its number and the counts (slow, fast) of its panels."""


@dataclass(frozen=True)
class Boxes:
    """Pixels of some reflections on a range of frames.

    Attributes
    ----------
    rows : (n,) int64
        Rows of the reflection table.
    bbox : (n, 6) int32
        Their boxes; frames only as far as they are here.
    offsets : (n + 1,) int64
    data : (n_pixels,) float32
    mask : (n_pixels,) uint8
        Bits VALID and :data:`xdp.integration.shoeboxes._kernels_extract.OVERLOAD`.
    """

    rows: np.ndarray
    bbox: np.ndarray
    offsets: np.ndarray
    data: np.ndarray
    mask: np.ndarray

    def split(self, group: np.ndarray) -> Iterator[tuple[int, Boxes]]:
        """Each group's number and boxes, without copying pixels.

        Parameters
        ----------
        group : (n,) int
            Of each box, ascending.
        """
        edges = [0, *(np.flatnonzero(np.diff(group)) + 1), len(group)]
        for first, last in itertools.pairwise(edges if len(group) else []):
            offsets = self.offsets[first:last + 1]
            pixels = slice(offsets[0], offsets[-1])
            yield int(group[first]), Boxes(self.rows[first:last], self.bbox[first:last], offsets - offsets[0],
                                           self.data[pixels], self.mask[pixels])

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """As plain arrays for a file, pixels packed (:mod:`~xdp.integration.shoeboxes.packing`).

        `prefix` begins their names, under which :class:`PackedBoxes` finds them.
        """
        return ({f"{prefix}rows": self.rows, f"{prefix}bbox": self.bbox} | pack_counts(self.data, f"{prefix}data.")
                | pack_mask(self.mask, int(MaskCode.VALID), f"{prefix}mask."))


@dataclass(frozen=True)
class PackedBoxes:
    """The boxes of :meth:`Boxes.arrays`, rows ascending; their pixels are unpacked as they are asked for.

    Attributes
    ----------
    named : mapping of str to array
        With others, perhaps.
    prefix : str
        What the names of these begin with.
    """

    named: Mapping[str, np.ndarray]
    prefix: str

    @cached_property
    def _offsets(self) -> np.ndarray:
        return compute_box_offsets(self.named[f"{self.prefix}bbox"])

    def between(self, first: int, last: int) -> Boxes:
        """The boxes of the rows `first` to `last`, both included, as far as they are among these."""
        rows = self.named[f"{self.prefix}rows"]
        start, stop = np.searchsorted(rows, (first, last + 1)).tolist()
        offsets = self._offsets[start:stop + 1]
        pixels = offsets[[0, -1]].tolist()
        return Boxes(rows[start:stop], self.named[f"{self.prefix}bbox"][start:stop], offsets - offsets[0],
                     unpack_counts(self.named, f"{self.prefix}data.", *pixels),
                     unpack_mask(self.named, f"{self.prefix}mask.", *pixels))


def compute_areas(bbox: np.ndarray) -> np.ndarray:
    """Pixels of each box on one frame.

    Parameters
    ----------
    bbox : (n, 6) int
        Half-open limits: fast, fast, slow, slow, frame, frame.

    Returns
    -------
    (n,) int64

    Examples
    --------
    >>> compute_areas(np.array([[10, 13, 4, 8, 0, 5]])).tolist()
    [12]
    """
    # Widened first: limits of int32 may be 2 million pixels apart.
    extent: np.ndarray = np.diff(bbox.reshape(-1, 3, 2).astype(np.int64), axis=2)[:, :2, 0]
    return extent[:, 0] * extent[:, 1]


def compute_box_offsets(bbox: np.ndarray) -> np.ndarray:
    """Where the pixels of each box begin among those of all, and where the last ends.

    Parameters
    ----------
    bbox : (n, 6) int
        Half-open limits: fast, fast, slow, slow, frame, frame.

    Returns
    -------
    (n + 1,) int64

    Examples
    --------
    >>> compute_box_offsets(np.array([[10, 13, 4, 8, 0, 5], [0, 2, 0, 2, 3, 4]])).tolist()
    [0, 60, 64]
    """
    return np.concatenate([[0], np.cumsum(compute_areas(bbox) * (bbox[:, 5] - bbox[:, 4]))])


def extract(source: FrameSource, rows: np.ndarray, panel: np.ndarray, bbox: np.ndarray, first: int, last: int,
            collect: Collector | None = None) -> Boxes:
    """What the frames `first` to `last` - 1 hold of the boxes of reflections.

    Parameters
    ----------
    source : FrameSource
        Each frame is read once.
    rows : (n,) int64
        Reflections whose boxes meet these frames.
    panel, bbox : (n_table,), (n_table, 6)
        Columns of the whole table.
    first, last : int
        Frames.
    collect : callable, optional
        Shown each frame that is not excluded.
    """
    here = bbox[rows].copy()
    here[:, 4], here[:, 5] = np.maximum(here[:, 4], first), np.minimum(here[:, 5], last)
    offsets = compute_box_offsets(here)
    # Zeros: pixels beside the panel and on excluded frames are never written, and stay not valid.
    data, mask = np.zeros(offsets[-1], np.float32), np.zeros(offsets[-1], np.uint8)
    panels = panel[rows]
    for z in range(first, last):
        frame = source.read(z)
        if frame is None:
            continue
        if collect is not None:
            collect(z, [part.image for part in frame])
        # Boxes are looked through once a frame, not once a panel: detectors may have hundreds.
        active = np.flatnonzero((here[:, 4] <= z) & (z < here[:, 5]))
        for i, part in enumerate(frame):
            chosen = active if len(frame) == 1 else active[panels[active] == i]
            if len(chosen):
                cut_boxes(part.image, part.valid, part.low, part.high, z, chosen, here, offsets, data, mask)
    return Boxes(rows, here, offsets, data, mask)


def assemble(rows: np.ndarray, bbox: np.ndarray, parts: Sequence[Boxes]) -> Boxes:
    """Whole boxes of the reflections `rows` from their parts.

    Parameters
    ----------
    rows : (n,) int64
        Ascending.
    bbox : (n_table, 6)
        Column of the whole table.
    parts : sequence of Boxes
        Each with any of these rows, and others, ascending; together they hold all frames.
    """
    whole = bbox[rows]
    offsets = compute_box_offsets(whole)
    data, mask = np.zeros(offsets[-1], np.float32), np.zeros(offsets[-1], np.uint8)
    plane = compute_areas(whole)
    for part in parts:
        # A part ends before its last row or holds others between: only equal rows are its own.
        at = np.searchsorted(part.rows, rows)
        there = np.flatnonzero(at < len(part.rows))
        there = there[part.rows[at[there]] == rows[there]]
        source = at[there]
        sizes = part.offsets[source + 1] - part.offsets[source]
        begin = offsets[there] + (part.bbox[source, 4] - whole[there, 4]) * plane[there]
        put_parts(part.offsets[source], begin, sizes, part.data, part.mask, data, mask)
    return Boxes(rows, whole, offsets, data, mask)


def make_shoeboxes(boxes: Boxes, panel: np.ndarray) -> Shoeboxes:
    """Whole boxes as shoeboxes, which share their pixels.

    Parameters
    ----------
    boxes : Boxes
    panel : (n_table,) int
        Column of the whole table.
    """
    return Shoeboxes(panel[boxes.rows], boxes.bbox, boxes.offsets, boxes.data, boxes.mask)
