"""From pixels to millimetres, the lab, rays and resolution, and back.

Pixel coordinates are (fast, slow) with the outer corner of the first pixel at (0, 0), its centre at (0.5, 0.5);
millimetres are (fast, slow) on the panel from the same corner; the lab frame is the imgCIF one, in mm.
All functions take arrays of points, shape (n, 2) or (n, 3), or a single point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment.beam import Beam
from xdp.experiment.detector import Detector, Panel

MIN_SINE = 1e-9
"""Sine of theta is never taken as less: a pixel in the direct beam has a large, finite resolution."""


def px_to_mm(panel: Panel, xy_px: Any) -> np.ndarray:
    """Millimetres on the panel of points in pixels.

    The pixel size gives the point where the photon was counted. With the parallax correction the ray goes back by the
    mean depth at which the sensor absorbs it, to where it met the front face:
    ``xy - o (s1.fast, s1.slow)``, ``o = 1/mu - (t + 1/mu) exp(-mu t)``, with s1 the unit vector to the counted point,
    t = thickness/cos the path through the sensor, and mu its attenuation coefficient.

    Parameters
    ----------
    panel
        A panel of a detector (which has given it its mount).
    xy_px
        Shape (n, 2) or (2,), pixels.

    Returns
    -------
    Shape of `xy_px`, mm.

    Notes
    -----
    Maps of pixel offsets (an image set's dx and dy) are not applied.

    References
    ----------
    Hülsen, Broennimann, Eikenberry & Wagner, J. Appl. Cryst. 38, 944 (2005), doi:10.1107/S0021889805026877, section
    on the parallax of thick sensors.
    """
    mm = np.asarray(xy_px, dtype=np.float64) * np.asarray(panel.pixel_size)
    return mm - _absorption_shift(panel, mm) if panel.corrects_parallax else mm


def mm_to_px(panel: Panel, xy_mm: Any) -> np.ndarray:
    """Pixels of points in millimetres on the panel; shapes as in :func:`px_to_mm`.

    The parallax shift is evaluated at the given point, where :func:`px_to_mm` takes it at the counted point, as DIALS
    does: the two are inverse to about 1e-3 pixel, not exactly.
    """
    mm = np.asarray(xy_mm, dtype=np.float64)
    if panel.corrects_parallax:
        mm = mm + _absorption_shift(panel, mm)
    return mm / np.asarray(panel.pixel_size)


def mm_to_lab(detector: Detector, i: int, xy_mm: Any) -> np.ndarray:
    """Lab coordinates of points on a panel.

    Parameters
    ----------
    detector : Detector
    i : int
        The panel.
    xy_mm : array_like (..., 2)
        Fast and slow, mm on the panel.

    Returns
    -------
    array (..., 3)
        Millimetres.
    """
    # d (x, y, 1), the columns of d being the axes and the origin
    d = detector.d_matrix(i)
    return np.asarray(xy_mm, dtype=np.float64) @ d[:, :2].T + d[:, 2]


def px_to_lab(detector: Detector, i: int, xy_px: Any) -> np.ndarray:
    """Lab coordinates of points in pixels, with the panel's parallax correction.

    Parameters
    ----------
    detector : Detector
    i : int
        The panel.
    xy_px : array_like (..., 2)
        Fast and slow, pixels.

    Returns
    -------
    array (..., 3)
        Millimetres.
    """
    return mm_to_lab(detector, i, px_to_mm(detector[i], xy_px))


def px_to_s1(detector: Detector, beam: Beam, i: int, xy_px: Any) -> np.ndarray:
    """Wave vectors s1 of the rays that were diffracted to points in pixels.

    Parameters
    ----------
    detector : Detector
    beam : Beam
        Its wavelength sets the length.
    i : int
        The panel.
    xy_px : array_like (..., 2)
        Fast and slow, pixels.

    Returns
    -------
    array (..., 3)
        Of length 1/wavelength, Å⁻¹.
    """
    lab = px_to_lab(detector, i, xy_px)
    return lab / (np.linalg.norm(lab, axis=-1, keepdims=True) * beam.wavelength)


def ray_intersection(detector: Detector, i: int, s1: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where rays from the sample meet the plane of panel `i`.

    Parameters
    ----------
    s1
        Directions of the rays, any length, shape (n, 3) or (3,).

    Returns
    -------
    xy_mm
        Shape (n, 2), mm on the panel; NaN where a ray goes away from the plane.
    hits
        Shape (n,), whether the ray meets the panel itself.
    """
    v = np.asarray(s1, dtype=np.float64) @ np.linalg.inv(detector.d_matrix(i)).T
    forward = v[..., 2] > 0.0
    xy = np.full((*v.shape[:-1], 2), np.nan)
    np.divide(v[..., :2], v[..., 2:], out=xy, where=forward[..., None])
    size = np.asarray(detector[i].image_size_mm)
    with np.errstate(invalid="ignore"):
        hits = forward & np.all((xy >= 0.0) & (xy < size), axis=-1)
    return xy, hits


def resolution(detector: Detector, beam: Beam, i: int, xy_px: Any) -> np.ndarray:
    """Resolution d = wavelength / (2 sin theta) of points in pixels.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    i : int
        The panel.
    xy_px : array_like (..., 2)
        Fast and slow, pixels.

    Returns
    -------
    array (...)
        Å; large but finite in the direct beam (see :data:`MIN_SINE`).
    """
    lab = px_to_lab(detector, i, xy_px)
    # |s1 - s0| = 2 sin(theta) for unit vectors; unlike an arc cosine this is accurate beside the beam too
    twice_sine = np.linalg.norm(lab / np.linalg.norm(lab, axis=-1, keepdims=True) - beam.unit_s0, axis=-1)
    return beam.wavelength / np.maximum(twice_sine, 2.0 * MIN_SINE)


def two_theta(detector: Detector, beam: Beam, i: int, xy_px: Any) -> np.ndarray:
    """Scattering angle 2 theta of points in pixels.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    i : int
        The panel.
    xy_px : array_like (..., 2)
        Fast and slow, pixels.

    Returns
    -------
    array (...)
        Radians.
    """
    lab = px_to_lab(detector, i, xy_px)
    # tangent of both products: accurate beside the beam, where an arc cosine loses half the digits
    return np.arctan2(np.linalg.norm(np.cross(beam.unit_s0, lab), axis=-1), lab @ beam.unit_s0)


def resolution_map(detector: Detector, beam: Beam, i: int, disable_parallax_correction: bool = False) -> np.ndarray:
    """Resolution at the centre of each pixel of panel `i`, Å, shape (slow, fast): what resolution masks test.

    Parameters
    ----------
    detector : Detector
    beam : Beam
    i : int
        The panel.
    disable_parallax_correction : bool
        Take pixels where they are counted, which is faster and differs little.

    Returns
    -------
    array (slow, fast)
    """
    from xdp.experiment._kernels import resolution_at_pixels

    panel = detector[i]
    out = np.empty(panel.shape, dtype=np.float64)
    mu = panel.mu if panel.corrects_parallax and not disable_parallax_correction else 0.0
    resolution_at_pixels(np.array(panel.d_matrix), beam.unit_s0, np.array(panel.pixel_size), mu, panel.thickness,
                         MIN_SINE, out)
    out *= beam.wavelength  # the kernel gives 1/(2 sin theta)
    return out


def _absorption_shift(panel: Panel, mm: np.ndarray) -> np.ndarray:
    """How far along (fast, slow), mm, a ray travels inside the sensor until it is absorbed, in the mean."""
    d = panel.d_matrix
    lab = mm @ d[:, :2].T + d[:, 2]
    s1 = lab / np.linalg.norm(lab, axis=-1, keepdims=True)
    # The mean depth of absorption along the ray, of photons that are absorbed anywhere in the sensor.
    path = panel.thickness / np.abs(s1 @ panel.normal)
    depth = 1.0 / panel.mu - (path + 1.0 / panel.mu) * np.exp(-panel.mu * path)
    return (s1 @ d[:, :2]) * depth[..., None]
