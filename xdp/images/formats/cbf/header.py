"""Headers of CBF files: their text, Dectris' comment lines, and the numbers and time stamps in these.

References
----------
Dectris, "Pilatus CBF Header Specification", version 1.4 (2012).
"""

from __future__ import annotations

import calendar
import datetime
import math
import re
from collections.abc import Mapping, Sequence

from xdp.errors import FormatError
from xdp.images.formats.cbf.sections import BOUNDARY
from xdp.images.formats.cbf.sites import read_leading_number
from xdp.images.formats.units import find_unit_factor

# 2012-Feb-03T12:34:56.789, 2012/02/03 12:34:56
_TIME = re.compile(r"(\d{4})[-/]([A-Za-z]{3}|\d{2})[-/](\d{2})[T ](\d{2}):(\d{2}):(\d{2})(\.\d+)?")
# What Dectris' specification has; headers without a unit follow it.
_UNITS = {"length": "m", "wavelength": "A", "angle": "deg", "time": "s"}
_PIXELS = ("", "pixel", "pixels", "px")
# Parameters of import that give what a header lacks.
_REMEDIES = {"Detector_distance": "geometry.detector.distance", "Beam_xy": "geometry.detector.fast_slow_beam_centre",
             "Pixel_size": "geometry.detector.panel.pixel_size", "Wavelength": "geometry.beam.wavelength",
             "Count_cutoff": "geometry.detector.panel.trusted_range", "Start_angle": "geometry.scan.oscillation",
             "Angle_increment": "geometry.scan.oscillation"}
_CONVENTION = re.compile(r'_array_data\.header_convention\s+"?([^"\r\n]*)')


def extract_header_text(data: bytes) -> str:
    """Extract the text before the first binary section.

    Parameters
    ----------
    data : bytes
        A CBF, or its beginning.

    Returns
    -------
    str
        Of ASCII characters; others are left out.
    """
    end = data.find(BOUNDARY)
    return (data if end < 0 else data[:end]).decode("ascii", "ignore")


def parse_convention(text: str) -> str:
    """Parse the header convention that a CBF states.

    Parameters
    ----------
    text : str
        The header.

    Returns
    -------
    str
        Such as ``PILATUS_1.2``; empty where it states none.
    """
    match = _CONVENTION.search(text)
    return match[1].strip() if match else ""


def parse_comment_fields(text: str) -> dict[str, str]:
    """Parse Dectris' comment lines, such as ``# Wavelength 0.97950 A``.

    Parameters
    ----------
    text : str
        The header.

    Returns
    -------
    dict
        Value of each line by its first word; the line of the time stamp, which has no name, is ``timestamp``.

    Examples
    --------
    >>> parse_comment_fields("# Wavelength 0.97950 A\\n# 2012-Feb-03T12:34:56")
    {'Wavelength': '0.97950 A', 'timestamp': '2012-Feb-03T12:34:56'}
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            continue
        words = line[1:].replace("=", " ").split()
        if len(words) <= 2 and line.count(":") == 2 and _TIME.search(line):
            fields["timestamp"] = " ".join(words)
        elif words:
            fields.setdefault(words[0].rstrip(":"), " ".join(words[1:]))
    return fields


def parse_epoch(stamp: str) -> float | None:
    """Parse a header's time stamp.

    Parameters
    ----------
    stamp : str
        Such as ``2012-Feb-03T12:34:56.789``.

    Returns
    -------
    float or None
        Seconds since 1970; the stamp is taken as UTC, as DIALS does. None where there is no sound stamp.

    Examples
    --------
    >>> parse_epoch("1970-Jan-02T00:00:01.5")
    86401.5
    """
    match = _TIME.search(stamp)
    if match is None:
        return None
    year, month, day, hour, minute, second = match.groups()[:6]
    try:
        number_of_month = int(month) if month.isdecimal() else list(calendar.month_abbr).index(month.title())
        time = datetime.datetime(int(year), number_of_month, int(day), int(hour), int(minute), int(second))
    except ValueError:
        return None
    return calendar.timegm(time.timetuple()) + float("0" + (match[7] or ""))


def _suggest(name: str) -> str:
    """Which parameter gives what a header field does not."""
    return f"; {_REMEDIES[name]} gives it" if name in _REMEDIES else ""


def read_required_number(header: Mapping[str, str], name: str, path: str) -> float:
    """Read the number that a header field begins with, which must be there and finite.

    Parameters
    ----------
    header : mapping
        Fields of the header.
    name : str
        Of the field.
    path : str
        Name of the file, for messages.

    Returns
    -------
    float
        In the unit of the header.

    Raises
    ------
    FormatError
        If there is no such number.
    """
    value = read_leading_number(header, name, math.nan)
    if not math.isfinite(value):
        raise FormatError(f"{path}: header field {name} must be a finite number, got {header.get(name, 'none')!r}"
                          f"{_suggest(name)}")
    return value


def read_quantity(header: Mapping[str, str], name: str, kind: str, path: str) -> float:
    """Read the number that a header field begins with, in the unit that follows it.

    Parameters
    ----------
    header : mapping
        Fields of the header.
    name : str
        Of the field.
    kind : str
        "length", "wavelength", "angle" or "time". Without a unit metres, Å, degrees or seconds are meant.
    path : str
        Name of the file, for messages.

    Returns
    -------
    float
        In mm, Å, degrees or seconds.

    Raises
    ------
    FormatError
        If there is no such number, or its unit is not one of that kind.

    Examples
    --------
    >>> read_quantity({"Detector_distance": "0.15 m"}, "Detector_distance", "length", "a.cbf")
    150.0
    >>> read_quantity({"Detector_distance": "150 mm"}, "Detector_distance", "length", "a.cbf")
    150.0
    """
    value = read_required_number(header, name, path)
    return value * _find_factor(header[name].replace(",", " ").split()[1:2], kind, f"{path}: header field {name}")


def _find_factor(words: Sequence[str], kind: str, where: str) -> float:
    """What turns a number into ours by the word behind it, if there is one."""
    unit = words[0].strip(".,;()") if words else ""
    # A remark may follow: units are letters.
    unit = unit if unit and unit[0].isalpha() else _UNITS[kind]
    return find_unit_factor(unit, kind, where)


def read_quantity_pair(header: Mapping[str, str], name: str, kind: str, path: str) -> tuple[float, float]:
    """Read two numbers of a header field in the unit that follows them, such as ``172e-6 m x 172e-6 m``.

    Parameters
    ----------
    header : mapping
        Fields of the header.
    name : str
        Of the field.
    kind : str
        "length" (metres without a unit) or "pixel", for which a length may stand.
    path : str
        Name of the file, for messages.

    Returns
    -------
    (float, float)
        In mm, or in pixels where the unit says so or there is none.

    Raises
    ------
    FormatError
        If there are fewer numbers, or the unit is unknown.

    Examples
    --------
    >>> read_quantity_pair({"Pixel_size": "0.172 mm x 0.172 mm"}, "Pixel_size", "length", "a.cbf")
    (0.172, 0.172)
    """
    first, second = read_number_pair(header, name, path)
    unit = find_pair_unit(header[name])
    if kind == "pixel" and is_pixel_unit(unit):
        return first, second
    factor = find_unit_factor(unit or "m", "length", f"{path}: header field {name}")
    return first * factor, second * factor


def is_pixel_unit(unit: str) -> bool:
    """Whether a unit of places on the detector means pixels, as none does."""
    return unit.lower() in _PIXELS


def find_pair_unit(text: str) -> str:
    """Find the unit of two numbers; empty where there is none.

    Examples
    --------
    >>> find_pair_unit("172e-6 m x 172e-6 m"), find_pair_unit("(1.5, 2) pixels"), find_pair_unit("1 x 2")
    ('m', 'pixels', '')
    """
    words = [word for word in re.findall(r"[^\W\d_]+", re.sub(r"\d[eE][-+]?\d+", "0", text)) if word.lower() != "x"]
    return words[0] if words else ""


def read_number_pair(header: Mapping[str, str], name: str, path: str) -> tuple[float, float]:
    """Read two numbers of a header field, between whatever units and brackets.

    Parameters
    ----------
    header : mapping
        Fields of the header.
    name : str
        Of the field.
    path : str
        Name of the file, for messages.

    Returns
    -------
    (float, float)
        In the unit of the header.

    Raises
    ------
    FormatError
        If there are fewer.

    Examples
    --------
    >>> read_number_pair({"Pixel_size": "172e-6 m x 172e-6 m"}, "Pixel_size", "a.cbf")
    (0.000172, 0.000172)
    """
    words = re.findall(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", header.get(name, ""))
    if len(words) < 2 or not all(math.isfinite(float(word)) for word in words[:2]):
        raise FormatError(f"{path}: header field {name} must be two finite numbers, got {header.get(name, 'none')!r}"
                          f"{_suggest(name)}")
    return float(words[0]), float(words[1])
