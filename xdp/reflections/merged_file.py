"""Files of merged reflections of other programs: MTZ, and structure factors as mmCIF."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import FormatError

if TYPE_CHECKING:
    import gemmi

_PAIRS = ("JQ", "KM", "FQ")
"""Types of columns in MTZ files: intensity and sigma, those of I(+), amplitude and sigma; the first that is there."""


def read_merged_file(path: str | os.PathLike) -> gemmi.Mtz:
    """Read a file of merged reflections.

    Parameters
    ----------
    path : path
        ``.mtz``, or else mmCIF structure factors, of which the first block is taken.

    Returns
    -------
    gemmi.Mtz

    Raises
    ------
    FormatError
        If it is neither.
    """
    import gemmi

    try:
        if os.fspath(path).lower().endswith(".mtz"):
            return gemmi.read_mtz_file(os.fspath(path))
        block = gemmi.as_refln_blocks(gemmi.cif.read(os.fspath(path)))[0]
        return gemmi.CifToMtz().convert_block_to_mtz(block)
    except (RuntimeError, OSError, ValueError, IndexError) as error:
        raise FormatError(f"{os.fspath(path)}: cannot be read, it is neither an MTZ nor an mmCIF file of reflections "
                          f"({error})") from error


def choose_intensities_of_file(mtz: gemmi.Mtz, path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Choose intensities and their standard deviations: mean ones, those of I(+), or squares of amplitudes.

    Parameters
    ----------
    mtz : gemmi.Mtz
    path : path
        Where it is from, for the error.

    Returns
    -------
    intensity, sigma : (n,) float64
        NaN where there is none; of a file without sigmas all of these are NaN.

    Raises
    ------
    FormatError
        If it has neither.
    """
    for kinds in _PAIRS:
        for first, second in zip(mtz.columns, list(mtz.columns)[1:], strict=False):
            if (first.type, second.type) == tuple(kinds):
                value, sigma = (np.array(column.array, np.float64) for column in (first, second))
                return (value**2, 2.0 * np.abs(value) * sigma) if kinds == "FQ" else (value, sigma)
    for kind in "JF":
        alone = next((column for column in mtz.columns if column.type == kind), None)
        if alone is not None:
            value = np.array(alone.array, np.float64)
            return (value**2 if kind == "F" else value), np.full(len(value), np.nan)
    raise FormatError(f"{os.fspath(path)}: no column of intensities or amplitudes")
