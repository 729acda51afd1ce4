"""Which pixels of a shoebox are foreground, which background, and which belong to a neighbour.

A reflection's foreground is where its predicted profile reaches: within n sigma of the divergence, in the Kabsch
frame, on all frames of its box. What is foreground of two reflections belongs to that one whose prediction is nearer,
and is marked as overlapped in the other; so is background under a neighbour's foreground.

References
----------
W. Kabsch, Acta Cryst. D66, 133 (2010), doi:10.1107/S0907444909047374, on the reflection's own frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xdp.experiment import Detector
from xdp.integration.shoeboxes import _kernels_foreground as kernels
from xdp.integration.shoeboxes.extract import compute_areas
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

CELL = 32
"""Pixels along the sides of the squares in which neighbours are looked for. A choice: some twice a box, so that a box
touches few squares and a square few boxes."""


SHARES_BACKGROUND, SHARES_FOREGROUND = kernels.SHARES_BACKGROUND, kernels.SHARES_FOREGROUND


def make_panel_table(detector: Detector) -> kernels.PanelRows:
    """What outlines need of a detector, one row a panel; mu is 0 where a panel needs no correction for parallax."""
    frames = np.stack([np.asarray(detector.d_matrix(i), np.float64).T for i in range(len(detector))])
    axes = frames.copy()
    axes[:, 2] = np.cross(frames[:, 0], frames[:, 1])  # the third row of a d matrix is the origin
    return kernels.PanelRows(axes, np.einsum("pkx,px->pk", axes, frames[:, 2]),
                             np.array([p.pixel_size for p in detector], np.float64),
                             np.array([p.mu if p.corrects_parallax else 0.0 for p in detector], np.float64),
                             np.array([p.thickness or 0.0 for p in detector], np.float64))


@dataclass(frozen=True)
class Footprints:
    """The outlines of some reflections of one detector, and where each lies.

    Attributes
    ----------
    outlines : Outlines
        Which pixels of each are foreground, and columns of the whole table.
    cells : Cells
        Rows by squares of the panels: those that claim pixels of others.
    """

    outlines: kernels.Outlines
    cells: kernels.Cells

    @property
    def offsets(self) -> np.ndarray:
        """Where each outline begins, and where the last ends, int64 (m + 1,)."""
        return self.outlines.offsets

    @property
    def pixels(self) -> np.ndarray:
        """1 where a pixel (slow, fast) of its box is foreground, uint8, one outline after the other."""
        return self.outlines.pixels

    @classmethod
    def of(cls, rows: np.ndarray, table: ReflectionTable, detector: Detector, radius: np.ndarray,
           s0: np.ndarray | None = None) -> Footprints:
        """Make the outlines of the reflections `rows`.

        Parameters
        ----------
        rows : (m,) int64
        table : ReflectionTable
            With ``s1``, ``panel``, ``bbox`` and ``xyzcal.px``.
        detector : Detector
        radius : (n_table,) or (n_table, 2)
            How far each reflection's foreground reaches, radians; two numbers are along e1 and e2.
        s0 : (3,) float64, optional
            Incident beam; needed where the two differ.
        """
        panel, bbox = table["panel"].astype(np.int64), table["bbox"]
        offsets = np.concatenate([[0], np.cumsum(compute_areas(bbox[rows]))])
        pixels = np.empty(offsets[-1], np.uint8)
        if radius.ndim == 1:
            radius = np.stack([radius, radius], axis=1)
        # of circles it is not looked at
        s0 = np.array([0.0, 0.0, 1.0]) if s0 is None else np.asarray(s0, np.float64)
        predicted = kernels.PredictedRows(panel, bbox, table["s1"], radius, s0)
        kernels.draw_footprints(rows, predicted, make_panel_table(detector), offsets, pixels)
        return cls.from_pixels(rows, table, detector, offsets, pixels)

    @classmethod
    def from_pixels(cls, rows: np.ndarray, table: ReflectionTable, detector: Detector, offsets: np.ndarray,
                    pixels: np.ndarray) -> Footprints:
        """Outlines that are drawn already.

        Parameters
        ----------
        rows : (m,) int64
            Their rows of the table.
        table : ReflectionTable
            With ``panel``, ``bbox`` and ``xyzcal.px``.
        detector : Detector
        offsets, pixels : (m + 1,) int64, (n_pixels,) uint8
            The outline of ``rows[j]`` begins at ``offsets[j]`` of `pixels`: 1 where a pixel (slow, fast) of its box is
            foreground.
        """
        panel, bbox = table["panel"].astype(np.int64), table["bbox"]
        place = np.full(len(table), -1, np.int64)
        place[rows] = np.arange(len(rows))
        outlines = kernels.Outlines(place, offsets, pixels, panel, bbox, table["xyzcal.px"])
        return cls(outlines, _index_panels(rows, panel, bbox, detector))

    def claiming(self, rows: np.ndarray, detector: Detector) -> Footprints:
        """The same outlines, of which only some claim pixels of others.

        Parameters
        ----------
        rows : (k,) int64
            Rows of the table that claim.
        detector : Detector
        """
        return replace(self, cells=_index_panels(rows, self.outlines.panel, self.outlines.bbox, detector))

    def mark(self, own: np.ndarray, boxes: Shoeboxes, first: int, last: int) -> np.ndarray:
        """Set the bits FOREGROUND, BACKGROUND and OVERLAPPED in the masks of boxes.

        Parameters
        ----------
        own : (k,) int64
            Row of each box.
        boxes : Shoeboxes
            Their masks are changed.
        first, last : int
            Frames of the scan; beyond them pixels are neither foreground nor background.

        Returns
        -------
        (k,) uint8
            ``SHARES_FOREGROUND`` and ``SHARES_BACKGROUND`` of :mod:`xdp.integration.shoeboxes._kernels_foreground`.
        """
        shares = np.zeros(len(own), np.uint8)
        outlines = self.outlines
        kernels.mark_pixels(own, outlines.bbox, first, last, outlines.offsets[outlines.place[own]], outlines.pixels,
                            boxes.offsets, boxes.mask)
        kernels.mark_overlaps(own, outlines, self.cells, boxes.offsets, boxes.mask, shares)
        return shares


def add_neighbours(rows: np.ndarray, others: np.ndarray, panel: np.ndarray, bbox: np.ndarray, detector: Detector
                    ) -> np.ndarray:
    """Rows, ascending, and those of `others` whose boxes share pixels with theirs.

    Parameters
    ----------
    rows, others : (m,), (k,) int64
        Of the table; a row may be in both.
    panel, bbox : (n_table,), (n_table, 6)
        Columns of the table.
    detector : Detector

    Returns
    -------
    (k,) int64
    """
    panel = panel.astype(np.int64)
    meets = np.empty(len(others), bool)
    kernels.find_touching(others, panel, bbox, _index_panels(rows, panel, bbox, detector), meets)
    return np.union1d(rows, others[meets])


def compute_covered_fraction(imageset: np.ndarray, panel: np.ndarray, bbox: np.ndarray) -> np.ndarray:
    """The part of each box's pixels that lie in any other box of the same images and panel, (n,).

    Parameters
    ----------
    imageset, panel : (n,) int
    bbox : (n, 6) int32
    """
    # A group is one panel of one image set: boxes of other groups share no pixel.
    n_panels = int(panel.max(initial=0)) + 1
    group = np.asarray(imageset, np.int64) * n_panels + np.asarray(panel, np.int64)
    fraction = np.zeros(len(bbox))
    rows = np.arange(len(bbox))
    across, down = (int(bbox[:, k].max(initial=1)) // CELL + 1 for k in (1, 3))
    cells = _index_cells(rows, group, bbox, (across, down, int(group.max(initial=0)) + 1))
    largest = int((compute_areas(bbox) * (bbox[:, 5] - bbox[:, 4])).max(initial=0))
    kernels.measure_covered(rows, group, bbox, cells, np.empty(largest, np.uint8), fraction)
    return fraction


def _index_panels(rows: np.ndarray, panel: np.ndarray, bbox: np.ndarray, detector: Detector) -> kernels.Cells:
    """The rows by squares of their panels."""
    # One size of grid for all panels: that of the largest.
    height, width = np.max(detector.panel_shapes, axis=0)
    return _index_cells(rows, panel, bbox, (int(width) // CELL + 1, int(height) // CELL + 1, len(detector)))


def _index_cells(rows: np.ndarray, group: np.ndarray, bbox: np.ndarray, shape: tuple[int, int, int]) -> kernels.Cells:
    """The rows by squares; `shape` is how many squares there are across, down, and of panels."""
    across, down, n_groups = shape
    ends = np.zeros(across * down * n_groups + 1, np.int64)
    # Boxes are counted first, so that each square gets its part of one array.
    kernels.fill_cells(rows, group, bbox, kernels.Cells(CELL, across, down, ends, np.zeros(0, np.int64)))
    np.cumsum(ends, out=ends)
    cells = kernels.Cells(CELL, across, down, ends, np.empty(ends[-1], np.int64))
    kernels.fill_cells(rows, group, bbox, cells)
    return cells
