"""Times of shots: nanoseconds since 1970 (UTC), and the two ways in which LCLS' programs write them.

Logs, tables and integration files have ``2016-07-08T22:05Z24.133``, names of image files the digits of that alone.
Both end with whole milliseconds, as the original programs write them: the rest is cut off, not rounded.
"""

from __future__ import annotations

import calendar
import re
import time

from xdp.errors import FormatError

_SECOND = 1_000_000_000
_LONG = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)Z(\d\d)\.(\d{3})")
# A name may have other digits before and behind, but these are a run of 17.
_DIGITS = re.compile(r"(?<!\d)((?:19|20)\d{15})(?!\d)")
# Times between 1970 and 2262, as nanoseconds in 64 bits can hold them.
_LAST = 2**63 - 1


def make_time(seconds: float, nanoseconds: float = 0) -> int:
    """Make a time of seconds and nanoseconds.

    Parameters
    ----------
    seconds : int or float
        Since 1970-01-01 00:00 UTC.
    nanoseconds : int, default 0
        Within the second.

    Returns
    -------
    int
        Nanoseconds since 1970.

    Raises
    ------
    FormatError
        If it lies before 1970 or after 2262.

    Examples
    --------
    >>> make_time(1468015524, 133_000_000)
    1468015524133000000
    """
    try:
        # A float of 64 bits holds seconds of this century to 0.2 microseconds: rounding keeps 0.133 from being 0.132.
        result = int(seconds) * _SECOND + round((seconds - int(seconds)) * 1e6) * 1000 + int(nanoseconds)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"a time must be a finite number of seconds since 1970, got {seconds!r}") from error
    if not 0 <= result <= _LAST:
        raise FormatError(f"a time must lie between 1970 and 2262, got {seconds!r} seconds since 1970")
    return result


def format_time(shot_time: int) -> str:
    """Write a time as logs, tables and integration files have it.

    Parameters
    ----------
    shot_time : int
        Nanoseconds since 1970.

    Returns
    -------
    str
        UTC, Z between minutes and seconds, milliseconds cut off.

    Examples
    --------
    >>> format_time(1468015524_133_999_999)
    '2016-07-08T22:05Z24.133'
    """
    seconds, rest = divmod(shot_time, _SECOND)
    return time.strftime("%Y-%m-%dT%H:%MZ%S", time.gmtime(seconds)) + f".{rest // 1_000_000:03d}"


def format_time_digits(shot_time: int) -> str:
    """Write a time as names of image files have it: 17 digits.

    Parameters
    ----------
    shot_time : int
        Nanoseconds since 1970.

    Returns
    -------
    str

    Examples
    --------
    >>> format_time_digits(1468015524_133_000_000)
    '20160708220524133'
    """
    return re.sub(r"\D", "", format_time(shot_time))


def parse_time(text: str) -> int:
    """Read a time in either way of writing, or in that of ISO 8601 with UTC.

    Parameters
    ----------
    text : str
        ``2016-07-08T22:05Z24.133``, ``20160708220524133`` or ``2016-07-08T22:05:24.133Z``.

    Returns
    -------
    int
        Nanoseconds since 1970.

    Raises
    ------
    FormatError
        If it is none of these.

    Examples
    --------
    >>> parse_time("2016-07-08T22:05Z24.133") == parse_time("20160708220524133")
    True
    """
    found = _LONG.fullmatch(text.strip())
    if found:
        return _join_parts(found.groups(), text)
    if re.fullmatch(r"\d{17}", text.strip()):
        return _split_digits(text.strip())
    return _parse_iso(text)


def find_time(name: str) -> int | None:
    """Find the 17 digits of a time in the name of an image file.

    Parameters
    ----------
    name : str
        Without its folder: ``shot-20160708220524133.pickle``.

    Returns
    -------
    int or None
        Nanoseconds since 1970; None where there is none, or several.

    Examples
    --------
    >>> format_time(find_time("idx-20130301060858401.cbf"))
    '2013-03-01T06:08Z58.401'
    """
    found = _DIGITS.findall(name)
    if len(found) != 1:
        return None
    try:
        return _split_digits(found[0])
    except FormatError:  # A number that is no time.
        return None


def _split_digits(text: str) -> int:
    """The time of 17 digits."""
    return _join_parts((text[:4], *(text[i:i + 2] for i in range(4, 14, 2)), text[14:]), text)


def _join_parts(parts: tuple[str, ...], text: str) -> int:
    """The time of year, month, day, hour, minute, second and millisecond."""
    year, month, day, hour, minute, second, millisecond = (int(part) for part in parts)
    days = calendar.monthrange(year, month)[1] if 1970 <= year <= 2261 and 1 <= month <= 12 else 0
    # A leap second is written as 60.
    if not (1 <= day <= days and hour < 24 and minute < 60 and second <= 60):
        raise FormatError(f"{text!r} is no time: year 1970 to 2261, month, day, hour, minute and second were expected")
    return calendar.timegm((year, month, day, hour, minute, second)) * _SECOND + millisecond * 1_000_000


def _parse_iso(text: str) -> int:
    """The time of a text in ISO 8601; one without a zone is taken for UTC."""
    from datetime import UTC, datetime

    try:
        # Python reads six digits behind the point; some writers have nine.
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.strip()))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{text!r} is no time: 2016-07-08T22:05Z24.133, 20160708220524133 or "
                          "2016-07-08T22:05:24.133Z was expected") from error
    return make_time(delta.days * 86400 + delta.seconds, delta.microseconds * 1000)
