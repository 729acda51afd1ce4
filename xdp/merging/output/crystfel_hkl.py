"""CrystFEL's lists of merged reflections, ``.hkl``: written with their heading, read with and without one.

The columns are h, k, l, I, phase (``-``), sigma and the number of measurements. Lists without a heading, as other
programs of serial data write them, have h, k, l, I and sigma, and columns of their own behind these; they are kept, and
written again as they were.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

import numpy as np

from xdp.errors import FormatError
from xdp.files import atomic_output

_HEADING = "CrystFEL reflection list version 2.0"
_COLUMNS = "   h    k    l          I    phase   sigma(I)   nmeas"
_END = "End of reflections"
_CELL = re.compile(r"\s*\S+")


@dataclass(frozen=True)
class HklList:
    """A list of merged reflections.

    Attributes
    ----------
    hkl : (n, 3) int64
    intensity, sigma : (n,) float64
    n_measured : (n,) int64
        0 where the file does not say.
    symmetry : str or None
        Point group, as CrystFEL names it; None in lists without a heading.
    form : tuple of (int, int)
        Of lists without a heading: width and decimals of each column, as they were written.
    rest : (n, c) float64
        Columns behind these, of lists without a heading.
    """

    hkl: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray
    n_measured: np.ndarray
    symmetry: str | None = None
    form: tuple[tuple[int, int], ...] = ()
    rest: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.hkl)


def read_hkl_list(path: str | os.PathLike) -> HklList:
    """Read a list of merged reflections.

    Parameters
    ----------
    path : path

    Returns
    -------
    HklList

    Raises
    ------
    FormatError
        If a line is none of such a list; the message says which.
    """
    name = os.fspath(path)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise FormatError(f"{name}: cannot be read: {error.strerror}") from error
    if lines and lines[0].strip().startswith("CrystFEL reflection list"):
        return _read_with_heading(name, lines)
    return _read_plain(name, lines)


def _read_with_heading(name: str, lines: list[str]) -> HklList:
    """A list of CrystFEL."""
    symmetry, rows, inside = None, [], False
    for number, line in enumerate(lines[1:], 2):
        if line.startswith("Symmetry:"):
            symmetry = line.partition(":")[2].strip()
        elif line.split()[:4] == ["h", "k", "l", "I"]:
            inside = True
        elif line.strip() == _END:
            break
        elif inside and line.strip():
            words = line.split()
            if len(words) < 7:
                raise FormatError(f"{name}: line {number}: h, k, l, I, phase, sigma and nmeas are wanted, got {line!r}")
            rows.append(_to_numbers(name, number, [*words[:4], *words[5:7]]))
    else:
        raise FormatError(f"{name}: ends without its last line ({_END!r}): it was cut off")
    table = np.array(rows, np.float64).reshape(-1, 6)
    return HklList(table[:, :3].astype(np.int64), table[:, 3], table[:, 4], table[:, 5].astype(np.int64), symmetry)


def _read_plain(name: str, lines: list[str]) -> HklList:
    """A list of numbers alone."""
    rows = [_to_numbers(name, number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows or len({len(row) for row in rows}) > 1 or len(rows[0]) < 5:
        raise FormatError(f"{name}: no list of reflections: each line must have h, k, l, I, sigma (and may have more)")
    table = np.array(rows, np.float64)
    # the first line shows how wide the columns are
    cells = _CELL.findall(next(line for line in lines if line.strip()))
    form = tuple((len(cell), len(cell.strip().partition(".")[2])) for cell in cells)
    return HklList(np.rint(table[:, :3]).astype(np.int64), table[:, 3], table[:, 4], np.zeros(len(table), np.int64),
                   None, form, table[:, 5:])


def _to_numbers(name: str, number: int, words: list[str]) -> list[float]:
    """The numbers of a line."""
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise FormatError(f"{name}: line {number}: {error}") from error


def write_hkl_list(path: str | os.PathLike, listed: HklList) -> None:
    """Write a list of merged reflections.

    Parameters
    ----------
    path : path
    listed : HklList
        With the form of a list without a heading it is written as such.
    """
    with atomic_output(path) as part, open(part, "w", encoding="utf-8") as file:
        file.write("\n".join(_format_plain(listed) if listed.form else _format_with_heading(listed)) + "\n")


def _format_with_heading(listed: HklList) -> list[str]:
    """Lines of CrystFEL."""
    lines = [_HEADING, f"Symmetry: {listed.symmetry or 'unknown'}", _COLUMNS]
    for (h, k, l), value, sigma, n in zip(listed.hkl.tolist(), listed.intensity.tolist(), listed.sigma.tolist(),  # noqa: E741
                                          listed.n_measured.tolist(), strict=True):
        lines.append(f"{h:4d} {k:4d} {l:4d} {value:10.2f} {'-':>8s} {sigma:10.2f} {n:7d}")
    return [*lines, _END]


def _format_plain(listed: HklList) -> list[str]:
    """Lines of numbers alone, in the form that they had."""
    rest = np.zeros((len(listed), 0)) if listed.rest is None else listed.rest
    columns = [*listed.hkl.T.tolist(), listed.intensity.tolist(), listed.sigma.tolist(), *rest.T.tolist()]
    return ["".join(f"{value:{width}.{decimals}f}" for value, (width, decimals) in zip(row, listed.form, strict=True))
            for row in zip(*columns, strict=True)]
