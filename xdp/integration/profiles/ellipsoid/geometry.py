"""Rays, panels and boxes of stills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector
from xdp.experiment.pixels import mm_to_px, px_to_s1, ray_intersection
from xdp.integration.profiles.ellipsoid.sphere import Cuts

_SIGNS = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])


@dataclass(frozen=True)
class Plates:
    """What kernels need of a detector, one row a panel; mu is 0 where no parallax is corrected."""

    d_matrix: np.ndarray
    pixel_size: np.ndarray
    mu: np.ndarray
    thickness: np.ndarray

    @classmethod
    def of(cls, detector: Detector) -> Plates:
        """Take it from a detector."""
        return cls(np.stack([np.asarray(detector.d_matrix(i), np.float64) for i in range(len(detector))]),
                   np.array([p.pixel_size for p in detector], np.float64),
                   np.array([p.mu if p.corrects_parallax else 0.0 for p in detector], np.float64),
                   np.array([p.thickness or 0.0 for p in detector], np.float64))

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """In the order in which kernels take them."""
        return self.d_matrix, self.pixel_size, self.mu, self.thickness


def rays_at(detector: Detector, beam: Beam, panel: np.ndarray, xy_px: np.ndarray) -> np.ndarray:
    """Wave vectors s1 (n, 3), Å⁻¹, towards points (n, 2) in pixels of their panels."""
    rays = np.empty((len(panel), 3))
    for i in np.unique(panel):
        on = panel == i
        rays[on] = px_to_s1(detector, beam, int(i), xy_px[on])
    return rays


def meet_panels(detector: Detector, panel: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays (n, ..., 3) meet the planes of their panels, mm and px (n, ..., 2); NaN for those that do not."""
    mm = np.empty((*rays.shape[:-1], 2))
    px = np.empty_like(mm)
    for i in np.unique(panel):
        on = panel == i
        mm[on] = ray_intersection(detector, int(i), rays[on])[0]
        px[on] = mm_to_px(detector[int(i)], mm[on])
    return mm, px


def corner_boxes(detector: Detector, panel: np.ndarray, frames: np.ndarray, centre: np.ndarray, half: np.ndarray,
                 along: np.ndarray, border: int = 0) -> np.ndarray:
    """Boxes (n, 4) fast, fast, slow, slow around rectangles seen from the sample.

    Parameters
    ----------
    detector, panel
        The panels of the reflections.
    frames : (n, 3, 3)
        Unit vectors e1, e2, e3 of each.
    centre, half : (n, 2)
        Middle and half sides of the rectangle along e1 and e2.
    along : (n,)
        Its distance along e3, in the same unit.
    border : int
        Pixels added all around.

    Returns
    -------
    int64; the box is empty (0, 0, 0, 0) where a corner's ray does not meet the panel's plane.
    """
    corners = centre[:, None] + _SIGNS * half[:, None]
    rays = np.einsum("nka,nax->nkx", corners, frames[:, :2]) + (along[:, None] * frames[:, 2])[:, None]
    _, xy = meet_panels(detector, panel, rays)
    bad = ~np.isfinite(xy).all(axis=(1, 2)) | (np.abs(xy).max(axis=(1, 2), initial=0.0) > 1e6)
    xy[bad] = 0.0
    low, high = np.floor(xy.min(axis=1)) - border, np.ceil(xy.max(axis=1)) + border
    boxes = np.column_stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]]).astype(np.int64)
    boxes[bad] = 0
    return boxes


def on_panel(detector: Detector, panel: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether boxes (n, 4) are not empty and have a pixel on their panel, (n,)."""
    size = np.array([p.image_size for p in detector])[panel]
    return ((boxes[:, 1] > np.maximum(boxes[:, 0], 0)) & (boxes[:, 3] > np.maximum(boxes[:, 2], 0))
            & (boxes[:, 0] < size[:, 0]) & (boxes[:, 2] < size[:, 1]))


def with_frame(boxes: np.ndarray, z: int) -> np.ndarray:
    """Boxes (n, 6) int32 on the one frame `z`."""
    frame = np.tile([z, z + 1], (len(boxes), 1))
    return np.column_stack([boxes, frame]).astype(np.int32)


def ellipse_boxes(detector: Detector, panel: np.ndarray, cuts: Cuts, limit: float, radius: float, border: int
                  ) -> np.ndarray:
    """Boxes (n, 4) that hold the ellipses ``x^T C^-1 x < limit`` of cuts, `radius` being |s0|."""
    half = np.sqrt(limit * np.diagonal(cuts.covariance, axis1=1, axis2=2))
    return corner_boxes(detector, panel, cuts.frames, cuts.mean, half, np.full(len(panel), radius), border)
