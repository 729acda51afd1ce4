"""Names of image files: which digits number the image, and the template that stands for all of a series."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(r"%0?(\d*)d")

# What may follow the image's number, the likeliest first; each pattern is of a whole file name.
_PATTERNS = tuple(re.compile(pattern, re.DOTALL) for pattern in (
    r"(?P<prefix>.*\.)(?P<digits>\d+)(?P<suffix>)$",
    r"(?P<prefix>.*\.)(?P<digits>\d+)(?P<suffix>\.[a-zA-Z-]+)$",
    r"(?P<prefix>.*_)(?P<digits>\d+)(?P<suffix>\..*)$",
    r"(?P<prefix>(?:.*\D)?)(?P<digits>\d+)(?P<suffix>\..*)$",
    r"(?P<prefix>(?:.*\D)?)(?P<digits>\d+)(?P<suffix>)$",
))


def split_name(path: str) -> tuple[str, int | None]:
    """Template of a path, ``#`` for the digits that number the image, and the number.

    The last digits of the name that stand alone before an ending count: ``img_0001.cbf.gz``, ``img.0815``,
    ``img.0815.cbf``, ``img0815.img``. The path itself and None where there are none.
    """
    folder, slash, name = path.rpartition("/")
    for pattern in _PATTERNS:
        if match := pattern.match(name):
            digits = match["digits"]
            return folder + slash + match["prefix"] + "#" * len(digits) + match["suffix"], int(digits)
    return path, None


def image_number(path: str) -> int:
    """The number of an image by its name, 0 where the name has none."""
    return split_name(path)[1] or 0


def has_placeholder(path: str) -> bool:
    """Whether a path is a template: with ``#``, or ``%04d`` as printf has it."""
    return "#" in path or _PLACEHOLDER.search(path) is not None


def hashed(template: str) -> str:
    """A template with its ``%04d`` as ``####``."""
    return _PLACEHOLDER.sub(lambda match: "#" * max(int(match[1] or 1), 1), template)


def fill(template: str, number: int) -> str:
    """The path of image `number` of a template with ``#``; the template itself where it has none."""
    first = template.find("#")
    if first < 0:
        return template
    width = len(template[first:]) - len(template[first:].lstrip("#"))
    return f"{template[:first]}{number:0{width}d}{template[first + width:]}"


def number_pattern(template: str) -> re.Pattern[str]:
    """What the names of a template's files look like, the number as group 1."""
    first = template.find("#")
    width = len(template[first:]) - len(template[first:].lstrip("#"))
    head, tail = re.escape(template[:first]), re.escape(template[first + width:])
    return re.compile(f"{head}(\\d{{{width}}}){tail}\\Z", re.DOTALL)
