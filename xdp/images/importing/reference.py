"""Geometry taken from a reference experiment instead of the image headers."""

from __future__ import annotations

import dataclasses
from typing import Any

from xdp.errors import OptionError
from xdp.experiment import Detector, ExperimentList, read_experiments
from xdp.images.importing.group import ImageGroup
from xdp.images.importing.options import DetectorTolerance, ImportInput
from xdp.images.importing.similar import are_similar_detectors


def apply_reference(groups: list[ImageGroup], options: ImportInput) -> list[ImageGroup]:
    """Replace beam, goniometer and detector of all images by those of ``input.reference_geometry``.

    Parameters
    ----------
    groups : list of ImageGroup
        With the models of their headers.
    options : ImportInput
        Names the reference, and which of its models are taken.

    Returns
    -------
    list of ImageGroup
        The groups themselves where there is no reference.

    Raises
    ------
    OptionError
        If the reference has no or more than one beam or detector, or its panels are not those of the images.
    """
    path = options.reference_geometry
    if path is None:
        return groups
    reference = read_experiments(path)
    beam, detector = (_get_only(reference, name, str(path)) for name in ("beam", "detector"))
    goniometers = reference.unique("goniometer")
    models = {}
    if options.use_beam_reference:
        models["beam"] = beam
    if options.use_detector_reference:
        models["detector"] = detector
    result = []
    for group in groups:
        # Headers without a detector have nothing to compare.
        if options.check_reference_geometry:
            _check_panels(group.models.detector, detector, str(path))
        chosen = dict(models)
        # A still has no goniometer, whatever the reference has.
        if options.use_gonio_reference and goniometers and group.is_sequence:
            chosen["goniometer"] = goniometers[0]
        result.append(dataclasses.replace(group, models=dataclasses.replace(group.models, **chosen)))
    return result


def _get_only(reference: ExperimentList, name: str, path: str) -> Any:
    """The one beam or detector of the reference."""
    found = reference.unique(name)
    if len(found) != 1:
        raise OptionError(f"{path}: reference_geometry must have one {name}, it has {len(found)}")
    return found[0]


def _check_panels(detector: Detector | None, reference: Detector, path: str) -> None:
    """Refuse a reference of another detector."""
    if detector is not None and not are_similar_detectors(detector, reference, DetectorTolerance(), static_only=True):
        raise OptionError(f"{path}: the reference's {len(reference)} panels of {reference[0].image_size} pixels are "
                          f"not those of the images, {len(detector)} of {detector[0].image_size}; "
                          "check_reference_geometry=False takes them all the same")
