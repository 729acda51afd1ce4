"""Values of CrystFEL geometry files: numbers, directions, quantities with units. A wrong one is a ValueError."""

from __future__ import annotations

import math
import re

from xdp.images.geometry_files.crystfel import PLACEHOLDER, UNITS, Dimension, Quantity

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TERM = re.compile(rf"\s*([+-]?)\s*({_NUMBER})?\s*\*?\s*([xyz])\s*", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,9}(?:\.0*)?", re.ASCII)
_PATH = re.compile(r"/[^\s;=,]+")
# Rows and columns beyond this are a slip: the largest detectors have some 2e4 of them in one data set.
_MOST_PIXELS = 1_000_000
# Axes of a data set: HDF5 itself ends at 32.
MOST_DIMENSIONS = 32


def parse_finite(text: str) -> float:
    """Parse a finite number.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> parse_finite("50.0e-3")
    0.05
    """
    # Python's own float() takes "nan", "1_000" and other alphabets' digits.
    if not re.fullmatch(rf"[+-]?{_NUMBER}", text, re.ASCII):
        raise ValueError(f"a number was expected, got {text!r}")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a finite number was expected, got {text!r}")
    return value


def parse_positive(text: str) -> float:
    """Parse a number above 0.

    Raises
    ------
    ValueError
        If it is none.
    """
    value = parse_finite(text)
    if value <= 0.0:
        raise ValueError(f"a number above 0 was expected, got {text!r}")
    return value


def parse_pixel(text: str) -> int:
    """Parse the index of a row or column, which may be written as 0.0.

    Raises
    ------
    ValueError
        If it is no whole number, or out of bounds.
    """
    if not _INTEGER.fullmatch(text) or not 0 <= float(text) < _MOST_PIXELS:
        raise ValueError(f"a whole number from 0 to {_MOST_PIXELS - 1} was expected, got {text!r}")
    return int(float(text))


def parse_flag(text: str) -> bool:
    """Parse 0, 1, true or false.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    words = {"0": False, "1": True, "false": False, "true": True}
    if text.lower() not in words:
        raise ValueError(f"0 or 1 was expected, got {text!r}")
    return words[text.lower()]


def parse_bits(text: str) -> int:
    """Parse the bits of a mask: 0x and hexadecimal digits, or a decimal number.

    Raises
    ------
    ValueError
        If it is none, or does not fit into 64 bits.

    Examples
    --------
    >>> parse_bits("0xffff"), parse_bits("7")
    (65535, 7)
    """
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
        return int(text, 16)
    if re.fullmatch(r"[0-9]{1,19}", text):
        return int(text)
    raise ValueError(f"bits were expected, such as 0x00ff, got {text!r}")


def parse_direction(text: str) -> tuple[float, float, float]:
    """Parse a step of one pixel.

    Parameters
    ----------
    text : str
        Such as ``-0.002384x +0.999997y``, or ``x``.

    Returns
    -------
    (x, y, z)

    Raises
    ------
    ValueError
        If it is none, has a letter twice, or no length.

    Examples
    --------
    >>> parse_direction("-0.0023x +0.9999y"), parse_direction("-y")
    ((-0.0023, 0.9999, 0.0), (0.0, -1.0, 0.0))
    """
    found: dict[str, float] = {}
    position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None or (position and not term[1]):
            raise ValueError(f"a direction such as 1.0x -0.5y was expected, got {text!r}")
        if term[3] in found:
            raise ValueError(f"a direction has {term[3]} twice: {text!r}")
        size = float(term[2]) if term[2] else 1.0
        found[term[3]] = -size if term[1] == "-" else size
        position = term.end()
    x, y, z = (found.get(letter, 0.0) + 0.0 for letter in "xyz")
    # Real ones are 1 long to within 1 %; pixels that are binned or oblong may be some units long.
    if not 1e-3 < math.hypot(x, y, z) < 1e3:
        raise ValueError(f"a direction of a length near 1 was expected, got {text!r}")
    return x, y, z


def parse_dimension(text: str) -> Dimension:
    """Parse what an axis of a data set is.

    Raises
    ------
    ValueError
        If it is neither ss, fs, % nor a whole number.
    """
    if text in ("ss", "fs", PLACEHOLDER):
        return text
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return int(text)
    raise ValueError(f"ss, fs, {PLACEHOLDER} or a whole number was expected, got {text!r}")


def parse_path(text: str) -> str:
    """Parse the path of a data set.

    Raises
    ------
    ValueError
        If it does not begin with a slash or has blanks.
    """
    if not _PATH.fullmatch(text):
        raise ValueError(f"a path of a data set that begins with / was expected, got {text!r}")
    return text


def parse_name(text: str) -> str:
    """Parse the name of a file or list, which must not be empty.

    Raises
    ------
    ValueError
        If it is empty.
    """
    if not text:
        raise ValueError("a name was expected, got nothing")
    return text


def parse_quantity(text: str, kind: str) -> Quantity:
    """Parse a number, or the path of one in image files, with its unit.

    Parameters
    ----------
    text : str
        ``50 mm``, ``/LCLS/detector_1/EncoderValue``, ``/LCLS/photon_energyK keV``.
    kind : str
        One of the keys of :data:`~xdp.images.geometry_files.crystfel.UNITS`.

    Returns
    -------
    Quantity

    Raises
    ------
    ValueError
        If it is none, or has no unit of that kind.

    Examples
    --------
    >>> parse_quantity("50 mm", "length")
    Quantity(value=50.0, path=None, unit='mm')
    """
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise ValueError(f"a number or a path with a unit was expected, got {text!r}")
    unit = words[1] if len(words) == 2 else ""
    if unit not in UNITS[kind]:
        known = ", ".join(name for name in UNITS[kind] if name)
        raise ValueError(f"the unit {unit!r} is not known here: {known}")
    if words[0].startswith("/"):
        return Quantity(None, parse_path(words[0]), unit)
    value = parse_finite(words[0])
    if kind != "length" and value <= 0.0:
        raise ValueError(f"a number above 0 was expected, got {words[0]!r}")
    return Quantity(value, None, unit)


def parse_members(text: str) -> tuple[str, ...]:
    """Parse a list of names with commas between them.

    Raises
    ------
    ValueError
        If it is empty, or has an empty name or one twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError(f"names with commas between them were expected, got {text!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"each name may be there once, got {text!r}")
    return names
