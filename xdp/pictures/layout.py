"""Where the panels of a detector lie in a flat picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdp.experiment import Detector

MAX_CANVAS = 16384


@dataclass(frozen=True)
class Layout:
    """A picture of all panels: its shape, and how pixels of each panel are moved into it.

    Attributes
    ----------
    shape : (int, int)
        (slow, fast) of the picture.
    matrices : tuple of ndarray
        (2, 3) for each panel: takes (fast, slow, 1) in the panel to (fast, slow) in the picture.
    """

    shape: tuple[int, int]
    matrices: tuple[np.ndarray, ...]

    def to_picture(self, panel: int, xy: np.ndarray) -> np.ndarray:
        """Points (n, 2) of a panel, (fast, slow) pixels, in the picture."""
        matrix = self.matrices[panel]
        return np.asarray(xy, float) @ matrix[:, :2].T + matrix[:, 2]

    def assemble(self, panels: Sequence[np.ndarray], background: float = np.nan) -> np.ndarray:
        """The panels' pixels, float32, in one picture; `background` where there is no panel."""
        if len(panels) == 1 and self.shape == panels[0].shape:
            return np.asarray(panels[0], np.float32)
        picture = np.full(self.shape, background, np.float32)
        for matrix, panel in zip(self.matrices, panels, strict=True):
            _paste(picture, np.asarray(panel, np.float32), matrix)
        return picture


def layout_of(detector: Detector) -> Layout:
    """The layout of a detector: one panel as it is; several side by side as in their file, or as the beam sees them."""
    if len(detector) == 1:
        return Layout(detector.panel_shapes[0], (np.eye(3)[:2],))
    return _as_in_file(detector) or _as_seen(detector)


def _as_in_file(detector: Detector) -> Layout | None:
    """By the panels' offsets in the image; None where they have none or overlap."""
    offsets = [panel.raw_image_offset for panel in detector]
    ends = [(f + p.image_size[0], s + p.image_size[1]) for (f, s), p in zip(offsets, detector, strict=True)]
    shape = max(s for _, s in ends), max(f for f, _ in ends)
    area = sum(p.image_size[0] * p.image_size[1] for p in detector)
    if len(set(offsets)) < len(offsets) or area > shape[0] * shape[1] or max(shape) > MAX_CANVAS:
        return None
    return Layout(shape, tuple(np.array([[1.0, 0.0, f], [0.0, 1.0, s]]) for f, s in offsets))


def _as_seen(detector: Detector) -> Layout:
    """Panels as seen along the lab's z axis, x to the right and y up, in pixels of the first panel."""
    pixel = detector[0].pixel_size[0]
    matrices = []
    corners = []
    for i, panel in enumerate(detector):
        d = detector.d_matrix(i)
        matrix = np.array([
            [d[0, 0] * panel.pixel_size[0], d[0, 1] * panel.pixel_size[1], d[0, 2]],
            [-d[1, 0] * panel.pixel_size[0], -d[1, 1] * panel.pixel_size[1], -d[1, 2]],
        ]) / pixel  # fmt: skip
        fast, slow = panel.image_size
        corners.append(np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)]) @ matrix[:, :2].T + matrix[:, 2])
        matrices.append(matrix)
    points = np.concatenate(corners)
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    scale = min(1.0, MAX_CANVAS / max(high - low))
    moved = tuple(scale * (m - np.column_stack([np.zeros((2, 2)), low])) for m in matrices)
    fast, slow = np.maximum(np.ceil(scale * (high - low)), 1).astype(int)
    return Layout((int(slow), int(fast)), moved)


def _paste(picture: np.ndarray, panel: np.ndarray, matrix: np.ndarray) -> None:
    """Draw a panel into the picture: each pixel of the picture takes the panel's pixel below its centre."""
    slow, fast = panel.shape
    corners = np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)]) @ matrix[:, :2].T + matrix[:, 2]
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int), picture.shape[::-1])
    if x1 <= x0 or y1 <= y0:
        return
    inverse = np.linalg.inv(matrix[:, :2])
    y, x = np.mgrid[y0:y1, x0:x1] + 0.5
    dx, dy = x - matrix[0, 2], y - matrix[1, 2]
    i = np.floor(inverse[0, 0] * dx + inverse[0, 1] * dy).astype(int)
    j = np.floor(inverse[1, 0] * dx + inverse[1, 1] * dy).astype(int)
    inside = (i >= 0) & (i < fast) & (j >= 0) & (j < slow)
    part = picture[y0:y1, x0:x1]
    part[inside] = panel[j[inside], i[inside]]
