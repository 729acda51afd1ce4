"""Rows of tables that can be computed with: their numbers are numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np

from xdp.errors import XdpError
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

#: Where spots were observed and are expected, which indexing, refinement and integration compute with.
POSITIONS = ("xyzobs.px.value", "xyzobs.px.variance", "xyzobs.mm.value", "xyzobs.mm.variance", "xyzcal.px", "xyzcal.mm",
             "s1", "rlp", "delpsical.rad")
#: A choice: products of a few such numbers still fit into a double, and nothing that is measured comes near.
_LARGEST = 1e30


def keep_sound_rows(table: ReflectionTable, names: Iterable[str] = POSITIONS) -> ReflectionTable:
    """Leave out rows that hold no number (NaN, infinite or beyond 1e30), and warn of how many they are.

    Parameters
    ----------
    table : ReflectionTable
    names : iterable of str
        The columns that are looked at, as far as the table has them.

    Returns
    -------
    ReflectionTable
        The same object where all rows are sound.
    """
    sound = np.ones(len(table), bool)
    for name in names:
        if name in table and isinstance(table[name], np.ndarray) and table[name].dtype.kind == "f":
            column = table[name]
            # one comparison finds NaN, infinity and what is too large
            is_number = np.abs(column) < _LARGEST
            sound &= is_number.all(axis=tuple(range(1, column.ndim)))
    if sound.all():
        return table
    logger.warning("%d of %d reflections are left out: they hold values that are no numbers (NaN, infinite or beyond "
                   "%g)", np.count_nonzero(~sound), len(table), _LARGEST)
    return table.select(sound)


def check_panels(table: ReflectionTable, n_panels: int, where: str = "the reflections") -> None:
    """Make sure that all rows lie on panels of a detector.

    Parameters
    ----------
    table : ReflectionTable
        With a column ``panel``, or without: then there is nothing to check.
    n_panels : int
        Panels of the detector.
    where : str
        What the message begins with: the file.

    Raises
    ------
    XdpError
        If a row lies on a panel that is not there.
    """
    largest = int(table["panel"].max(initial=0)) if "panel" in table else 0
    if len(table) and largest >= n_panels:
        raise XdpError(f"{where}: one is on panel {largest}, but the detector has {n_panels}: models and reflections "
                       "do not belong together")
