"""Whether the models of two images are the same to a tolerance, so that the images share them."""

from __future__ import annotations

from typing import Any

import numpy as np

from xdp.experiment import Beam, Detector, Goniometer
from xdp.images.importing.options import BeamTolerance, DetectorTolerance, GoniometerTolerance


def similar_beams(a: Beam | None, b: Beam | None, tolerance: BeamTolerance) -> bool:
    """Whether two beams are the same to a tolerance (Å, radians)."""
    if a is None or b is None:
        return a is b
    return (_angle(a.direction, b.direction) <= tolerance.direction
            and abs(a.wavelength - b.wavelength) <= tolerance.wavelength
            and _angle(a.polarization_normal, b.polarization_normal) <= tolerance.polarization_normal
            and abs(a.polarization_fraction - b.polarization_fraction) <= tolerance.polarization_fraction)


def similar_detectors(a: Detector | None, b: Detector | None, tolerance: DetectorTolerance,
                      static_only: bool = False) -> bool:
    """Whether two detectors have the same panels, and (unless `static_only`) stand at the same place."""
    if a is None or b is None:
        return a is b
    if a == b:
        return True
    if len(a) != len(b):
        return False
    return all(_similar_panels(a, b, i, tolerance, static_only) for i in range(len(a)))


def _similar_panels(a: Detector, b: Detector, index: int, tolerance: DetectorTolerance, static_only: bool) -> bool:
    p, q = a[index], b[index]
    if p.image_size != q.image_size or not _close(p.pixel_size, q.pixel_size, 1e-7):
        return False
    if static_only:
        return True
    tolerances = (tolerance.fast_axis, tolerance.slow_axis, tolerance.origin)
    frames = zip(a.d_matrix(index).T, b.d_matrix(index).T, tolerances, strict=True)
    return _close(p.trusted_range, q.trusted_range, 1e-7) and all(_close(u, v, limit) for u, v, limit in frames)


def similar_goniometers(a: Goniometer | None, b: Goniometer | None, tolerance: GoniometerTolerance) -> bool:
    """Whether two goniometers have the same scanning axis, fixed and setting rotation."""
    if a is None or b is None:
        return a is b
    return (_close(a.rotation_axis_datum, b.rotation_axis_datum, tolerance.rotation_axis)
            and _close(a.fixed_rotation, b.fixed_rotation, tolerance.fixed_rotation)
            and _close(a.setting_rotation, b.setting_rotation, tolerance.setting_rotation))


def _close(a: Any, b: Any, tolerance: float) -> bool:
    return bool(np.max(np.abs(np.asarray(a) - np.asarray(b))) <= tolerance)


def _angle(a: Any, b: Any) -> float:
    """Angle between two vectors, radians; exact for small ones."""
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), np.dot(a, b)))
