"""Images of a scan taken as stills: the option ``stills.indexer``."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.images.importing.group import split_image_set
from xdp.indexing.options import Indexing
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)


def has_stills(sweeps: ExperimentList, options: Indexing) -> bool:
    """Whether any of the sweeps is to be searched as a still, in which the cell along the beam is badly known.

    Parameters
    ----------
    sweeps : ExperimentList
        The geometry.
    options : Indexing
        ``stills.indexer=sequences`` has stills searched as sweeps are.
    """
    return options.stills.indexer != "sequences" and any(sweep.is_still for sweep in sweeps)


def treat_as_stills(experiments: ExperimentList, table: ReflectionTable) -> tuple[ExperimentList, ReflectionTable]:
    """Make a still of each image that has spots: scans lose their rotation, and are cut into their images.

    Parameters
    ----------
    experiments : ExperimentList
        Sweeps and stills, without crystals.
    table : ReflectionTable
        Spots; ``id`` names the sweep.

    Returns
    -------
    experiments : ExperimentList
        Without goniometers and scans, each with an image set of its own.
    table : ReflectionTable
        ``id`` and ``imageset_id`` name the still, positions are on its one frame. Boxes that reach over several images
        are cut down to this one.
    """
    owner, moved = np.full(len(table), -1, dtype=np.int32), np.zeros(len(table), dtype=np.int64)
    stills: list[Experiment] = []
    frames = np.floor(table["xyzobs.px.value"][:, 2]).astype(np.int64)
    for number, experiment in enumerate(experiments):
        rows = np.flatnonzero(table["id"] == number)
        if experiment.scan is None:
            owner[rows] = len(stills)
            stills.append(replace(experiment, goniometer=None))
            continue
        first, last = experiment.scan.array_range
        # a centroid at the very end of the scan counts to its last image
        image = np.clip(frames[rows], first, last - 1)
        moved[rows] = image
        sets = None if experiment.imageset is None else split_image_set(experiment.imageset, experiment.scan)
        for frame in np.unique(image):
            owner[rows[image == frame]] = len(stills)
            stills.append(replace(experiment, goniometer=None, scan=None, identifier="",
                                  imageset=None if sets is None else sets[int(frame) - first]))
    n_turning = sum(not e.is_still for e in experiments)
    if n_turning:
        logger.info("indexing.stills.indexer=stills: the rotation of %d sweep%s is not used; there are %d stills with "
                    "spots", n_turning, "s" if n_turning > 1 else "", len(stills))
    return ExperimentList(stills, experiments.extra), _move_to_first_frame(table, owner, moved)


def _move_to_first_frame(table: ReflectionTable, owner: np.ndarray, moved: np.ndarray) -> ReflectionTable:
    """The table of stills, with positions and boxes on frame 0 of each."""
    position = table["xyzobs.px.value"] - moved[:, None] * [0.0, 0.0, 1.0]
    columns = {"id": owner, "imageset_id": owner, "xyzobs.px.value": position}
    if "bbox" in table:
        box = table["bbox"].copy()
        box[:, 4:] = np.clip(box[:, 4:] - moved[:, None], 0, 1)
        columns["bbox"] = box
    boxes = {name: _cut_planes(column, moved) for name in table if isinstance(column := table[name], Shoeboxes)}
    return table.with_columns(**columns, **boxes)


def _cut_planes(boxes: Shoeboxes, frames: np.ndarray) -> Shoeboxes:
    """The plane of each box at one of its frames, as a box on frame 0; no pixels where the box has no such frame."""
    bbox, offsets = boxes.bbox.copy(), boxes.offsets
    plane = (bbox[:, 1] - bbox[:, 0]).astype(np.int64) * (bbox[:, 3] - bbox[:, 2])
    is_inside = (frames >= bbox[:, 4]) & (frames < bbox[:, 5]) & (np.diff(offsets) > 0)
    size = np.where(is_inside, plane, 0)
    ends = np.concatenate([[0], np.cumsum(size)])
    # where the plane of each box begins among all pixels, and the place of a pixel in its plane
    start = offsets[:-1] + np.where(is_inside, frames - bbox[:, 4], 0) * plane
    pixels = np.repeat(start - ends[:-1], size) + np.arange(ends[-1])
    bbox[:, 4:] = [0, 1]
    return Shoeboxes(boxes.panel, bbox, ends, boxes.data[pixels], boxes.mask[pixels], boxes.background[pixels])
