"""Files that hold many images: each is a sweep, several where the angles jump, or as many stills."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable

import numpy as np

from xdp.experiment import ImageSet, Scan
from xdp.experiment.imageset import SEQUENCE, STILLS
from xdp.images.formats.base import Format, Models
from xdp.images.importing.files import make_absolute
from xdp.images.importing.group import ImageGroup
from xdp.images.importing.series import fit_width

# An image that starts more than this fraction of a width off where the last one ended begins a sweep of its own, and
# so does one whose width differs by more. Measured positions of a goniometer scatter by a tenth of an image or two; a
# missing image shifts the start by a whole one. Half is a choice between them.
_MOST_JUMP = 0.5

logger = logging.getLogger(__name__)


def list_stacks(opened: Iterable[Format], params: dict[str, object]) -> list[ImageGroup]:
    """Group the images of files that hold many.

    Parameters
    ----------
    opened : iterable of Format
        The files.
    params : dict
        Options of the format, as image sets carry them.

    Returns
    -------
    list of ImageGroup
        A sequence for each run of images that turn on where the one before ended; a group for each image of a file
        without a scan.
    """
    groups = []
    known: dict[frozenset[tuple[str, str]], str] = {}
    for stack in opened:
        path = make_absolute(stack.path)
        # Beamlines write two master files to the same data.
        sources = stack.list_sources()
        if sources in known:
            logger.warning("not read: %s holds the same images as %s", stack.path, known[sources])
            continue
        if sources:
            known[sources] = stack.path
        models = stack.stack_models()
        # A scan makes a sequence; shots of a serial experiment have none.
        if models.scan is not None:
            groups += _list_sweeps(stack, path, models, params)
            continue
        for index in range(stack.n_images):
            imageset = ImageSet(STILLS, images=(path,), single_file_indices=(index,), params=params)
            models = _keep_equal_models(stack.models(index), models)
            groups.append(ImageGroup(imageset, models, stack.name))
    return groups


def _list_sweeps(stack: Format, path: str, models: Models, params: dict[str, object]) -> list[ImageGroup]:
    """The sweeps of one file."""
    scan = models.scan
    assert scan is not None
    scans = [scan]
    angles = stack.frame_angles()
    if angles is not None and not scan.is_still and len(angles[0]) == scan.n_frames:
        scans = [_cut_scan(scan, *run, path=stack.path) for run in split_runs(*angles)]
    if len(scans) > 1:
        logger.warning("%s: its %d images do not turn on where the one before ended: they are %d sweeps", stack.path,
                       scan.n_frames, len(scans))
    groups = []
    for part in scans:
        first, last = part.image_range
        imageset = ImageSet(SEQUENCE, template=path, single_file_indices=tuple(range(first - 1, last)), params=params)
        groups.append(ImageGroup(imageset, dataclasses.replace(models, scan=part), stack.name,
                                 stack.n_images, stack.missing))
    return groups


def _cut_scan(scan: Scan, start: int, stop: int, oscillation: tuple[float, float], last_start: float,
              path: str) -> Scan:
    """Images `start` to `stop` (from 0, the end excluded) of a scan; a whole scan stays as the file has it."""
    if (start, stop) != (0, scan.n_frames):
        first = scan.image_range[0]
        scan = dataclasses.replace(scan, image_range=(first + start, first + stop - 1), oscillation=oscillation,
                                   exposure_time=scan.exposure_time[start:stop], epochs=scan.epochs[start:stop])
    return fit_width(scan, last_start, path)


def split_runs(starts: np.ndarray, widths: np.ndarray) -> list[tuple[int, int, tuple[float, float], float]]:
    """Split images into runs that turn on.

    Parameters
    ----------
    starts, widths : (n_images,) float
        Degrees; whole turns do not count.

    Returns
    -------
    list of (start, stop, oscillation, last_start)
        Of each run: its images, counted from 0 with the end excluded; start and median width, and the start of its
        last image, degrees.

    Examples
    --------
    >>> import numpy as np
    >>> [run[:3] for run in split_runs(np.array([0.0, 0.5, 90.0, 90.5]), np.full(4, 0.5))]
    [(0, 2, (0.0, 0.5)), (2, 4, (90.0, 0.5))]
    """
    jumps = starts[1:] - (starts[:-1] + widths[:-1])
    jumps = np.where(np.abs(jumps) > 180.0, (jumps + 180.0) % 360.0 - 180.0, jumps)
    limits = _MOST_JUMP * np.abs(widths[:-1])
    cuts = np.flatnonzero((np.abs(jumps) > limits) | (np.abs(np.diff(widths)) > limits)) + 1
    runs = []
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(starts)], strict=True):
        width = float(np.median(widths[start:stop]))
        runs.append((start, stop, (float(starts[start]), width), float(starts[stop - 1])))
    return runs


def _keep_equal_models(models: Models, previous: Models) -> Models:
    """The models of a shot; the objects of the shot before where they are equal (the beam may differ shot by shot)."""
    # Experiments that share an object share it in the .expt file, and are refined together.
    equal = {name: last for name in ("beam", "detector", "goniometer")
             if (last := getattr(previous, name)) == getattr(models, name)}
    return dataclasses.replace(models, **equal)
