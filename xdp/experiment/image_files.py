"""The files of image sets, as inputs that no output may replace."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from xdp.protection import Input

if TYPE_CHECKING:
    from xdp.experiment.experiment import Experiment

MAPS = ("mask", "gain", "pedestal", "dx", "dy")


def inputs_of_experiments(experiments: Iterable[Experiment]) -> Iterator[Input]:
    """The images and pixel maps of experiments."""
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
        files += template_matches(template) if "#" in template else [template]
    for file in dict.fromkeys(file for file in files if isinstance(file, str)):
        yield Input(file, f"an image of {owner}")
    for name in MAPS:
        if isinstance(file := imageset.get(name), str) and file:
            yield Input(file, f"the {name} of {owner}")


def template_matches(template: str) -> list[str]:
    """The files that a template with ``#`` stands for."""
    head, marks, tail = re.match(r"([^#]*)(#*)(.*)", template, re.DOTALL).groups()  # type: ignore[union-attr]
    return sorted(glob.glob(f"{glob.escape(head)}{'[0-9]' * len(marks)}{glob.escape(tail)}"))
