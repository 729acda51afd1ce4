"""Masks that hold for all images of an experiment: mask files, what the format knows, rectangles of the panels.

A mask is a list of bool arrays (slow, fast), one a panel, True where the pixel is good; None is a mask that is True
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import FormatError, OptionError

if TYPE_CHECKING:
    from xdp.experiment import Detector, Experiment
    from xdp.images.reader import Reader


def read_static_mask(experiment: Experiment, reader: Reader | None = None) -> list[np.ndarray] | None:
    """Read what is masked on all images of an experiment: by its mask file or format, and by rectangles of its panels.

    Parameters
    ----------
    experiment : Experiment
        Whose image set may name a mask file; a file takes the place of the format's own mask, as in DIALS.
    reader : Reader, optional
        Of its images, whose format may know bad pixels.

    Returns
    -------
    list of (slow, fast) bool, or None
        None where every pixel is good.

    Raises
    ------
    FormatError
        If the mask file cannot be read or does not fit the detector.
    """
    return combine_masks(read_external_mask(experiment, reader), build_rectangles_mask(experiment.known.detector))


def read_external_mask(experiment: Experiment, reader: Reader | None = None) -> list[np.ndarray] | None:
    """Read the mask of the file that an experiment's image set names, else the one that its image format knows.

    Parameters
    ----------
    experiment : Experiment
        With a detector, and perhaps an image set.
    reader : Reader, optional
        Of its images; without it only a file can give a mask.

    Returns
    -------
    list of (slow, fast) bool, or None
        None where there is neither.
    """
    imageset = experiment.imageset
    if imageset is not None and imageset.mask:
        return read_mask(imageset.mask, experiment.known.detector.panel_shapes)
    return None if reader is None else reader.static_mask()


def build_rectangles_mask(detector: Detector) -> list[np.ndarray] | None:
    """Build the mask of the rectangles that are stored with the panels, such as gaps between modules.

    Parameters
    ----------
    detector : Detector
        ``mask`` of each panel is a list of (fast0, slow0, fast1, slow1) in pixels, the ends excluded.

    Returns
    -------
    list of (slow, fast) bool, or None
        None where no panel has a rectangle.
    """
    if not any(panel.mask for panel in detector):
        return None
    masks = []
    for panel, shape in zip(detector, detector.panel_shapes, strict=True):
        mask = np.ones(shape, bool)
        for x0, y0, x1, y1 in panel.mask:
            # Ends below 0 are cut off: as slices they would count from the other end.
            mask[max(y0, 0):max(y1, 0), max(x0, 0):max(x1, 0)] = False
        masks.append(mask)
    return masks


def combine_masks(*masks: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
    """Combine masks to one that is True where all of them are.

    Parameters
    ----------
    *masks : sequence of (slow, fast) bool, or None
        One array a panel; None stands for a mask that is True everywhere.

    Returns
    -------
    list of (slow, fast) bool, or None
        New arrays; None where all are None.

    Raises
    ------
    OptionError
        If they are not of one detector: panels differ in number or size.

    Examples
    --------
    >>> import numpy as np
    >>> combine_masks([np.array([[True, False]])], None, [np.array([[True, True]])])
    [array([[ True, False]])]
    """
    given = [m for m in masks if m is not None]
    if not given:
        return None
    wanted = [panel.shape for panel in given[0]]
    for other in given[1:]:
        if (shapes := [panel.shape for panel in other]) != wanted:
            raise OptionError(f"masks of one detector are wanted, got panels of {wanted} and of {shapes} pixels")
    return [np.logical_and.reduce(panels) for panels in zip(*given, strict=True)]


def read_mask(path: str, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Read a mask file as DIALS pickles it, or a NumPy file; nothing in it is executed.

    Parameters
    ----------
    path : str
        The file.
    shapes : sequence of (slow, fast)
        Of the panels that it must fit.

    Returns
    -------
    list of (slow, fast) bool
        One a panel, True where the pixel is good.

    Raises
    ------
    FormatError
        If it is damaged, holds numbers other than true and false, or has other panels.
    """
    from xdp.images.masks.pickles import read_maps

    panels = list(read_maps(path))
    if any(panel.dtype != bool for panel in panels):
        raise FormatError(f"{path}: a mask holds true and false, got {panels[0].dtype}")
    check_panel_shapes(panels, shapes, str(path))
    return panels


def check_panel_shapes(mask: Sequence[np.ndarray], shapes: Sequence[tuple[int, int]], name: str) -> None:
    """Refuse a mask or map whose panels are not those of the detector.

    Parameters
    ----------
    mask : sequence of ndarray
        One array a panel.
    shapes : sequence of (slow, fast)
        Of the detector's panels.
    name : str
        The file, for the message.

    Raises
    ------
    FormatError
        Naming the file, what was expected and what came.
    """
    # As tuples: shapes from files may be lists.
    got: list[tuple[int, ...]] = [tuple(m.shape) for m in mask]
    expected: list[tuple[int, ...]] = [tuple(s) for s in shapes]
    if got != expected:
        raise FormatError(f"{name}: a mask of {len(expected)} panel(s) with (slow, fast) = {_list_few(expected)} was "
                          f"expected, got {len(got)} panel(s) with {_list_few(got)}")


def _list_few(shapes: list[tuple[int, ...]]) -> str:
    """The first three different shapes: a detector may have a hundred panels."""
    distinct = list(dict.fromkeys(shapes))
    return ", ".join(map(str, distinct[:3])) + (", ..." if len(distinct) > 3 else "")
