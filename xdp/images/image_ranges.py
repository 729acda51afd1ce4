"""Ranges of images as users write them to leave images out: ``experiment:first:last``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from xdp.errors import OptionError


class ImageRange(NamedTuple):
    """Images of one experiment, or of all.

    Attributes
    ----------
    experiment : int or None
        Its number, from 0; None where none was given.
    first, last : int
        Numbers of images, both included.
    """

    experiment: int | None
    first: int
    last: int


def parse_image_ranges(words: Sequence[str], name: str = "exclude_images") -> list[ImageRange]:
    """Read ranges of images, as DIALS' ``exclude_images`` takes them.

    Parameters
    ----------
    words : sequence of str
        ``experiment:first:last`` or ``first:last``; several in one word are parted by commas or spaces.
    name : str
        The parameter, for messages.

    Returns
    -------
    list of ImageRange

    Raises
    ------
    OptionError
        If a word is no such range, or its last image comes before its first.

    Examples
    --------
    >>> parse_image_ranges(["0:150:200,1:5:5"])
    [ImageRange(experiment=0, first=150, last=200), ImageRange(experiment=1, first=5, last=5)]
    """
    ranges = []
    for word in (part for text in words for part in re.split(r"[\s,]+", text.strip())):
        match = re.fullmatch(r"(?:(\d{1,9}):)?(-?\d{1,9}):(-?\d{1,9})", word)
        if match is None:
            raise OptionError(f"{name}={word}: expected experiment:first:last with the experiment's number from 0, or "
                              f"first:last, as 0:150:200")
        experiment, first, last = match.groups()
        ranges.append(ImageRange(None if experiment is None else int(experiment), int(first), int(last)))
        if ranges[-1].last < ranges[-1].first:
            raise OptionError(f"{name}={word}: the last image comes before the first")
    return ranges
