"""Names of image files: which digits number the image, and the template that stands for all of a series."""

from __future__ import annotations

import re

# A number as printf writes it: %d, %4d or %04d.
_PLACEHOLDER = re.compile(r"%0?(\d*)d")

# What may follow the image's number, the likeliest first; each pattern is of a whole file name.
_PATTERNS = tuple(re.compile(pattern, re.DOTALL) for pattern in (
    # img.0815
    r"(?P<prefix>.*\.)(?P<digits>\d+)(?P<suffix>)$",
    # img.0815.cbf
    r"(?P<prefix>.*\.)(?P<digits>\d+)(?P<suffix>\.[a-zA-Z-]+)$",
    # img_0001.cbf.gz
    r"(?P<prefix>.*_)(?P<digits>\d+)(?P<suffix>\..*)$",
    # img0815.img
    r"(?P<prefix>(?:.*\D)?)(?P<digits>\d+)(?P<suffix>\..*)$",
    # img0815
    r"(?P<prefix>(?:.*\D)?)(?P<digits>\d+)(?P<suffix>)$",
))


def split_name(path: str) -> tuple[str, int | None]:
    """Split a path into its template and the number of its image.

    The last digits of the name that stand alone before an ending are the number.

    Parameters
    ----------
    path : str
        Of an image file.

    Returns
    -------
    template : str
        The path with ``#`` for each digit of the number; the path itself where it has none.
    number : int or None
        None where the name has no number.

    Examples
    --------
    >>> split_name("run_2/img_0001.cbf.gz")
    ('run_2/img_####.cbf.gz', 1)
    >>> split_name("img.0815")
    ('img.####', 815)
    >>> split_name("dark.cbf")
    ('dark.cbf', None)
    """
    folder, slash, name = path.rpartition("/")
    for pattern in _PATTERNS:
        if match := pattern.match(name):
            digits = match["digits"]
            return folder + slash + match["prefix"] + "#" * len(digits) + match["suffix"], int(digits)
    return path, None


def parse_image_number(path: str) -> int:
    """The number of an image by the name of its file, 0 where the name has none."""
    return split_name(path)[1] or 0


def has_placeholder(path: str) -> bool:
    """Whether a path is a template: with ``#``, or ``%04d`` as printf has it."""
    return "#" in path or _PLACEHOLDER.search(path) is not None


def replace_printf(template: str) -> str:
    """Write a template with ``#`` for each digit where it has ``%04d``.

    Examples
    --------
    >>> replace_printf("image_%04d.cbf")
    'image_####.cbf'
    """
    return _PLACEHOLDER.sub(lambda match: "#" * max(int(match[1] or 1), 1), template)


def fill_template(template: str, number: int) -> str:
    """Put the number of an image into a template.

    Parameters
    ----------
    template : str
        With ``#`` for each digit; only the first run of them is filled.
    number : int
        Of the image; it may have more digits than there are ``#``.

    Returns
    -------
    str
        The path of the image; the template itself where it has no ``#``.

    Examples
    --------
    >>> fill_template("image_####.cbf", 12)
    'image_0012.cbf'
    """
    first = template.find("#")
    if first < 0:
        return template
    width = len(template[first:]) - len(template[first:].lstrip("#"))
    return f"{template[:first]}{number:0{width}d}{template[first + width:]}"


def compile_number_pattern(template: str) -> re.Pattern[str]:
    r"""Make the pattern of the names of a template's files.

    Parameters
    ----------
    template : str
        A file name with ``#`` for each digit of the number.

    Returns
    -------
    re.Pattern
        Matches a whole name; group 1 is the number.

    Examples
    --------
    >>> compile_number_pattern("a_##.cbf").match("a_07.cbf")[1]
    '07'
    """
    first = template.find("#")
    width = len(template[first:]) - len(template[first:].lstrip("#"))
    head, tail = re.escape(template[:first]), re.escape(template[first + width:])
    return re.compile(f"{head}(\\d{{{width}}}){tail}\\Z", re.DOTALL)
