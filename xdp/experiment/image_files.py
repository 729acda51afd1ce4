"""The files of image sets, as inputs that no output may replace, and their names in messages."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xdp.protection import Input

if TYPE_CHECKING:
    from xdp.experiment.experiment import Experiment

#: Files of one number a pixel that an image set may name.
MAPS = ("mask", "gain", "pedestal", "dx", "dy")


def inputs_of_experiments(experiments: Iterable[Experiment]) -> Iterator[Input]:
    """The images and pixel maps of experiments, each set of images once.

    Yields
    ------
    Input
        A file with what it is, for the message of :class:`xdp.protection.Inputs`.
    """
    imagesets = {id(e.imageset): e.imageset for e in experiments if e.imageset is not None}
    for imageset in imagesets.values():
        yield from inputs_of_set(vars(imageset), "the experiments")


def inputs_of_set(imageset: Mapping[str, Any], owner: str) -> Iterator[Input]:
    """The images and pixel maps of an image set, as a mapping of its fields in an ``.expt`` file.

    Fields of a wrong type are passed over: whoever reads the file says so.
    """
    images = imageset.get("images")
    files = list(images) if isinstance(images, list | tuple) else []
    template = imageset.get("template")
    if isinstance(template, str) and template:
        # A stack gives the places of its images in it, and may have a # in its own name.
        is_stack = bool(imageset.get("single_file_indices")) or "#" not in template.rpartition("/")[2]
        files += [template] if is_stack else template_matches(template)
    for file in dict.fromkeys(file for file in files if isinstance(file, str)):
        yield Input(file, f"an image of {owner}")
    for name in MAPS:
        path = imageset.get(name)
        if isinstance(path, str) and path:
            yield Input(path, f"the {name} of {owner}")
    params = imageset.get("params")
    layout = params.get("geometry_file") if isinstance(params, Mapping) else None
    if isinstance(layout, str) and layout:
        yield Input(layout, f"the geometry file of {owner}")


def template_matches(template: str) -> list[str]:
    """The files that a template stands for.

    Parameters
    ----------
    template : str
        With ``#`` for each digit of the image number: the last row of them in the file name counts, and a number may
        have more digits, without zeros in front. All else is taken as it is written.

    Returns
    -------
    list of str
        Those that are there, sorted.
    """
    # `glob` reads brackets and stars; escaped, they are letters of a file's name.
    head, marks, tail = re.match(r"(.*?)(#+)([^#/]*)\Z", template, re.DOTALL).groups()  # type: ignore[union-attr]
    found = glob.glob(f"{glob.escape(head)}{'[0-9]' * len(marks)}*{glob.escape(tail)}")
    number = f"(?:[0-9]{{{len(marks)}}}|[1-9][0-9]{{{len(marks)},}})"
    pattern = re.compile(re.escape(head) + number + re.escape(tail) + r"\Z", re.DOTALL)
    return sorted(path for path in found if pattern.match(path))


def name_sweep_images(experiment: Experiment) -> str:
    """Name the images of an experiment: template or file, without its folder, with the range of a sweep.

    Examples
    --------
    >>> from xdp.experiment import Experiment, ImageSet, Scan
    >>> name_sweep_images(Experiment(imageset=ImageSet("ImageSequence", template="/data/a_####.cbf"),
    ...                        scan=Scan((1, 90), (0.0, 0.5))))
    'a_####.cbf 1-90'
    """
    imageset, scan = experiment.imageset, experiment.scan
    if imageset is None:
        return experiment.identifier or "no images"
    path = imageset.template or (imageset.images[0] if imageset.images else "")
    text = os.path.basename(path.rstrip("/"))
    if scan is not None:
        return f"{text} {scan.image_range[0]}-{scan.image_range[1]}"
    # Stills of one file differ by their places in it alone.
    places = imageset.single_file_indices
    return f"{text} {places[0] + 1}" if places else text


def name_sweep(experiments: Sequence[Experiment], number: int) -> str | None:
    """Name one of several experiments for a message about it.

    Parameters
    ----------
    experiments : sequence of Experiment
        All of the run.
    number : int
        Which of them.

    Returns
    -------
    str or None
        ``sweep 1 (b_####.cbf 1-90)``, for stills ``experiment 7 (shots.h5 8)``; None where there is only one.
    """
    if len(experiments) < 2:
        return None
    experiment = experiments[number]
    sets = list({id(e.imageset): None for e in experiments})
    place = sets.index(id(experiment.imageset))
    # Lattices of one sweep share its images: then only the experiment's number tells them apart.
    is_alone = len(sets) == len(experiments) and not experiment.is_still
    return f"{f'sweep {place}' if is_alone else f'experiment {number}'} ({name_sweep_images(experiment)})"
