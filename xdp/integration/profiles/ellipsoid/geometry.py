"""Rays, panels and boxes of stills."""

from __future__ import annotations

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector
from xdp.experiment.pixels import mm_to_px, px_to_s1, ray_intersection
from xdp.integration.profiles.ellipsoid._kernels import PanelArrays
from xdp.integration.profiles.ellipsoid.sphere import Cuts

#: The corners of a rectangle: (e1, e2).
_SIGNS = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])


def get_panel_arrays(detector: Detector) -> PanelArrays:
    """Get what kernels need of a detector, as arrays with a row for each panel.

    Parameters
    ----------
    detector : Detector

    Returns
    -------
    PanelArrays
        With an attenuation of 0 for panels that do not correct for parallax.
    """
    return PanelArrays(np.stack([np.asarray(detector.d_matrix(i), np.float64) for i in range(len(detector))]),
                       np.array([p.pixel_size for p in detector], np.float64),
                       np.array([p.mu if p.corrects_parallax else 0.0 for p in detector], np.float64),
                       np.array([p.thickness or 0.0 for p in detector], np.float64))


def compute_rays(detector: Detector, beam: Beam, panel: np.ndarray, xy_px: np.ndarray) -> np.ndarray:
    """Wave vectors towards points of the detector.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    panel : (n,) int
    xy_px : (n, 2) float64
        Fast and slow, px.

    Returns
    -------
    (n, 3) float64
        s1, of length 1/wavelength, Å⁻¹.
    """
    rays = np.empty((len(panel), 3))
    for i in np.unique(panel):
        on = panel == i
        rays[on] = px_to_s1(detector, beam, int(i), xy_px[on])
    return rays


def intersect_panels(detector: Detector, panel: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays meet the planes of panels.

    Parameters
    ----------
    detector : Detector
    panel : (n,) int
    rays : (n, ..., 3) float64
        Any length; one or more to each panel.

    Returns
    -------
    mm, px : (n, ..., 2) float64
        Fast and slow; NaN for rays that do not meet the plane.
    """
    mm = np.empty((*rays.shape[:-1], 2))
    px = np.empty_like(mm)
    for i in np.unique(panel):
        on = panel == i
        mm[on] = ray_intersection(detector, int(i), rays[on])[0]
        px[on] = mm_to_px(detector[int(i)], mm[on])
    return mm, px


def make_corner_boxes(detector: Detector, panel: np.ndarray, frames: np.ndarray, centre: np.ndarray,
                      half: np.ndarray, along: np.ndarray, border: int = 0) -> np.ndarray:
    """Boxes (n, 4) fast, fast, slow, slow around rectangles seen from the sample.

    Parameters
    ----------
    detector : Detector
    panel : (n,) int
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
    _, xy = intersect_panels(detector, panel, rays)
    # rays almost along a panel meet it far out, where no box could hold the way there
    bad = ~np.isfinite(xy).all(axis=(1, 2)) | (np.abs(xy).max(axis=(1, 2), initial=0.0) > 1e6)
    xy[bad] = 0.0
    low, high = np.floor(xy.min(axis=1)) - border, np.ceil(xy.max(axis=1)) + border
    boxes = np.column_stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]]).astype(np.int64)
    boxes[bad] = 0
    return boxes


def is_on_panel(detector: Detector, panel: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether boxes have a pixel on their panel.

    Parameters
    ----------
    detector : Detector
    panel : (n,) int
    boxes : (n, 4) int
        Fast, fast, slow, slow.

    Returns
    -------
    (n,) bool
        False for an empty box.

    Examples
    --------
    >>> import numpy as np
    >>> from xdp.simulation.models import make_detector
    >>> boxes = np.array([[-3, 1, 5, 9], [-3, 0, 5, 9], [0, 0, 0, 0]])
    >>> is_on_panel(make_detector((300, 260)), np.zeros(3, int), boxes).tolist()
    [True, False, False]
    """
    size = np.array([p.image_size for p in detector])[panel]
    return ((boxes[:, 1] > np.maximum(boxes[:, 0], 0)) & (boxes[:, 3] > np.maximum(boxes[:, 2], 0))
            & (boxes[:, 0] < size[:, 0]) & (boxes[:, 2] < size[:, 1]))


def add_frame(boxes: np.ndarray, z: int) -> np.ndarray:
    """Boxes (n, 4) of an image as boxes (n, 6) int32 on the one frame `z`.

    Examples
    --------
    >>> import numpy as np
    >>> add_frame(np.array([[1, 3, 5, 9]]), 7).tolist()
    [[1, 3, 5, 9, 7, 8]]
    """
    frame = np.tile([z, z + 1], (len(boxes), 1))
    return np.column_stack([boxes, frame]).astype(np.int32)


def make_ellipse_boxes(detector: Detector, panel: np.ndarray, cuts: Cuts, limit: float, radius: float, border: int
                       ) -> np.ndarray:
    """Boxes that hold the ellipses ``(x - mean)^T C^-1 (x - mean) < limit`` of cuts.

    Parameters
    ----------
    detector : Detector
    panel : (n,) int
    cuts : Cuts
        Of n points, with means and covariances C.
    limit : float
        Of the squared distance from the mean, in standard deviations.
    radius : float
        Of the Ewald sphere, |s0|, Å⁻¹.
    border : int
        Pixels added all around.

    Returns
    -------
    (n, 4) int64
        As of :func:`make_corner_boxes`.
    """
    # the ellipse reaches as far along an axis as sqrt(limit) times the standard deviation that way
    half = np.sqrt(limit * np.diagonal(cuts.covariance, axis1=1, axis2=2))
    return make_corner_boxes(detector, panel, cuts.frames, cuts.mean, half, np.full(len(panel), radius), border)
