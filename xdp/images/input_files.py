"""The files behind what a run is given: of words, of experiments, of parameters, down to linked data files."""

from __future__ import annotations

import contextlib
import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from xdp.errors import XdpError
from xdp.experiment.image_files import inputs_of_experiments, inputs_of_set, template_matches
from xdp.files import open_input
from xdp.images.importing.files import is_stack_folder
from xdp.images.names import has_placeholder, replace_printf
from xdp.options.files import files_read, refuse_outputs
from xdp.protection import Input, Inputs, protect

if TYPE_CHECKING:
    from xdp.experiment import Experiment
    from xdp.options import Options

_MODELS = (".expt", ".json")
_THIS_RUN = "an input of this run"
#: So many files of a run are asked whether they are HDF5 files; images one by one in more files are none.
_MANY = 100


@contextlib.contextmanager
def protect_images(experiments: Iterable[Experiment], options: Options | None = None) -> Iterator[None]:
    """Keep outputs off the images of experiments, and what options name as inputs, while the block runs.

    Raises
    ------
    XdpError
        At once, if the options name an input as an output.
    """
    inputs = Inputs(lambda: [*files_of_experiments(experiments), *(files_of_options(options) if options else ())])
    with protect(inputs):
        if options is not None:
            refuse_outputs(options)
        yield


def files_of_experiments(experiments: Iterable[Experiment]) -> Iterator[Input]:
    """The images of experiments, with their maps and linked files."""
    return _with_links(inputs_of_experiments(experiments))


def files_of_options(options: Options) -> Iterator[Input]:
    """The files that parameters name as inputs."""
    for file in files_read(options):
        for item in files_of_words([file.name]):
            own = item.role == _THIS_RUN
            yield Input(item.path, f"which {file.parameter} names" if own else item.role, item.is_certain)


def files_of_words(words: Sequence[str]) -> Iterator[Input]:
    """The files that names, patterns, folders, templates and ``.expt`` files stand for.

    What cannot be read is passed over: the command will say so when it reads it.
    """
    for word in words:
        if os.path.isdir(word) and not is_stack_folder(word):
            yield from _folder(word)
        elif os.path.exists(word):
            yield from _with_links([Input(word, _THIS_RUN)])
            if word.endswith(_MODELS):
                yield from _files_of_models(word)
        elif has_placeholder(word):
            yield from (Input(path, _THIS_RUN) for path in template_matches(replace_printf(word)))
        elif glob.has_magic(word):
            yield from files_of_words(glob.glob(word))


def _folder(folder: str) -> Iterator[Input]:
    """What is right in a folder: images, and perhaps other files, among them our own of an earlier run."""
    for name in sorted(os.listdir(folder)):
        yield Input(os.path.join(folder, name), _THIS_RUN, _is_image)


def _is_image(path: str) -> bool:
    """Whether a file has one of the formats of images."""
    from xdp.images.formats.find import find_format_class

    try:
        find_format_class(path)
    except XdpError:
        return False
    return True


def _files_of_models(path: str) -> Iterator[Input]:
    """The images that an ``.expt`` file names."""
    try:
        with open_input(path) as stream:
            imagesets = json.load(stream)["imageset"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    for imageset in imagesets if isinstance(imagesets, list) else ():
        if isinstance(imageset, dict):
            yield from _with_links(inputs_of_set(imageset, path))


def _with_links(inputs: Iterable[Input]) -> Iterator[Input]:
    """Images, and the data files of those that are master files."""
    from xdp.images.formats.hdf5.links import list_linked_files

    for number, item in enumerate(inputs):
        yield item
        for file in list_linked_files(item.path) if number < _MANY else ():
            yield Input(file, f"a data file of {item.path}")
