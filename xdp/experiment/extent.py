"""Where the beam meets the detector, how far the detector reaches in resolution, and hulls of its outlines."""

from __future__ import annotations

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector
from xdp.experiment.pixels import mm_to_px, px_to_lab, ray_intersection, resolution


def beam_centre(detector: Detector, beam: Beam) -> tuple[int, np.ndarray] | None:
    """Find where the direct beam meets the detector.

    Returns
    -------
    (int, array (2,)) or None
        The first panel that the beam hits, and where on it (fast, slow), mm; None if it hits none.
    """
    for i in range(len(detector)):
        xy, hits = ray_intersection(detector, i, beam.unit_s0)
        if hits:
            return i, xy
    return None


def max_resolution(detector: Detector, beam: Beam) -> float:
    """Finest resolution that the detector reaches.

    Returns
    -------
    float
        The smallest d (Å) at the corners of all panels. On a flat panel the resolution is finest at a corner.
    """
    return min(float(resolution(detector, beam, i, _corners(detector, i)).min()) for i in range(len(detector)))


def max_inscribed_resolution(detector: Detector, beam: Beam) -> float:
    """Resolution (d, Å) of the largest full circle on the detector.

    Of one panel: the coarsest of the resolutions where the lines through the beam centre along fast and slow meet the
    edges. Of several, or where the beam misses the plane: project the panels' corners stereographically about the
    beam, take the convex hull, and the circle about the beam that just fits into it.
    """
    if len(detector) == 1:
        xy_mm, _ = ray_intersection(detector, 0, beam.unit_s0)
        if np.all(np.isfinite(xy_mm)):
            x, y = mm_to_px(detector[0], xy_mm)
            fast, slow = detector[0].image_size
            return float(resolution(detector, beam, 0, [(0, y), (fast, y), (x, 0), (x, slow)]).max())
    # A circle about the beam stays a circle in a stereographic projection, so the largest one is found in the plane.
    hull = convex_hull(_stereographic_corners(detector, beam))
    if len(hull) < 3:
        return float("nan")
    radius = min(_distance_to_segment(a, b) for a, b in zip(hull, np.roll(hull, 1, axis=0), strict=True))
    # radius = 2 tan(theta), and Bragg's law: d = wavelength / (2 sin theta)
    return beam.wavelength / (2.0 * np.sin(np.arctan(radius / 2.0)))


def _corners(detector: Detector, i: int) -> np.ndarray:
    """The outer corners of panel `i`, shape (4, 2), pixels."""
    fast, slow = detector[i].image_size
    return np.array([(0, 0), (fast, 0), (0, slow), (fast, slow)], dtype=np.float64)


def _stereographic_corners(detector: Detector, beam: Beam) -> np.ndarray:
    """Corners of all panels at 2 tan(two_theta/2) from the origin, in the direction they lie from the beam."""
    z = beam.unit_s0
    helper = np.eye(3)[np.argmin(np.abs(z))]  # the lab axis furthest from the beam: their product is never short
    x = np.cross(z, helper) / np.linalg.norm(np.cross(z, helper))
    plane = np.column_stack([x, np.cross(z, x)])
    lab = np.vstack([px_to_lab(detector, i, _corners(detector, i)) for i in range(len(detector))])
    unit = lab / np.linalg.norm(lab, axis=1, keepdims=True)
    # What lies straight back is projected to infinity; the bound keeps it a number, far beyond any other direction.
    return 2.0 * (unit @ plane) / np.maximum(1.0 + unit @ z, 1e-12)[:, None]


def _distance_to_segment(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the origin from the segment a-b."""
    along = b - a
    length = along @ along
    t = np.clip(-(a @ along) / length, 0.0, 1.0) if length > 0.0 else 0.0
    return float(np.linalg.norm(a + t * along))


def convex_hull(points: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of points, counter-clockwise, shape (m, 2); points on its sides are left out.

    Andrew's monotone chain.

    Parameters
    ----------
    points
        Shape (n, 2).

    References
    ----------
    Andrew, Inf. Process. Lett. 9, 216 (1979), doi:10.1016/0020-0190(79)90072-3.
    """
    # `unique` also sorts by x, then y, which the chains need
    ordered = [(float(x), float(y)) for x, y in np.unique(np.asarray(points, dtype=np.float64).reshape(-1, 2), axis=0)]
    if len(ordered) < 3:
        return np.array(ordered).reshape(-1, 2)
    # each chain ends where the other begins
    return np.array(_chain(ordered)[:-1] + _chain(ordered[::-1])[:-1])


def _chain(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lower half of the hull of points sorted along x: only left turns."""
    chain: list[tuple[float, float]] = []
    for point in ordered:
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0.0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Above zero where a, b, c turn left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
