"""Opens the shots of files, folders and lists."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xdp.errors import FormatError, XdpError
from xdp.images.formats.find import find_format_class
from xdp.images.formats.hdf5.laid_out import load_geometry
from xdp.images.importing.files import Candidate, list_files, make_absolute
from xdp.options.named import make_options
from xdp.serial.events.context import Reference, RunContext
from xdp.serial.events.events import Events
from xdp.serial.events.experiment_source import ImportedShots
from xdp.serial.events.image_sources import SingleImages, StackedImages
from xdp.serial.events.options import EventOptions
from xdp.serial.events.pickled import ENDINGS as PICKLES
from xdp.serial.events.pickled import PickledImages
from xdp.serial.events.source import Source
from xdp.serial.streams.event_list import ListedEvent, locate_listed_file, read_event_list

logger = logging.getLogger(__name__)


def open_events(paths: str | os.PathLike | Sequence[str | os.PathLike],
                options: EventOptions | Mapping[str, Any] | None = None, **named: Any) -> Events:
    """Open the shots of files.

    Parameters
    ----------
    paths : path or sequence of paths
        Image files with one image or many (HDF5, CXI, NeXus, zarr, CBF ...), image dictionaries of cctbx.xfel, folders
        of them, patterns, CrystFEL's lists of events, and ``.expt`` files, whose models are taken with their images.
    options : EventOptions or mapping, optional
        Geometry, and where files have the values of their shots.
    **named
        Parameters by name, laid over `options`: ``detz_offset=575.0``.

    Returns
    -------
    Events
        In the order of the files' names, and within a file in its own order.

    Raises
    ------
    FormatError
        If there are no shots at all, or the geometry file cannot be read.
    OptionError
        If a parameter makes no sense.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> folder = tempfile.TemporaryDirectory()
    >>> np.save(folder.name + "/run.npy", np.arange(24, dtype="uint16").reshape(2, 3, 4))
    >>> events = open_events(folder.name)
    >>> len(events), events[1].image[0].sum()
    (2, np.uint64(210))
    """
    named = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in named.items()}
    chosen = make_options(EventOptions, options, named)
    words = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not words:
        raise FormatError("no shots were given: name image files, folders of them, or lists of events")
    context = make_context(chosen)
    sources = list_sources([os.fspath(word) for word in words], context)
    events = Events(sources, chosen.skip, chosen.count)
    if not len(Events(sources)):
        raise FormatError(f"{words[0]}: there are no shots")
    return events


def make_context(options: EventOptions) -> RunContext:
    """Make what holds for all shots of a run.

    Parameters
    ----------
    options : EventOptions
        With a geometry file, or without.

    Returns
    -------
    RunContext

    Raises
    ------
    FormatError
        If the geometry file cannot be read, or has no detector.
    """
    path = options.geometry
    if path is None:
        return RunContext(options)
    from xdp.files import open_input

    with open_input(path) as stream:
        is_json = stream.read(64).lstrip().startswith((b"{", b"["))
    if not is_json:
        load_geometry(path)
        return RunContext(options, layout=make_absolute(path))
    from xdp.experiment import read_experiments

    experiments = read_experiments(path)
    if not len(experiments) or experiments[0].detector is None:
        raise FormatError(f"{path}: has no detector")
    return RunContext(options, Reference(experiments[0].beam, experiments[0].detector))


def list_sources(words: Sequence[str], context: RunContext) -> list[Source]:
    """Make sources of the user's words.

    Parameters
    ----------
    words : sequence of str
        Files, folders and patterns.
    context : RunContext
        Of the run.

    Returns
    -------
    list of Source
        Neighbouring files with one image each are one source.
    """
    sources: list[Source] = []
    # Files with one image each that follow each other, and the class of their source.
    singles: list[str] = []
    kind: Callable[[list[str], RunContext], Source] = SingleImages
    for candidate in list_files(words):
        found = _make_source(candidate, context)
        if isinstance(found, type):
            if singles and found is not kind:
                sources.append(kind(singles, context))
                singles = []
            kind = found
            singles.append(candidate.path)
        elif found:
            sources += [kind(singles, context)] if singles else []
            singles = []
            sources += found
    return [*sources, kind(singles, context)] if singles else sources


def _make_source(candidate: Candidate, context: RunContext) -> list[Source] | type:
    """Sources of a file; a class where it has one image, and is joined with its neighbours; empty: it is no image."""
    if candidate.path.lower().endswith(PICKLES):
        return PickledImages
    if candidate.is_named and candidate.path.endswith((".expt", ".json")):
        return [ImportedShots(candidate.path, context)]
    if candidate.is_named and (listed := _list_events(candidate.path)) is not None:
        return list_listed_sources(listed, os.path.dirname(candidate.path), context)
    is_stack = _is_stack(candidate, context.params)
    if is_stack is None:
        return []
    return [StackedImages(candidate.path, context)] if is_stack else SingleImages


def _list_events(path: str) -> list[ListedEvent] | None:
    """The events of a list; None where a file is none: it is no text, or its first line names no image."""
    try:
        find_format_class(path)
        return None
    except XdpError:
        pass
    if not os.path.isfile(path):
        return None
    try:
        events = read_event_list(path)
    except XdpError:
        return None
    if not events:
        return None
    # A list has the ending of one, names events, or names a file that is there.
    first = locate_listed_file(events[0].file, os.path.dirname(path))
    return events if path.lower().endswith((".lst", ".list")) or events[0].event or os.path.isfile(first) else None


def list_listed_sources(listed: Sequence[ListedEvent], folder: str, context: RunContext) -> list[Source]:
    """Make sources of the lines of a list.

    Parameters
    ----------
    listed : sequence of ListedEvent
        In order; neighbouring events of one file are one source.
    folder : str
        Of the list.
    context : RunContext
        Of the run.

    Returns
    -------
    list of Source
    """
    sources: list[Source] = []
    for (name, has_event), group in itertools.groupby(listed, lambda line: (line.file, bool(line.event))):
        path = locate_listed_file(name, folder)
        if has_event:
            events = tuple(line.event if line.number is None else line.number for line in group)
            sources.append(StackedImages(path, context, events))
            continue
        for _ in group:
            found = _make_source(Candidate(path, False), context) if os.path.exists(path) else SingleImages
            # A file that is not there, or no image, is a shot that says so.
            sources += [found([path], context)] if isinstance(found, type) else (
                found or [SingleImages([path], context)])
    return sources


def _is_stack(candidate: Candidate, params: Mapping[str, Any]) -> bool | None:
    """Whether a file holds many images; None for one that is no image, and was not named."""
    try:
        return find_format_class(candidate.path, params).is_stack
    except XdpError as error:
        # What the user names is a shot, if one that fails: it must be in the table with its reason.
        if candidate.is_named or os.path.getsize(candidate.path) == 0:
            return False
        logger.warning("not an image, ignored: %s", error)
        return None
