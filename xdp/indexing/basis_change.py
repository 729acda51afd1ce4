"""Changes of basis as users write them: new axes, new indices or new coordinates in terms of the old ones."""

from __future__ import annotations

import re

import numpy as np

from xdp.errors import OptionError

# one term of a sum: a sign, a number that may be a fraction, a letter, and a divisor
_TERM = re.compile(r"([+-]?)(\d+(?:\.\d+)?(?:/\d+)?\*?)?([abchklxyz])(?:/(\d+))?")
#: A number without a letter: a shift of the origin.
_SHIFT = re.compile(r"[+-]?\d+(?:\.\d+)?(?:/\d+)?$")
#: Indices change as axes do. Coordinates change the other way.
_ALPHABETS = ("abc", "hkl", "xyz")


def parse_basis_change(text: str) -> np.ndarray:
    """Read a change of basis such as ``a+b,a-b,c``, ``h+k,h-k,l`` or ``x/2+y/2,x/2-y/2,z``.

    Parameters
    ----------
    text : str
        New axes in terms of the old ones, new Miller indices of the old, or new coordinates of the old. The first two
        are the same change for the same letters; coordinates change with the inverse, transposed.

    Returns
    -------
    (3, 3)
        New axes = matrix @ old axes.

    Raises
    ------
    OptionError
        If the text cannot be read, or the change does not keep the hand.

    Examples
    --------
    >>> parse_basis_change("b,c,a").tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    >>> parse_basis_change("a+b,-a+b,1/2c")[2].tolist()
    [0.0, 0.0, 0.5]
    >>> parse_basis_change("x/2+y/2,-x/2+y/2,z").round(6).tolist()
    [[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    parts = [part.strip().replace(" ", "") for part in text.split(",")]
    alphabet = _find_alphabet(text)
    if alphabet == "xyz":  # an origin is nothing that diffraction shows
        parts = [_drop_shift(part) for part in parts]
    rows = [_parse_row(part, text, alphabet) for part in parts]
    if len(rows) != 3:
        raise OptionError(f"change_of_basis_op={text}: wants three axes such as b,c,a")
    matrix = np.array(rows)
    if np.linalg.det(matrix) < 1e-6:
        raise OptionError(f"change_of_basis_op={text}: the new axes must be right-handed and span a volume")
    return np.linalg.inv(matrix).T if alphabet == "xyz" else matrix


def _find_alphabet(text: str) -> str:
    """Which three letters a change is written in."""
    letters = set(re.findall("[a-z]", text))
    found = [alphabet for alphabet in _ALPHABETS if letters & set(alphabet)]
    if len(found) > 1:
        raise OptionError(f"change_of_basis_op={text}: axes a,b,c, indices h,k,l and coordinates x,y,z do not mix")
    return found[0] if found else "abc"


def _drop_shift(part: str) -> str:
    """A coordinate without a shift of its origin, at the end or at the beginning."""
    terms = re.findall(r"[+-]?[^+-]+", part)
    return "".join(term for term in terms if not _SHIFT.match(term)).removeprefix("+")


def _parse_row(part: str, text: str, alphabet: str) -> list[float]:
    """One new axis (3,) in terms of the old ones; `text` is the whole change, for messages."""
    row, end = [0.0, 0.0, 0.0], 0
    for match in _TERM.finditer(part):
        # something between two terms, or a second term without a sign
        if match.start() != end or (end > 0 and not match[1]):
            break
        number = (match[2] or "1").rstrip("*")
        top, _, bottom = number.partition("/")
        below = int(bottom or 1) * int(match[4] or 1)
        if not below:
            break
        row[alphabet.index(match[3])] += (-1.0 if match[1] == "-" else 1.0) * float(top) / below
        end = match.end()
    if end != len(part) or not part:
        letters = ", ".join(alphabet[:2]) + " and " + alphabet[2]
        raise OptionError(f"change_of_basis_op={text}: '{part}' is no combination of {letters}")
    return row
