"""Where the panels of a detector lie in a flat picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xdp.experiment import Detector

# An Eiger 16M is 4371 pixels high; panels that lie far apart, as files may claim, are drawn smaller than they are.
MAX_CANVAS = 16384
"""Longest edge of a picture, in pixels; a choice."""


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
        """Move points of a panel into the picture.

        Parameters
        ----------
        panel : int
            On which they lie.
        xy : (n, 2) array
            (fast, slow) pixels of the panel.

        Returns
        -------
        (n, 2) float64
            (fast, slow) pixels of the picture.
        """
        matrix = self.matrices[panel]
        return np.asarray(xy, float) @ matrix[:, :2].T + matrix[:, 2]

    def assemble(self, panels: Sequence[np.ndarray], background: float = np.nan) -> np.ndarray:
        """Put the panels' pixels into one picture.

        Parameters
        ----------
        panels : sequence of (slow, fast) array
            All panels.
        background : float
            Where there is no panel; NaN by default.

        Returns
        -------
        (slow, fast) float32
        """
        if len(panels) == 1 and self.shape == panels[0].shape:
            return np.asarray(panels[0], np.float32)
        picture = np.full(self.shape, background, np.float32)
        for matrix, panel in zip(self.matrices, panels, strict=True):
            _paste(picture, np.asarray(panel, np.float32), matrix)
        return picture


def compute_layout(detector: Detector) -> Layout:
    """Compute where the panels of a detector lie in a picture.

    Parameters
    ----------
    detector : Detector
        With one panel, or several.

    Returns
    -------
    Layout
        One panel stays as it is. Several lie side by side as in their file where they say how, or as the beam sees
        them.

    Examples
    --------
    >>> from xdp.experiment import Detector, Panel
    >>> left = Panel((1, 0, 0), (0, -1, 0), (-2, 1, -9), (20, 10), (0.1, 0.1))
    >>> right = Panel((1, 0, 0), (0, -1, 0), (0.5, 1, -9), (20, 10), (0.1, 0.1))
    >>> compute_layout(Detector((left, right))).shape
    (10, 45)
    """
    if len(detector) == 1:
        return Layout(detector.panel_shapes[0], (np.eye(3)[:2],))
    return _arrange_as_in_file(detector) or _arrange_as_seen(detector)


def _arrange_as_in_file(detector: Detector) -> Layout | None:
    """Panels by their offsets in the image; None where they have none or overlap."""
    offsets = [panel.raw_image_offset for panel in detector]
    ends = [(f + p.image_size[0], s + p.image_size[1]) for (f, s), p in zip(offsets, detector, strict=True)]
    shape = max(s for _, s in ends), max(f for f, _ in ends)
    area = sum(p.image_size[0] * p.image_size[1] for p in detector)
    # Panels without offsets all have (0, 0); more pixels than the picture has would overlap.
    if len(set(offsets)) < len(offsets) or area > shape[0] * shape[1] or max(shape) > MAX_CANVAS:
        return None
    return Layout(shape, tuple(np.array([[1.0, 0.0, f], [0.0, 1.0, s]]) for f, s in offsets))


def _arrange_as_seen(detector: Detector) -> Layout:
    """Panels as seen along the lab's z axis, x to the right and y up, in pixels of the first panel."""
    pixel = detector[0].pixel_size[0]
    matrices = []
    corners = []
    for i, panel in enumerate(detector):
        d = detector.d_matrix(i)
        # The lab's x and -y of a pixel, from the panel's axes (mm) and origin, in pixels of the first panel.
        matrix = np.array([
            [d[0, 0] * panel.pixel_size[0], d[0, 1] * panel.pixel_size[1], d[0, 2]],
            [-d[1, 0] * panel.pixel_size[0], -d[1, 1] * panel.pixel_size[1], -d[1, 2]],
        ]) / pixel  # fmt: skip
        fast, slow = panel.image_size
        corners.append(np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)]) @ matrix[:, :2].T + matrix[:, 2])
        matrices.append(matrix)
    points = np.concatenate(corners)
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    # Moved so that the lowest point is the picture's corner.
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
    # From the picture back to the panel: each pixel of the picture is filled once, without holes.
    inverse = np.linalg.inv(matrix[:, :2])
    y, x = np.mgrid[y0:y1, x0:x1] + 0.5
    dx, dy = x - matrix[0, 2], y - matrix[1, 2]
    i = np.floor(inverse[0, 0] * dx + inverse[0, 1] * dy).astype(int)
    j = np.floor(inverse[1, 0] * dx + inverse[1, 1] * dy).astype(int)
    inside = (i >= 0) & (i < fast) & (j >= 0) & (j < slow)
    part = picture[y0:y1, x0:x1]
    part[inside] = panel[j[inside], i[inside]]
