"""Tables of older programs brought into the form that all commands work with.

Old programs leave out what others rely on. What a table lacks and its other columns tell is added here, once, when a
file is read; each addition is logged in a line.
"""

from __future__ import annotations

import logging

import numpy as np

from xdp.errors import XdpError
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

#: A table in which some reflection has one of these flags was flagged by its program; nothing is added.
_SAID = Flag.INDEXED | Flag.PREDICTED | Flag.INTEGRATED
#: Where a spot was observed; rows of predictions have neither.
_OBSERVED = ("xyzobs.px.value", "xyzobs.mm.value")


def normalise_table(table: ReflectionTable, where: str = "the reflections") -> ReflectionTable:
    """Add what other columns tell.

    1. No ``id``: all reflections are of experiment 0.
    2. No ``flags``: rows with an observed position are ``strong``. Rows with positive variances that integration
       corrected (column ``lp``) are ``integrated_sum`` and ``integrated_prf``.
    3. Miller indices, observed positions, and not one row that is flagged as indexed, predicted or integrated: rows of
       an experiment whose index is not 0 0 0 are ``indexed``.

    Parameters
    ----------
    table : ReflectionTable
        As it was read.
    where : str
        The file, for the log.

    Returns
    -------
    ReflectionTable
        The same object where there is nothing to add.

    Examples
    --------
    >>> old = ReflectionTable({"miller_index": [[1, 2, 3], [0, 0, 0]], "xyzobs.px.value": np.ones((2, 3))})
    >>> normalise_table(old).flags(Flag.INDEXED).tolist()
    [True, False]
    """
    if "id" not in table and len(table.keys()):
        logger.info("%s has no column id: all reflections are taken as those of experiment 0", where)
        table = table.with_columns(id=np.zeros(len(table), np.int32))
    if "flags" not in table and len(table.keys()):
        logger.info("%s has no column flags: they are made from the other columns", where)
        table = table.with_columns(flags=_make_flags(table))
    if _lacks_indexed_flag(table):
        rows = has_index(table)
        logger.info("%s: no reflection is flagged as indexed; the %d of %d that have Miller indices are taken as such",
                    where, int(rows.sum()), len(table))
        table = table.with_columns(flags=np.where(rows, table["flags"] | np.uint64(Flag.INDEXED), table["flags"]))
    return table


def has_index(table: ReflectionTable) -> np.ndarray:
    """Which rows belong to an experiment and have an index other than 0 0 0.

    Parameters
    ----------
    table : ReflectionTable
        With ``id`` and ``miller_index``.

    Returns
    -------
    array (n,), bool
    """
    return (table["id"] >= 0) & np.any(table["miller_index"] != 0, axis=1)


def check_indexed(table: ReflectionTable, command: str) -> None:
    """Make sure that a table has Miller indices.

    Parameters
    ----------
    table : ReflectionTable
    command : str
        What needs them; the message begins with it.

    Raises
    ------
    XdpError
        If the column is missing, or each row lacks an index.
    """
    if "miller_index" not in table:
        raise XdpError(f"{command}: the reflections have no column miller_index; give those of xdp index")
    if not len(table):
        raise XdpError(f"{command}: the table of reflections has no rows")
    if not np.any(table["miller_index"] != 0):
        raise XdpError(f"{command}: none of {len(table)} reflections is indexed; index first")


def _lacks_indexed_flag(table: ReflectionTable) -> bool:
    """Whether a table has indices of observed reflections, of which its program said nothing."""
    if not {"miller_index", "flags", "id"} <= set(table) or not any(name in table for name in _OBSERVED):
        return False
    return not table.any_flags(_SAID).any() and bool(has_index(table).any())


def _make_flags(table: ReflectionTable) -> np.ndarray:
    """Flags (n,) that the other columns tell."""
    flags = np.zeros(len(table), np.uint64)
    if any(name in table for name in _OBSERVED):
        flags |= np.uint64(Flag.STRONG)
    if "lp" not in table:  # spots have sums as well, but no corrections
        return flags
    for kind, flag in (("sum", Flag.INTEGRATED_SUM), ("prf", Flag.INTEGRATED_PRF)):
        variance = table.get(f"intensity.{kind}.variance", np.zeros(len(table)))
        flags[variance > 0] |= np.uint64(flag)
    return flags
