"""PHIL files that a chain names: their definitions by path, includes followed, nothing imported or evaluated."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from xdp.errors import OptionError

log = logging.getLogger(__name__)
_INCLUDE = re.compile(r"^\s*include\s+(file|scope)\s+(\S+).*$")


def read_definitions(path: str | os.PathLike) -> dict[str, str]:
    """Read the definitions of a PHIL file and of those it includes.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of str to str
        Value of each definition by its whole path; of several with one path the last.

    Raises
    ------
    OptionError
        If a file cannot be read, includes itself, or is not PHIL.
    """
    import freephil

    text = _read_with_includes(str(path), ())
    try:
        scope = freephil.parse(text)
    except Exception as error:
        raise OptionError(f"{path}: is no PHIL ({' '.join(str(error).split())})") from None
    return {item.path: " ".join(word.value for word in item.object.words) for item in scope.all_definitions()}


def list_included(path: str | os.PathLike) -> list[str]:
    """List a PHIL file and all files that it includes.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of str
    """
    found: list[str] = []
    _read_with_includes(str(path), (), found)
    return found


def _read_with_includes(path: str, above: tuple[str, ...], found: list[str] | None = None) -> str:
    """The text of a file, with that of included ones in its place."""
    whole = os.path.realpath(path)
    if whole in above:
        raise OptionError(f"{path}: includes itself")
    if found is not None:
        found.append(path)
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read ({error})") from None
    out = []
    for line in lines:
        match = _INCLUDE.match(line)
        if match is None:
            out.append(line)
        elif match.group(1) == "scope":
            # the original imports the Python module of that name
            log.warning("%s: 'include scope %s' names Python code and is not followed", path, match.group(2))
        else:
            out.append(_read_with_includes(os.path.join(os.path.dirname(path), match.group(2).strip("'\"")),
                                           (*above, whole), found))
    return "\n".join(out)
