"""Hot pixels: those that are strong on every frame of a scan range; and those that spots through all frames show."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence

import numpy as np

from xdp.experiment import Experiment, ExperimentList, ImageSet


def find_always_strong(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Find the pixels that are strong on all frames.

    Parameters
    ----------
    frames : iterable of (m,) int
        Flat pixel indices that are strong, sorted, for each frame.

    Returns
    -------
    (k,) int32
        Flat pixel indices, sorted; none for no frames.

    Examples
    --------
    >>> find_always_strong([np.array([1, 4, 7]), np.array([4, 7, 9])]).tolist()
    [4, 7]
    """
    common: np.ndarray | None = None
    for strong in frames:
        common = strong if common is None else np.intersect1d(common, strong, assume_unique=True)
    return np.zeros(0, np.int32) if common is None else common.astype(np.int32)


def make_hot_masks(shapes: Sequence[tuple[int, int]], hot: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Make masks that leave out the hot pixels.

    Parameters
    ----------
    shapes : sequence of (int, int)
        Pixels of each panel along slow and fast.
    hot : sequence of (k,) int
        For each panel the flat indices of its hot pixels.

    Returns
    -------
    list of (slow, fast) bool
        False at the hot pixels.

    Examples
    --------
    >>> make_hot_masks([(2, 3)], [np.array([4])])[0].tolist()
    [[True, True, True], [True, False, True]]
    """
    masks = [np.ones(shape, bool) for shape in shapes]
    for mask, pixels in zip(masks, hot, strict=True):
        mask.reshape(-1)[pixels] = False
    return masks


def find_full_depth_pixels(bbox: np.ndarray, depth: int) -> np.ndarray:
    """First pixels (fast, slow) of the spots whose box spans `depth` frames: what ``find_hot_pixels`` calls hot.

    Parameters
    ----------
    bbox : (n, 6) int
        x0 x1 y0 y1 z0 z1.
    depth : int
        Frames in the whole scan.

    Returns
    -------
    (k, 2) int
    """
    return bbox[bbox[:, 5] - bbox[:, 4] == depth][:, [0, 2]]


def write_hot_masks(experiments: Sequence[Experiment], members: Sequence[Sequence[Experiment]],
                   hot: Sequence[Sequence[np.ndarray]], names: Sequence[str]) -> ExperimentList:
    """Write masks of hot pixels, joined with the masks the experiments had, and name them in the experiments.

    Parameters
    ----------
    experiments : sequence of Experiment
    members : sequence of sequences of Experiment
        For each mask whose images it is for.
    hot : sequence of (panel -> (k,) int)
        For each mask the flat indices of hot pixels.
    names : sequence of str
        The mask files.

    Returns
    -------
    ExperimentList
        The experiments, their image sets with the new masks.
    """
    from xdp.images.masks.pickles import write_mask_pickle
    from xdp.images.masks.static import combine_masks, read_external_mask
    from xdp.images.reader import open_reader

    renamed: dict[int, ImageSet] = {}
    for users, pixels, name in zip(members, hot, names, strict=True):
        shapes = users[0].known.detector.panel_shapes
        # a mask file takes the place of the format's own mask, so that the new one must hold that, too
        others = read_external_mask(users[0], open_reader(users[0]))
        masks = make_hot_masks(shapes, pixels)
        write_mask_pickle(name, combine_masks(masks, others) or masks)
        for user in users:
            # absolute: the experiments may be written to another folder than the mask
            renamed[id(user.imageset)] = dataclasses.replace(user.known.imageset, mask=os.path.abspath(name))
    # an image set that several experiments share stays one object: that is how sharing is written
    return ExperimentList([dataclasses.replace(e, imageset=renamed.get(id(e.imageset), e.imageset))
                           for e in experiments], getattr(experiments, "extra", None))
