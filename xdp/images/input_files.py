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
from xdp.options.files import list_input_files, refuse_outputs
from xdp.protection import Input, Inputs, protect

if TYPE_CHECKING:
    from xdp.experiment import Experiment
    from xdp.options import Options

# Endings of files that name images.
_MODELS = (".expt", ".json")
# What a message calls a file that the user names.
_THIS_RUN = "an input of this run"
# So many files of a run are asked for their links: a run on more files has one image in each, and those link to none.
_MAX_MASTER_FILES = 100


@contextlib.contextmanager
def protect_images(experiments: Iterable[Experiment], options: Options | None = None) -> Iterator[None]:
    """Keep outputs off the images of experiments, and off what options name as inputs, while the block runs.

    Parameters
    ----------
    experiments : iterable of Experiment
        Whose images are read.
    options : Options, optional
        Parameters of the run, some of which may name files.

    Raises
    ------
    XdpError
        At once, if the options name an input as an output.
    """
    inputs = Inputs(lambda: [*find_files_of_experiments(experiments),
                             *(find_files_of_options(options) if options else ())])
    with protect(inputs):
        if options is not None:
            refuse_outputs(options)
        yield


def find_files_of_experiments(experiments: Iterable[Experiment]) -> Iterator[Input]:
    """Find the images of experiments, with their maps and linked files."""
    return _add_linked_files(inputs_of_experiments(experiments))


def find_files_of_options(options: Options) -> Iterator[Input]:
    """Find the files that parameters name as inputs, such as masks and models."""
    for file in list_input_files(options):
        for item in find_files_of_words([file.name]):
            # A file that lies in a folder, or that an .expt file names, has a role of its own.
            own = item.role == _THIS_RUN
            yield Input(item.path, f"which {file.parameter} names" if own else item.role, item.is_certain)


def find_files_of_words(words: Sequence[str]) -> Iterator[Input]:
    """Find the files that a user's words stand for.

    Parameters
    ----------
    words : sequence of str
        Names, patterns, folders, templates and ``.expt`` files. What cannot be read is passed over: the command will
        say so when it reads it.

    Yields
    ------
    Input
        A file, and what it is to the run.
    """
    for word in words:
        if os.path.isdir(word) and not is_stack_folder(word):
            yield from _list_folder(word)
        elif os.path.exists(word):
            yield from _add_linked_files([Input(word, _THIS_RUN)])
            if word.endswith(_MODELS):
                yield from _find_files_of_models(word)
        elif has_placeholder(word):
            yield from (Input(path, _THIS_RUN) for path in template_matches(replace_printf(word)))
        elif glob.has_magic(word):
            yield from find_files_of_words(glob.glob(word))


def _list_folder(folder: str) -> Iterator[Input]:
    """List what is right in a folder: images, and perhaps other files, among them our own of an earlier run."""
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


def _find_files_of_models(path: str) -> Iterator[Input]:
    """Find the images that an ``.expt`` file names."""
    try:
        with open_input(path) as stream:
            imagesets = json.load(stream)["imageset"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    seen: set[str] = set()
    for imageset in imagesets if isinstance(imagesets, list) else ():
        if isinstance(imageset, dict):
            yield from _add_linked_files(inputs_of_set(imageset, path), seen)


def _add_linked_files(inputs: Iterable[Input], seen: set[str] | None = None) -> Iterator[Input]:
    """Add the data files of master files; paths in `seen`, which grows, are passed over."""
    from xdp.images.formats.hdf5.links import list_linked_files

    # All stills of a file name it: it is looked into once.
    seen = set() if seen is None else seen
    number = 0
    for item in inputs:
        if item.path in seen:
            continue
        seen.add(item.path)
        number += 1
        yield item
        for file in list_linked_files(item.path) if number <= _MAX_MASTER_FILES else ():
            yield Input(file, f"a data file of {item.path}")
