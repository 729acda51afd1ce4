"""The user's geometry on top of what image headers say: beam, goniometer, scan; stills and sequences converted.

The detector's part is in :mod:`xdp.images.importing.detector_overrides`.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np

from xdp.errors import OptionError
from xdp.experiment import Beam, Detector, Goniometer, Scan
from xdp.images.formats.base import Models
from xdp.images.importing.detector_overrides import override_detector
from xdp.images.importing.grouping import SEQUENCE, Images, single_images
from xdp.images.importing.options import BeamOverride, Geometry, GoniometerOverride, ScanOverride
from xdp.images.names import split_name


def apply_geometry(groups: list[Images], geometry: Geometry) -> list[Images]:
    """Override the models of all groups; what was one object stays one object."""
    cache: dict[tuple[Any, ...], Any] = {}

    def once(name: str, make: Any, *models: Any) -> Any:
        key = (name, *(id(model) for model in models))
        if key not in cache:
            # The inputs are kept with the result, so that their ids are not used again.
            cache[key] = (make(), models)
        return cache[key][0]

    result = []
    for group in groups:
        old = group.models
        beam = once("beam", lambda old=old: override_beam(old.beam, geometry.beam), old.beam)
        detector = once("detector", lambda old=old, beam=beam: override_detector(old.detector, geometry.detector, beam),
                        old.detector, beam)
        goniometer = once("goniometer", lambda old=old: override_goniometer(old.goniometer, geometry.goniometer),
                          old.goniometer)
        scan = override_scan(old.scan, geometry.scan) if group.is_sequence or old.scan is not None else None
        result.append(dataclasses.replace(group, models=Models(beam, detector, goniometer, scan)))
    return result


def override_beam(beam: Beam | None, override: BeamOverride) -> Beam | None:
    """The beam with the given values; without one in the header a wavelength makes one, along -z."""
    if beam is None:
        if override.wavelength is None:
            return None
        beam = Beam.along_z(override.wavelength)
    values = {name: value for name, value in dict(override).items() if value is not None}
    for name in ("direction", "polarization_normal"):
        if name in values:
            values[name] = _unit(values[name], f"geometry.beam.{name}")
    return dataclasses.replace(beam, **values) if values else beam


def _unit(vector: tuple[float, ...], name: str) -> tuple[float, ...]:
    length = float(np.linalg.norm(vector))
    if not length > 0.0:
        raise OptionError(f"{name} must be a vector of some length, got {vector}")
    return tuple(float(v) / length for v in vector)


def override_goniometer(goniometer: Goniometer | None, override: GoniometerOverride) -> Goniometer | None:
    """The goniometer with the given axes, angles, names and rotations, of one axis or several."""
    if override.axis is not None and override.axes is not None:
        raise OptionError("only one of geometry.goniometer.axis and .axes may be given")
    if override == GoniometerOverride():
        return goniometer
    several = goniometer.is_multi_axis if goniometer is not None else len(override.axes or ()) > 3
    if several:
        return _override_axes(goniometer, override)
    if goniometer is None and override.axis is None and override.axes is None:
        return None
    return _override_axis(goniometer or Goniometer(), override)


def _override_axis(goniometer: Goniometer, override: GoniometerOverride) -> Goniometer:
    for name in ("angles", "names"):
        if getattr(override, name) is not None:
            raise OptionError(f"geometry.goniometer.{name} needs a goniometer of several axes; this one has one")
    axis = override.axis or override.axes or goniometer.rotation_axis
    if len(axis) != 3:
        raise OptionError(f"geometry.goniometer.axes must be 3 numbers for a goniometer of one axis, got {len(axis)}")
    axis = _unit(axis, "geometry.goniometer.axis") if axis is not goniometer.rotation_axis else axis
    if override.invert_rotation_axis:
        axis = tuple(-v for v in axis)
    rotations = {name: value for name in ("fixed_rotation", "setting_rotation")
                 if (value := getattr(override, name)) is not None}
    for name, value in rotations.items():
        _check_rotation(value, name)
    return dataclasses.replace(goniometer, rotation_axis=tuple(axis), **rotations)


def _check_rotation(value: tuple[float, ...], name: str) -> None:
    matrix = np.reshape(value, (3, 3)) if len(value) == 9 else np.zeros((3, 3))
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4) or np.linalg.det(matrix) < 0.0:
        raise OptionError(f"geometry.goniometer.{name} must be the 9 numbers of a rotation matrix, got {value}")


def _override_axes(goniometer: Goniometer | None, override: GoniometerOverride) -> Goniometer:
    for name in ("fixed_rotation", "setting_rotation"):
        if getattr(override, name) is not None:
            raise OptionError(f"geometry.goniometer.{name} cannot be given where there are several axes")
    flat = override.axes or override.axis
    if flat is None:
        if goniometer is None:
            raise OptionError("geometry.goniometer.axes must be given where the header has no goniometer")
        axes = goniometer.axes
    elif len(flat) % 3:
        raise OptionError(f"geometry.goniometer.axes must be three numbers an axis, got {len(flat)} numbers")
    else:
        axes = tuple(_unit(flat[i:i + 3], "geometry.goniometer.axes") for i in range(0, len(flat), 3))
    n = len(axes if goniometer is None else goniometer.axes)
    angles = override.angles or ((0.0,) * n if goniometer is None else goniometer.angles)
    names = override.names or (("",) * n if goniometer is None else goniometer.names)
    for name, values in (("axes", axes), ("angles", angles), ("names", names)):
        if len(values) != n:
            raise OptionError(f"geometry.goniometer.{name} must be of {n} axes, got {len(values)}")
    if override.scan_axis is not None and goniometer is not None:
        raise OptionError("geometry.goniometer.scan_axis cannot be changed where the header has a goniometer")
    scan_axis = override.scan_axis or 0 if goniometer is None else goniometer.scan_axis
    if not scan_axis < n:
        raise OptionError(f"geometry.goniometer.scan_axis must be below {n}, got {scan_axis}")
    if override.invert_rotation_axis:
        axes = tuple(tuple(-v for v in axis) for axis in axes)
    return Goniometer.multi_axis(axes, angles, names, scan_axis)


def override_scan(scan: Scan | None, override: ScanOverride) -> Scan | None:
    """The scan with another range of images, oscillation or batch offset.

    Images before or behind those of the scan take the angles that follow from its width; their times are 0, or go on
    with ``extrapolate_scan``.
    """
    if scan is None:
        if override.image_range is None and override.oscillation is None:
            return None
        if override.image_range is None or override.oscillation is None:
            raise OptionError("geometry.scan.image_range and .oscillation must both be given: the header has no scan")
        scan = Scan(override.image_range, override.oscillation)
    if override.image_range is not None:
        scan = _other_range(scan, override.image_range, override.extrapolate_scan)
    if override.oscillation is not None:
        scan = dataclasses.replace(scan, oscillation=override.oscillation)
    if override.batch_offset is not None:
        scan = dataclasses.replace(scan, batch_offset=override.batch_offset)
    return scan


def _other_range(scan: Scan, image_range: tuple[int, int], extrapolate: bool) -> Scan:
    first, last = image_range
    if last < first:
        raise OptionError(f"geometry.scan.image_range must rise, got {first},{last}")
    n, n_old = last - first + 1, scan.n_frames
    exposure, epochs = list(scan.exposure_time[:n]), list(scan.epochs[:n])
    while extrapolate and 0 < len(exposure) < n and epochs:
        exposure.append(scan.exposure_time[n_old - 1])
        epochs.append(epochs[-1] + exposure[-1])
    start, width = scan.oscillation
    return dataclasses.replace(
        scan, image_range=(first, last), oscillation=(start + (first - scan.image_range[0]) * width, width),
        exposure_time=(*exposure, *[0.0] * (n - len(exposure))), epochs=(*epochs, *[0.0] * (n - len(epochs))))


def convert_to_stills(groups: list[Images]) -> list[Images]:
    """Each image on its own, without scan and goniometer."""
    return [dataclasses.replace(still, models=dataclasses.replace(still.models, scan=None, goniometer=None))
            for group in groups for still in single_images(group)]


def convert_to_sequences(groups: list[Images], override: ScanOverride) -> list[Images]:
    """Stills of one template, or of one file, as a sequence with the given oscillation; sequences stay."""
    if override.oscillation is None:
        raise OptionError("convert_stills_to_sequences=True needs geometry.scan.oscillation=START,WIDTH")
    sequences = [group for group in groups if group.is_sequence]
    by_name: dict[str, list[Images]] = {}
    for group in groups:
        if not group.is_sequence:
            path = (group.imageset.images or ("",))[0]
            name = path if group.imageset.single_file_indices else split_name(path)[0]
            by_name.setdefault(name, []).append(group)
    return sequences + [_joined(name, stills, override) for name, stills in by_name.items()]


def _joined(template: str, stills: list[Images], override: ScanOverride) -> Images:
    """Stills that differ in their number alone as one sequence; models are those of the first."""
    indices = [(still.imageset.single_file_indices or (None,))[0] for still in stills]
    numbers = [split_name((still.imageset.images or ("",))[0])[1] or 0 if index is None else index + 1
               for still, index in zip(stills, indices, strict=True)]
    if any(b != a + 1 for a, b in pairwise(numbers)):
        raise OptionError(f"{template}: stills can be made a sequence only if they are numbered without a gap")
    first = stills[0]
    detectors: list[Detector | None] = [still.models.detector for still in stills]
    if any(detector != first.models.detector for detector in detectors):
        raise OptionError(f"{template}: stills can be made a sequence only if they share a detector")
    scan = Scan((numbers[0], numbers[-1]), override.oscillation or (0.0, 0.0), (0.0,) * len(stills),
                (0.0,) * len(stills))
    imageset = dataclasses.replace(first.imageset, kind=SEQUENCE, template=template, images=None,
                                   single_file_indices=None if indices[0] is None else tuple(indices))  # type: ignore[arg-type]
    return Images(imageset, dataclasses.replace(first.models, scan=scan), first.format_name)
