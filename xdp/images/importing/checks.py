"""What must hold of imported images once the user's values are laid over their headers."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence

import numpy as np

from xdp.errors import FormatError
from xdp.experiment import Beam, Detector, Goniometer, Scan
from xdp.images.importing.files import list_missing
from xdp.images.importing.group import ImageGroup, find_first_file
from xdp.images.names import fill_template
from xdp.images.reader import is_template

# A plane closer to the sample than this, in mm, is no detector: what is stated is 0, or rounded to it. A choice.
_SMALLEST_DISTANCE = 1e-3

logger = logging.getLogger(__name__)


def check_presence(groups: Sequence[ImageGroup], image_range: tuple[int, int] | None) -> None:
    """Refuse sweeps with images that are not there, and say which images of a stack are in no sweep.

    Parameters
    ----------
    groups : sequence of ImageGroup
        With the user's scan.
    image_range : (int, int) or None
        That the user gave; images outside it are left out on purpose.

    Raises
    ------
    FormatError
        Naming the images, and the range of those that are there.
    """
    used: dict[str, list[ImageGroup]] = {}
    for group in groups:
        if not group.is_sequence or group.models.scan is None or group.imageset.template is None:
            continue
        if is_template(group.imageset):
            if image_range is not None:
                _check_files(group.imageset.template, group.models.scan)
        elif group.n_held is not None:
            used.setdefault(group.imageset.template, []).append(group)
    for path, of_file in used.items():
        _check_stack(path, of_file, image_range)


def _check_files(template: str, scan: Scan) -> None:
    """Refuse a scan of files that are not there."""
    first, last = scan.image_range
    present = [number for number in range(first, last + 1) if os.path.exists(fill_template(template, number))]
    if missing := list_missing(present, first, last):
        raise FormatError(f"{template}: {missing}")


def _check_stack(path: str, groups: Sequence[ImageGroup], image_range: tuple[int, int] | None) -> None:
    """Refuse a scan that is longer than its file; say what a shorter one leaves out."""
    held = groups[0].n_held or 0
    ranges = [group.models.scan.image_range for group in groups if group.models.scan is not None]
    last = max(stop for _, stop in ranges)
    if last > held:
        why = f" ({groups[0].missing})" if groups[0].missing else ""
        rescue = f"; geometry.scan.image_range=1,{held} takes those that are there" if held else ""
        raise FormatError(f"{path}: its scan has {last} images, its data files have {held}{why}{rescue}")
    n_used = sum(stop - start + 1 for start, stop in ranges)
    if image_range is None and n_used < held:
        logger.warning("%s: it holds %d images, but its header has angles for %d: the others are not read; "
                       "geometry.scan.image_range=1,%d takes all, as if they turned on", path, held, n_used, held)


def check_geometry(group: ImageGroup) -> None:
    """Refuse models that no experiment has: a detector at distance 0, pixels without size, numbers that are none.

    Parameters
    ----------
    group : ImageGroup
        With the user's values.

    Raises
    ------
    FormatError
        Naming the first image, what is wrong, and the parameter that mends it.
    """
    models = group.models
    for problem in (*_check_beam(models.beam), *_check_detector(models.detector),
                    *_check_rotation(models.goniometer, models.scan)):
        raise FormatError(f"{find_first_file(group)}: {problem}")


def _check_beam(beam: Beam | None) -> list[str]:
    """What is wrong with a beam."""
    if beam is not None and not (0.0 < beam.wavelength < math.inf and np.linalg.norm(beam.direction) > 0.0):
        return [f"its wavelength cannot be {beam.wavelength:g} Å; give geometry.beam.wavelength"]
    return []


def _check_detector(detector: Detector | None) -> list[str]:
    """What is wrong with a detector."""
    problems = []
    for i, panel in enumerate(detector or ()):
        frame = detector.d_matrix(i)  # type: ignore[union-attr]
        where = f"panel {i} of its detector" if len(detector or ()) > 1 else "its detector"
        normal = np.cross(frame[:, 0], frame[:, 1])
        if not np.isfinite(frame).all() or not np.linalg.norm(normal) > 0.5:
            problems.append(f"{where} has no sound place: fast axis, slow axis and origin are {frame.T.tolist()}")
        elif abs(frame[:, 2] @ normal) < _SMALLEST_DISTANCE:
            problems.append(f"{where} is at distance 0 mm from the sample; give geometry.detector.distance")
        if not min(panel.pixel_size) > 0.0 or not math.isfinite(sum(panel.pixel_size)):
            problems.append(f"{where} has pixels of {panel.pixel_size} mm; give geometry.detector.panel.pixel_size")
        if not panel.trusted_range[0] <= panel.trusted_range[1]:
            low, high = panel.trusted_range
            problems.append(f"{where} trusts counts from {low:g} to {high:g}; "
                            "give geometry.detector.panel.trusted_range")
    return problems


def _check_rotation(goniometer: Goniometer | None, scan: Scan | None) -> list[str]:
    """What is wrong with goniometer or scan."""
    if scan is not None and not all(map(math.isfinite, scan.oscillation)):
        return [f"its scan starts at {scan.oscillation[0]:g} degrees with images of {scan.oscillation[1]:g}; give "
                "geometry.scan.oscillation"]
    if goniometer is not None and not abs(np.linalg.norm(goniometer.rotation_axis) - 1.0) < 0.5:
        return [f"its rotation axis cannot be {goniometer.rotation_axis}; give geometry.goniometer.axis"]
    return []
