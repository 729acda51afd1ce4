"""Whether reflections belong to the experiments they are given with: their identifiers tell."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from xdp.errors import XdpError
from xdp.reflections.table import ReflectionTable

logger = logging.getLogger(__name__)

#: So many characters of an identifier tell one from another in a message.
_SHOWN = 13


def match_identifiers(table: ReflectionTable, names: Sequence[str], imagesets: Sequence[int], *,
                      ignore: bool = False, files: tuple[str, str] = ("the reflections", "the experiments")
                      ) -> ReflectionTable:
    """Give reflections the numbers of their experiments in a list, by the identifiers.

    Parameters
    ----------
    table : ReflectionTable
        With ``id``. Without identifiers nothing can be compared, and the numbers stay.
    names : sequence of str
        The identifier of each experiment of the list; empty where there is none.
    imagesets : sequence of int
        The number of each experiment's image set, for ``imageset_id``.
    ignore : bool
        Keep the numbers as they are, and take over the identifiers of the list.
    files : (str, str)
        What the messages call the reflections and the experiments.

    Returns
    -------
    ReflectionTable
        The same object where nothing changes.

    Raises
    ------
    XdpError
        If reflections are of an experiment that is not in the list.
    """
    used = [int(i) for i in np.unique(table["id"]) if i >= 0 and table.identifiers.get(int(i))]
    if not used or not any(names):
        return table
    differing = [i for i in used if i >= len(names) or (names[i] and names[i] != table.identifiers[i])]
    if not differing:
        return table
    if ignore:
        logger.info("%s: identifiers of %d experiments are not those of %s, which is ignored", files[0], len(differing),
                    files[1])
        result = table.copy()
        result.identifiers = {i: name for i, name in enumerate(names) if name}
        return result
    places = {name: number for number, name in enumerate(names) if name}
    lost = [i for i in used if table.identifiers[i] not in places]
    if lost:
        raise XdpError(_tell_mismatch(table, names, lost, files))
    logger.info("%s: experiments are numbered anew, in the order of %s", *files)
    return _renumber(table, {i: places[table.identifiers[i]] for i in used}, names, imagesets)


def _tell_mismatch(table: ReflectionTable, names: Sequence[str], lost: Sequence[int], files: tuple[str, str]) -> str:
    """The message where reflections are of experiments that are not there."""
    first = lost[0]
    here = f"{names[first][:_SHOWN]}..." if first < len(names) and names[first] else "none"
    return (f"{files[0]} is not of the experiments in {files[1]}: experiment {first} is "
            f"{table.identifiers[first][:_SHOWN]}... in the reflections, but {here} in the experiments. Give the .expt "
            "that belongs to the reflections; or, if the same images were imported again, say input.identifiers=ignore")


def _renumber(table: ReflectionTable, new: dict[int, int], names: Sequence[str], imagesets: Sequence[int]
              ) -> ReflectionTable:
    """The table with other numbers of experiments, and of image sets where it has them."""
    ids = table["id"]
    columns = {"id": _replace(ids, new)}
    if "imageset_id" in table:
        sets: dict[int, int] = {}
        for old, number in new.items():
            for imageset in np.unique(table["imageset_id"][ids == old]).tolist():
                sets[imageset] = imagesets[number]
        columns["imageset_id"] = _replace(table["imageset_id"], sets)
    result = table.with_columns(**columns)
    result.identifiers = {number: names[number] for number in new.values()}
    return result


def _replace(values: np.ndarray, new: dict[int, int]) -> np.ndarray:
    """Values (n,) with some replaced by others, int32."""
    result = values.astype(np.int32)
    for old, number in new.items():
        result[values == old] = number
    return result
