"""The user's geometry on top of what image headers say: beam, goniometer, scan; stills and sequences converted.

The detector's part is in :mod:`xdp.images.importing.detector_overrides`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from xdp.errors import OptionError
from xdp.experiment import Beam, Detector, Goniometer, Scan
from xdp.images.formats.base import Models
from xdp.images.importing.detector_overrides import override_detector
from xdp.images.importing.group import SEQUENCE, ImageGroup, split_into_images
from xdp.images.importing.options import BeamOverride, Geometry, GoniometerOverride, ScanOverride
from xdp.images.names import assign_templates, split_name


def apply_geometry(groups: list[ImageGroup], geometry: Geometry) -> list[ImageGroup]:
    """Override the models of all groups.

    Parameters
    ----------
    groups : list of ImageGroup
        With the models of headers or reference.
    geometry : Geometry
        What the user gave.

    Returns
    -------
    list of ImageGroup
        Models that were one object stay one object.

    Raises
    ------
    OptionError
        If the values contradict each other or the images.
    """
    # Results by the objects they are made of; these are kept with them, so that their ids are not used again.
    made: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def make_once(make: Callable[..., Any], *arguments: Any) -> Any:
        key = (make, *(id(argument) for argument in arguments))
        if key not in made:
            made[key] = (make(*arguments), arguments)
        return made[key][0]

    result = []
    for group in groups:
        old = group.models
        beam = make_once(override_beam, old.beam, geometry.beam)
        detector = make_once(override_detector, old.detector, geometry.detector, beam)
        goniometer = make_once(override_goniometer, old.goniometer, geometry.goniometer)
        # The range has been applied to parts.
        changes = geometry.scan.model_copy(update={"image_range": None}) if group.is_part else geometry.scan
        scan = override_scan(old.scan, changes) if group.is_sequence or old.scan is not None else None
        result.append(dataclasses.replace(group, models=Models(beam, detector, goniometer, scan)))
    return result


def override_beam(beam: Beam | None, override: BeamOverride) -> Beam | None:
    """Override the beam.

    Parameters
    ----------
    beam : Beam or None
        Of the header.
    override : BeamOverride
        Values that take the place of the header's.

    Returns
    -------
    Beam or None
        Without a beam in the header a wavelength makes one, along -z; None where there is neither.

    Raises
    ------
    OptionError
        If a direction has no length.
    """
    if beam is None:
        if override.wavelength is None:
            return None
        beam = Beam.along_z(override.wavelength)
    values = {name: value for name, value in dict(override).items() if value is not None}
    for name in ("direction", "polarization_normal"):
        if name in values:
            values[name] = _normalise(values[name], f"geometry.beam.{name}")
    return dataclasses.replace(beam, **values) if values else beam


def _normalise(vector: tuple[float, ...], name: str) -> tuple[float, ...]:
    """The vector with length 1; `name` is that of the parameter, for the message."""
    length = float(np.linalg.norm(vector))
    if not length > 0.0:
        raise OptionError(f"{name} must be a vector of some length, got {vector}")
    return tuple(float(v) / length for v in vector)


def override_goniometer(goniometer: Goniometer | None, override: GoniometerOverride) -> Goniometer | None:
    """Override the goniometer.

    Parameters
    ----------
    goniometer : Goniometer or None
        Of the header.
    override : GoniometerOverride
        Axes, angles, names and rotations that take the place of the header's.

    Returns
    -------
    Goniometer or None
        Of one axis or several; None where neither header nor user give one.

    Raises
    ------
    OptionError
        If the values do not fit each other or the header's goniometer.
    """
    if override.axis is not None and override.axes is not None:
        raise OptionError("only one of geometry.goniometer.axis and .axes may be given")
    if override == GoniometerOverride():
        return goniometer
    # More than three numbers are more than one axis.
    several = goniometer.is_multi_axis if goniometer is not None else len(override.axes or ()) > 3
    if several:
        return _override_axes(goniometer, override)
    if goniometer is None and override.axis is None and override.axes is None:
        return None
    return _override_axis(goniometer or Goniometer(), override)


def _override_axis(goniometer: Goniometer, override: GoniometerOverride) -> Goniometer:
    """Override a goniometer of one axis."""
    for name in ("angles", "names"):
        if getattr(override, name) is not None:
            raise OptionError(f"geometry.goniometer.{name} needs a goniometer of several axes; this one has one")
    axis = override.axis or override.axes or goniometer.rotation_axis
    if len(axis) != 3:
        raise OptionError(f"geometry.goniometer.axes must be 3 numbers for a goniometer of one axis, got {len(axis)}")
    axis = _normalise(axis, "geometry.goniometer.axis") if axis is not goniometer.rotation_axis else axis
    # Turning the other way about an axis is turning about its opposite.
    if override.invert_rotation_axis:
        axis = tuple(-v for v in axis)
    rotations = {name: value for name in ("fixed_rotation", "setting_rotation")
                 if (value := getattr(override, name)) is not None}
    for name, value in rotations.items():
        _check_rotation(value, name)
    return dataclasses.replace(goniometer, rotation_axis=tuple(axis), **rotations)


def _check_rotation(value: tuple[float, ...], name: str) -> None:
    """Refuse a matrix that is no rotation, to the digits that users type."""
    matrix = np.reshape(value, (3, 3)) if len(value) == 9 else np.zeros((3, 3))
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4) or np.linalg.det(matrix) < 0.0:
        raise OptionError(f"geometry.goniometer.{name} must be the 9 numbers of a rotation matrix, got {value}")


def _override_axes(goniometer: Goniometer | None, override: GoniometerOverride) -> Goniometer:
    """Override a goniometer of several axes, or make one."""
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
        axes = tuple(_normalise(flat[i:i + 3], "geometry.goniometer.axes") for i in range(0, len(flat), 3))
    # Lists of the header and the user must be of the same axes.
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
    """Override the scan.

    Parameters
    ----------
    scan : Scan or None
        Of the header.
    override : ScanOverride
        Range of images, oscillation and batch offset that take the place of the header's.

    Returns
    -------
    Scan or None
        Images before or behind those of the header take the angles that follow from its width; their times are 0, or
        go on with ``extrapolate_scan``. None where neither header nor user give a scan.

    Raises
    ------
    OptionError
        If the header has no scan and range or oscillation are not given, or the range does not rise.
    """
    if scan is None:
        if override.image_range is None and override.oscillation is None:
            return None
        if override.image_range is None or override.oscillation is None:
            raise OptionError("geometry.scan.image_range and .oscillation must both be given: the header has no scan")
        scan = Scan(override.image_range, override.oscillation)
    if override.image_range is not None:
        scan = _change_range(scan, override.image_range, override.extrapolate_scan)
    if override.oscillation is not None:
        scan = dataclasses.replace(scan, oscillation=override.oscillation)
    if override.batch_offset is not None:
        scan = dataclasses.replace(scan, batch_offset=override.batch_offset)
    return scan


def _change_range(scan: Scan, image_range: tuple[int, int], extrapolate: bool) -> Scan:
    """The scan with another range of images, each at the angle that its number had before."""
    first, last = image_range
    if last < first:
        raise OptionError(f"geometry.scan.image_range must rise, got {first},{last}")
    # Times go on from the last image of the header, each as long as that.
    n, n_old = last - first + 1, scan.n_frames
    exposure, epochs = list(scan.exposure_time[:n]), list(scan.epochs[:n])
    while extrapolate and 0 < len(exposure) < n and epochs:
        exposure.append(scan.exposure_time[n_old - 1])
        epochs.append(epochs[-1] + exposure[-1])
    start, width = scan.oscillation
    return dataclasses.replace(
        scan, image_range=(first, last), oscillation=(start + (first - scan.image_range[0]) * width, width),
        exposure_time=(*exposure, *[0.0] * (n - len(exposure))), epochs=(*epochs, *[0.0] * (n - len(epochs))))


def convert_to_stills(groups: list[ImageGroup]) -> list[ImageGroup]:
    """Make each image a still, without scan and goniometer."""
    return [dataclasses.replace(still, models=dataclasses.replace(still.models, scan=None, goniometer=None))
            for group in groups for still in split_into_images(group)]


def convert_to_sequences(groups: list[ImageGroup], override: ScanOverride) -> list[ImageGroup]:
    """Join stills of one template, or of one file, to a sequence.

    Parameters
    ----------
    groups : list of ImageGroup
        Sequences among them stay as they are.
    override : ScanOverride
        With the oscillation of the sequences; without one they are sequences of stills.

    Returns
    -------
    list of ImageGroup
        Sequences that were there come first.

    Raises
    ------
    OptionError
        If stills of one name have gaps in their numbers or different detectors.
    """
    sequences = [group for group in groups if group.is_sequence]
    # Frames of one file, or files of one template, belong together.
    paths = [(group.imageset.images or ("",))[0] for group in groups if not group.is_sequence]
    templates = assign_templates(paths)
    by_name: dict[str, list[ImageGroup]] = {}
    for group in groups:
        if not group.is_sequence:
            path = (group.imageset.images or ("",))[0]
            name = path if group.imageset.single_file_indices else templates[path][0] or path
            by_name.setdefault(name, []).append(group)
    return sequences + [_join_stills(name, stills, override) for name, stills in by_name.items()]


def _join_stills(template: str, stills: list[ImageGroup], override: ScanOverride) -> ImageGroup:
    """Join stills that differ in their number alone; models are those of the first."""
    # Frames of a stack are numbered by their place in it.
    indices = [(still.imageset.single_file_indices or (None,))[0] for still in stills]
    numbers = [split_name((still.imageset.images or ("",))[0])[1] or 0 if index is None else index + 1
               for still, index in zip(stills, indices, strict=True)]
    stills = [still for _, still in sorted(zip(numbers, stills, strict=True), key=lambda pair: pair[0])]
    numbers.sort()
    if any(b != a + 1 for a, b in pairwise(numbers)):
        raise OptionError(f"{template}: stills can be made a sequence only if they are numbered without a gap")
    first = stills[0]
    detectors: list[Detector | None] = [still.models.detector for still in stills]
    if any(detector != first.models.detector for detector in detectors):
        raise OptionError(f"{template}: stills can be made a sequence only if they share a detector")
    scan = Scan((numbers[0], numbers[-1]), override.oscillation or (0.0, 0.0), (0.0,) * len(stills),
                (0.0,) * len(stills))
    imageset = dataclasses.replace(first.imageset, kind=SEQUENCE, template=template, images=None,
                                   single_file_indices=None if indices[0] is None else tuple(n - 1 for n in numbers))
    return ImageGroup(imageset, dataclasses.replace(first.models, scan=scan), first.format_name)
