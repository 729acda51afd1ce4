"""Changes of basis: as users write them (new axes, indices or coordinates of the old ones), and carried out."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment.crystal import Crystal
from xdp.experiment.experiment import ExperimentList
from xdp.reflections.table import ReflectionTable

# one term of a sum: a sign, a number that may be a fraction, a letter, and a divisor
_TERM = re.compile(r"([+-]?)(\d+(?:\.\d+)?(?:/\d+)?\*?)?([abchklxyz])(?:/(\d+))?")
#: A number without a letter: a shift of the origin.
_SHIFT = re.compile(r"[+-]?\d+(?:\.\d+)?(?:/\d+)?$")
#: Indices change as axes do. Coordinates change the other way.
_ALPHABETS = ("abc", "hkl", "xyz")
_WHOLE = 1e-3  # how far an index may be from a whole number after a change of basis


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


def change_basis(experiments: ExperimentList, reflections: ReflectionTable, transform: np.ndarray,
                 hall: str = " P 1") -> tuple[ExperimentList, ReflectionTable]:
    """Change the axes of all crystals, and the Miller indices with them.

    Parameters
    ----------
    experiments : ExperimentList
        Each with a crystal; crystals that are shared stay shared.
    reflections : ReflectionTable
        With ``miller_index``.
    transform : (3, 3)
        New axes = transform @ old axes (rows); indices follow by the same matrix.
    hall : str
        The space group's Hall symbol after the change.

    Returns
    -------
    experiments : ExperimentList
        Their crystals without uncertainties of the old axes.
    reflections : ReflectionTable

    Raises
    ------
    XdpError
        If an index would no longer be a whole number.
    """
    made: dict[int, Crystal] = {}
    for experiment in experiments:
        crystal = experiment.known.crystal
        if id(crystal) not in made:
            a, b, c = (tuple(float(x) for x in row) for row in transform @ crystal.real_space_matrix)
            extra = {k: v for k, v in crystal.extra.items() if not k.startswith(("B_covariance", "recalculated_"))}
            made[id(crystal)] = Crystal(a, b, c, hall, _change_scan_points(crystal, transform), extra)
    moved = ExperimentList([replace(e, crystal=made[id(e.crystal)]) for e in experiments], experiments.extra)
    hkl = reflections["miller_index"] @ np.asarray(transform, dtype=np.float64).T
    whole = np.round(hkl)
    wrong = np.abs(hkl - whole).max(axis=1, initial=0.0) > _WHOLE if len(hkl) else np.zeros(0, dtype=bool)
    if wrong.any():
        raise XdpError(f"change of basis: {int(wrong.sum())} of {len(hkl)} Miller indices would not be whole numbers; "
                       "this change makes the cell smaller than the spots allow")
    return moved, reflections.with_columns(miller_index=whole.astype(np.int32))


def _change_scan_points(crystal: Crystal, transform: np.ndarray) -> tuple[tuple[float, ...], ...] | None:
    """A at the scan points under the change of axes: A' = A T^-1."""
    if not crystal.A_at_scan_points:
        return None
    inverse = np.linalg.inv(transform)
    points = np.asarray(crystal.A_at_scan_points).reshape(-1, 3, 3) @ inverse
    return tuple(tuple(float(v) for v in a.ravel()) for a in points)
