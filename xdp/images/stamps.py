"""Stamps of the files that the frames of an experiment come from, for keys of what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdp.experiment.image_files import MAPS
from xdp.images.formats.find import GEOMETRY_FILE
from xdp.images.reader import list_frame_files
from xdp.work.keys import stamp_file

if TYPE_CHECKING:
    from xdp.experiment import Experiment, ImageSet


def list_maps(imageset: ImageSet, *others: str | None) -> list[str]:
    """List the files that mask or correct the frames of an image set.

    Parameters
    ----------
    imageset : ImageSet
        Its mask, gain, pedestal and distortion maps count, and the geometry file that cuts its images.
    *others : str or None
        Further files, such as a mask that a parameter names; None stands for none.

    Examples
    --------
    >>> from xdp.experiment import ImageSet
    >>> list_maps(ImageSet("ImageSet", images=("a.cbf",), gain="gain.pickle"), "mask.pickle", None)
    ['gain.pickle', 'mask.pickle']
    """
    layout = imageset.params.get(GEOMETRY_FILE)
    return [path for path in (*(getattr(imageset, name) for name in MAPS), layout, *others) if path]


def list_image_files(experiment: Experiment, *others: str | None) -> list[str]:
    """List the files of an experiment's frames, and those that mask or correct them, each once.

    Parameters
    ----------
    experiment : Experiment
        With images.
    *others : str or None
        As of :func:`list_maps`.
    """
    imageset = experiment.known.imageset
    files, _ = list_frame_files(imageset, experiment.scan)
    return list(dict.fromkeys((*files, *list_maps(imageset, *others))))


def stamp_images(experiment: Experiment, *others: str | None) -> list[list]:
    """Stamp the files of :func:`list_image_files`, and say which frames are taken from them.

    Parameters
    ----------
    experiment : Experiment
        With images.
    *others : str or None
        As of :func:`list_maps`.

    Returns
    -------
    list
        The stamps (:func:`xdp.work.keys.stamp_file`), and the place of each frame in its file. It goes into a key.
    """
    _, indices = list_frame_files(experiment.known.imageset, experiment.scan)
    return [[stamp_file(path) for path in list_image_files(experiment, *others)], list(indices)]
