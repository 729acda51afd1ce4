"""The files of image sets, as inputs that no output may replace."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
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
