"""Whether the models of two images are the same to a tolerance, so that the images share them."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment import Beam, Detector, Goniometer
from xdp.images.importing.options import BeamTolerance, DetectorTolerance, GoniometerTolerance

# Pixel sizes (mm) and trusted ranges (counts) that differ less are rounded differently; a choice.
_NEAR = 1e-7


def are_similar_beams(a: Beam | None, b: Beam | None, tolerance: BeamTolerance) -> bool:
    """Whether two beams are the same.

    Parameters
    ----------
    a, b : Beam or None
        Two beams that are both None are the same.
    tolerance : BeamTolerance
        Å and radians.

    Returns
    -------
    bool
    """
    if a is None or b is None:
        return a is b
    return (_compute_angle(a.direction, b.direction) <= tolerance.direction
            and abs(a.wavelength - b.wavelength) <= tolerance.wavelength
            and _compute_angle(a.polarization_normal, b.polarization_normal) <= tolerance.polarization_normal
            and abs(a.polarization_fraction - b.polarization_fraction) <= tolerance.polarization_fraction)


def are_similar_detectors(a: Detector | None, b: Detector | None, tolerance: DetectorTolerance,
                      static_only: bool = False) -> bool:
    """Whether two detectors have the same panels and stand at the same place.

    Parameters
    ----------
    a, b : Detector or None
        Two detectors that are both None are the same.
    tolerance : DetectorTolerance
        Of the axes, and of the origin in mm.
    static_only : bool
        Whether only number, image size and pixel size of the panels count; False by default.

    Returns
    -------
    bool
    """
    if a is None or b is None:
        return a is b
    # Most images have the very same numbers: then nothing need be computed.
    if a == b:
        return True
    if len(a) != len(b):
        return False
    return all(_are_similar_panels(a, b, i, tolerance, static_only) for i in range(len(a)))


def _are_similar_panels(
    a: Detector, b: Detector, index: int, tolerance: DetectorTolerance, static_only: bool
) -> bool:
    """Whether panel `index` of two detectors is the same."""
    p, q = a[index], b[index]
    if p.image_size != q.image_size or not _are_close(p.pixel_size, q.pixel_size, _NEAR):
        return False
    if static_only:
        return True
    # Frames are compared in the lab: panels may hang on different hierarchies.
    tolerances = (tolerance.fast_axis, tolerance.slow_axis, tolerance.origin)
    frames = zip(a.d_matrix(index).T, b.d_matrix(index).T, tolerances, strict=True)
    if not _are_close(p.trusted_range, q.trusted_range, _NEAR):
        return False
    return all(_are_close(u, v, limit) for u, v, limit in frames)


def are_similar_goniometers(a: Goniometer | None, b: Goniometer | None, tolerance: GoniometerTolerance) -> bool:
    """Whether two goniometers have the same scanning axis, fixed and setting rotation.

    Parameters
    ----------
    a, b : Goniometer or None
        Two goniometers that are both None are the same.
    tolerance : GoniometerTolerance
        Of each number of the axis and the matrices.

    Returns
    -------
    bool
    """
    if a is None or b is None:
        return a is b
    return (_are_close(a.rotation_axis_datum, b.rotation_axis_datum, tolerance.rotation_axis)
            and _are_close(a.fixed_rotation, b.fixed_rotation, tolerance.fixed_rotation)
            and _are_close(a.setting_rotation, b.setting_rotation, tolerance.setting_rotation))


def _are_close(a: Any, b: Any, tolerance: float) -> bool:
    """Whether no number differs by more than the tolerance."""
    return bool(np.max(np.abs(np.asarray(a) - np.asarray(b))) <= tolerance)


def _compute_angle(a: Any, b: Any) -> float:
    """Angle between two vectors, radians; by its tangent, since a cosine near 1 loses small angles."""
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b)))
