"""Names of image files: which digits number the image, and the template that stands for all of a series."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# Image numbers are 32-bit integers in all programs that read our files: nine digits always fit.
_MAX_DIGITS = 9
# Of a longer number, such as a time stamp, so many of the last digits number the image, the others are part of the
# name. A choice: a million images are more than a series has, and MTZ batches hold such numbers exactly.
_DIGITS_OF_LONG_NUMBERS = 6

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


class NameParts(NamedTuple):
    """A path around the digits of its image number: ``head + digits + tail``."""

    head: str
    digits: str
    tail: str


def _split_digits(path: str) -> NameParts | None:
    """Split a path at the digits of its number; None where its file name has none."""
    folder, slash, name = path.rpartition("/")
    for pattern in _PATTERNS:
        if match := pattern.match(name):
            head, digits = folder + slash + match["prefix"], match["digits"]
            if len(digits.lstrip("0")) > _MAX_DIGITS:
                cut = len(digits) - _DIGITS_OF_LONG_NUMBERS
                head, digits = head + digits[:cut], digits[cut:]
            return NameParts(head, digits, match["suffix"])
    return None


def split_name(path: str) -> tuple[str, int | None]:
    """Split a path into its template and the number of its image.

    The last digits of the name that stand alone before an ending are the number; of more than nine digits, as a time
    stamp has them, the last six.

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
    >>> split_name("lyso_20230627105010.cbf")
    ('lyso_20230627######.cbf', 105010)
    """
    parts = _split_digits(path)
    if parts is None:
        return path, None
    return parts.head + "#" * len(parts.digits) + parts.tail, int(parts.digits)


def assign_templates(paths: Iterable[str]) -> dict[str, tuple[str | None, int | None]]:
    """Find the templates of many files together: unpadded numbers of one series are of different lengths.

    Parameters
    ----------
    paths : iterable of str
        Of image files.

    Returns
    -------
    dict
        Template and number by path. A template has as many ``#`` as the shortest number of its series; the longer
        ones are written in full. None and None where the name has no number, or a ``#`` of its own is in the way.

    Examples
    --------
    >>> assign_templates(["img_9.cbf", "img_10.cbf", "img_007.cbf"])["img_10.cbf"]
    ('img_#.cbf', 10)
    """
    parts = {path: _split_digits(path) for path in paths}
    families: dict[tuple[str, str], list[str]] = {}
    for found in parts.values():
        if found is not None:
            families.setdefault((found.head, found.tail), []).append(found.digits)
    widths = {key: _find_widths(digits) for key, digits in families.items()}
    result: dict[str, tuple[str | None, int | None]] = {}
    for path, found in parts.items():
        result[path] = None, None
        if found is not None:
            width = widths[found.head, found.tail][found.digits]
            template, number = found.head + "#" * width + found.tail, int(found.digits)
            if fill_template(template, number) == path:
                result[path] = template, number
    return result


def _find_widths(numbers: Iterable[str]) -> dict[str, int]:
    """How many ``#`` stand for each number of files that are named alike."""
    digits = set(numbers)
    # A leading zero shows to how many digits the numbers of a series are padded: 0999 goes on with 1000 and 10000.
    padded = {len(d) for d in digits if d.startswith("0") and len(d) > 1}
    widths, plain = {}, []
    for d in digits:
        fitting = [width for width in padded if width <= len(d)]
        if d.startswith("0") and len(d) > 1:
            widths[d] = len(d)
        elif fitting:
            widths[d] = max(fitting)
        else:
            plain.append(d)
    shortest = min(map(len, plain), default=1)
    return widths | dict.fromkeys(plain, shortest)


def parse_image_number(path: str) -> int:
    """The number of an image by the name of its file, 0 where the name has none."""
    return split_name(path)[1] or 0


def has_placeholder(path: str) -> bool:
    """Whether a path is a template: ``#``, or ``%04d`` as printf has it, in its file name; folders may have any name.

    Examples
    --------
    >>> has_placeholder("img_####.cbf"), has_placeholder("crystal#1/img_0001.cbf")
    (True, False)
    """
    name = path.rpartition("/")[2]
    return "#" in name or _PLACEHOLDER.search(name) is not None


def replace_printf(template: str) -> str:
    """Write a template with ``#`` for each digit where its file name has ``%04d``.

    Examples
    --------
    >>> replace_printf("image_%04d.cbf")
    'image_####.cbf'
    """
    folder, slash, name = template.rpartition("/")
    return folder + slash + _PLACEHOLDER.sub(lambda match: "#" * max(int(match[1] or 1), 1), name)


def split_template(template: str) -> NameParts | None:
    """Split a template at its ``#``: the last row of them in the file name, which stands where the digits stand.

    Examples
    --------
    >>> split_template("crystal#1/run#2_####.cbf")
    NameParts(head='crystal#1/run#2_', digits='####', tail='.cbf')
    """
    start = template.rfind("/") + 1
    end = template.rfind("#", start) + 1
    if not end:
        return None
    first = len(template[:end].rstrip("#"))
    first = max(first, start)
    return NameParts(template[:first], template[first:end], template[end:])


def fill_template(template: str, number: int) -> str:
    """Put the number of an image into a template.

    Parameters
    ----------
    template : str
        With ``#`` for each digit; the last row of them in the file name is filled.
    number : int
        Of the image; it may have more digits than there are ``#``.

    Returns
    -------
    str
        The path of the image; the template itself where its file name has no ``#``.

    Examples
    --------
    >>> fill_template("image_####.cbf", 12)
    'image_0012.cbf'
    """
    parts = split_template(template)
    return template if parts is None else f"{parts.head}{number:0{len(parts.digits)}d}{parts.tail}"


def compile_number_pattern(template: str) -> re.Pattern[str]:
    r"""Make the pattern of the names of a template's files.

    Parameters
    ----------
    template : str
        A file name with ``#`` for each digit of the number.

    Returns
    -------
    re.Pattern
        Matches a whole name; group 1 is the number. It may have more digits than there are ``#``, without leading
        zeros, as :func:`fill_template` writes it.

    Examples
    --------
    >>> pattern = compile_number_pattern("a_##.cbf")
    >>> pattern.match("a_07.cbf")[1], pattern.match("a_100.cbf")[1], pattern.match("a_007.cbf")
    ('07', '100', None)
    """
    parts = split_template(template) or NameParts(template, "", "")
    width = len(parts.digits)
    number = f"(\\d{{{width}}}|[1-9]\\d{{{width},}})"
    return re.compile(f"{re.escape(parts.head)}{number}{re.escape(parts.tail)}\\Z", re.DOTALL)
