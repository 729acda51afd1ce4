"""Which shots are processed: files, lists and patterns, and what is left out of them."""

from __future__ import annotations

import glob
import logging
import math
import os
from collections.abc import Sequence

from xdp.errors import OptionError, XdpError
from xdp.images.formats.find import find_format_class
from xdp.serial.events import Events, open_events
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.tags import make_tag
from xdp.serial.streams.event_list import read_event_list

logger = logging.getLogger(__name__)


def open_shots(words: Sequence[str], options: StillsProcessOptions) -> Events:
    """Open the shots of the inputs, of ``input.file_list`` and of ``input.glob``.

    Parameters
    ----------
    words : sequence of str
        Files, folders, patterns and lists.
    options : StillsProcessOptions

    Returns
    -------
    Events

    Raises
    ------
    OptionError
        If no shots are named, or a pattern matches nothing.
    FormatError
        If a file cannot be read.
    """
    named = list(words)
    if options.input.file_list is not None:
        if not read_event_list(options.input.file_list):
            raise OptionError(f"input.file_list={options.input.file_list}: names no images")
        named.append(options.input.file_list)
    for pattern in options.input.glob:
        found = sorted(glob.glob(pattern))
        if not found:
            raise OptionError(f"input.glob={pattern}: no file matches it")
        named += found
    if not named:
        raise OptionError("shots are wanted: name image files, folders, .expt files or lists of events, or give "
                          "input.glob or input.file_list")
    return open_events(named, options.events)


def choose_shots(events: Events, options: StillsProcessOptions) -> list[int]:
    """Choose the shots that are processed.

    Parameters
    ----------
    events : Events
    options : StillsProcessOptions
        ``input.image_tag``, ``input.max_images`` and ``dispatch.process_percent``.

    Returns
    -------
    list of int
        Numbers among the events, ascending.

    Raises
    ------
    OptionError
        If no shot has a tag that is asked for.
    """
    chosen = list(range(len(events)))
    wanted = set(options.input.image_tag)
    if wanted:
        tags = [make_tag(events.get_id(number)) for number in chosen]
        missing = wanted.difference(tags)
        if missing:
            raise OptionError(f"input.image_tag={sorted(missing)[0]}: no shot has this tag; input.show_image_tags=True "
                              f"prints them (the first is {tags[0]})")
        chosen = [number for number, tag in zip(chosen, tags, strict=True) if tag in wanted]
    if options.dispatch.process_percent is not None:
        chosen = take_share(chosen, options.dispatch.process_percent)
    return chosen if options.input.max_images is None else chosen[:options.input.max_images]


def take_share(numbers: Sequence[int], percent: int) -> list[int]:
    """Take a share of shots: of every N the first n, where n/N is the share in lowest terms.

    Parameters
    ----------
    numbers : sequence of int
    percent : int
        1 to 100.

    Returns
    -------
    list of int

    Examples
    --------
    >>> take_share(range(10), 40)
    [0, 1, 5, 6]
    """
    divisor = math.gcd(percent, 100)
    take, of = percent // divisor, 100 // divisor
    return [number for k, number in enumerate(numbers) if k % of < take]


def log_unreadable(events: Events, numbers: Sequence[int]) -> int:
    """Look at the files of all shots before the first is processed, and log those that cannot be opened.

    Parameters
    ----------
    events : Events
    numbers : sequence of int
        Of the shots.

    Returns
    -------
    int
        How many files cannot be opened; their shots fail when their turn comes.
    """
    files = dict.fromkeys(events.get_id(number).partition(" //")[0] for number in numbers)
    n_bad = 0
    for file in files:
        # a stream is no file: psana has opened it already
        if os.path.sep not in file and not os.path.exists(file):
            continue
        try:
            find_format_class(file)
        except (XdpError, OSError) as error:
            n_bad += 1
            logger.warning("cannot be opened: %s", error)
    logger.info("%d files were looked at, %d of them cannot be opened", len(files), n_bad)
    return n_bad
