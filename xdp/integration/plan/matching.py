"""Predicted reflections paired with the observed spots that the models were refined against."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.work.tasks import run_tasks

log = logging.getLogger(__name__)

FARTHEST = 2.0
"""Pixels (and frames) by which two predictions of one spot may differ. DIALS' number: both come from models that hardly
differ, and a spot of another reflection lies further away."""

#: Experiments that a message lists; of more it says that there are more.
_MOST_LISTED = 8

_KEPT = (Flag.STRONG, Flag.INDEXED, Flag.USED_IN_REFINEMENT)


def select_reference(reference: ReflectionTable) -> tuple[ReflectionTable, ReflectionTable]:
    """The reference spots that are indexed and good for refinement, and the others.

    Raises
    ------
    XdpError
        If none is left, spots refer to no experiment, or they are not indexed and predicted.
    """
    log.info("Reference spots: %d are given", len(reference))
    _require_columns(reference, "id", "flags", "miller_index")
    is_indexed = reference.flags(Flag.INDEXED) & np.any(reference["miller_index"] != 0, axis=1)
    good = is_indexed & ~reference.any_flags(Flag.BAD_FOR_REFINEMENT)
    log.info(" %d have no index", np.count_nonzero(~is_indexed))
    log.info(" %d are flagged bad_for_refinement", np.count_nonzero(is_indexed & ~good))
    if not good.any():
        raise XdpError("no indexed spots are among the reference reflections: integration needs the refined.refl that "
                       "belongs to the models")
    chosen = reference.select(good)
    if np.any(chosen["id"] < 0):
        raise XdpError(f"{np.count_nonzero(chosen['id'] < 0)} reference spots belong to no experiment: they have "
                       "an invalid experiment id, below 0")
    log.info(" %d serve as reference, %d do not", len(chosen), np.count_nonzero(~good))
    return chosen, reference.select(~good)


def _require_columns(reference: ReflectionTable, *names: str) -> None:
    """Raise XdpError if the spots lack one of these columns."""
    missing = [name for name in names if name not in reference]
    if missing:
        raise XdpError(f"the reference reflections have no {', '.join(missing)}: integration needs the refined.refl "
                       "that belongs to the models")


class Matches(NamedTuple):
    """Which predictions and spots belong together.

    Attributes
    ----------
    predicted, observed : (n,) int64
        Rows of either table, pair by pair, by ascending predicted row.
    is_close : (n,) bool
        Whether both predictions lie within :data:`FARTHEST` of each other.
    """

    predicted: np.ndarray
    observed: np.ndarray
    is_close: np.ndarray


def match(predicted: ReflectionTable, observed: ReflectionTable) -> Matches:
    """Pair reflections of the same index, side of the Ewald sphere, experiment and panel, the nearest first.

    A prediction takes the spot whose own prediction is nearest; a spot that several took goes to the nearest of them.

    Parameters
    ----------
    predicted, observed : ReflectionTable
        With ``miller_index`` and ``xyzcal.px``; ``entering``, ``id`` and ``panel`` where they are there.
    """
    a, b = _make_keys(predicted, observed)
    order = np.argsort(b, kind="stable")
    first, last = np.searchsorted(b[order], a, "left"), np.searchsorted(b[order], a, "right")
    size = last - first
    # All pairs of equal keys: row i of the predictions beside each of its `size[i]` spots.
    rows = np.repeat(np.arange(len(a)), size)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(size) - size, size)
    spots = order[np.repeat(first, size) + within]
    distance = np.linalg.norm(predicted["xyzcal.px"][rows] - observed["xyzcal.px"][spots], axis=1)
    chosen = _find_nearest(rows, distance, spots)
    rows, spots, distance = rows[chosen], spots[chosen], distance[chosen]
    chosen = _find_nearest(spots, distance, rows)
    rows, spots, distance = rows[chosen], spots[chosen], distance[chosen]
    order = np.argsort(rows)
    return Matches(rows[order], spots[order], distance[order] < FARTHEST)


def _find_nearest(mine: np.ndarray, distance: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of the pairs of each number in `mine` the nearest; of equally near ones that with the lowest number."""
    order = np.lexsort((other, distance, mine))
    return order[np.unique(mine[order], return_index=True)[1]]


def _make_keys(predicted: ReflectionTable, observed: ReflectionTable) -> tuple[np.ndarray, np.ndarray]:
    """One whole number for each index, side, experiment and panel, the same in both tables."""
    n = len(predicted)
    parts = [np.concatenate([predicted["miller_index"], observed["miller_index"]]).astype(np.int64)]
    for name in ("entering", "id", "panel"):
        columns = [t[name].astype(np.int64) if name in t else np.zeros(len(t), np.int64) for t in (predicted, observed)]
        parts.append(np.concatenate(columns)[:, None])
    values = np.concatenate(parts, axis=1)
    # A number in mixed radix: each column counts in units of the range of those after it.
    keys = np.zeros(len(values), np.int64)
    for column in values.T:
        column = column - column.min(initial=0)
        keys = keys * (int(column.max(initial=0)) + 1) + column
    return keys[:n], keys[n:]


def _match_each(predicted: ReflectionTable, observed: ReflectionTable, n_threads: int) -> Matches:
    """As :func:`match` of predictions sorted by experiment, `n_threads` experiments at a time."""
    names = ("miller_index", "entering", "panel", "xyzcal.px")
    # Only these columns are looked at: a table of a million rows is not copied whole.
    narrow = [ReflectionTable({name: t[name] for name in names if name in t}) for t in (predicted, observed)]
    order = np.argsort(observed["id"], kind="stable")
    numbers = np.arange(int(predicted["id"].max(initial=0)) + 2)
    edges, limits = np.searchsorted(predicted["id"], numbers), np.searchsorted(observed["id"][order], numbers)

    def of_one(tables: list[ReflectionTable], i: int) -> Matches:
        mine, spots = np.arange(edges[i], edges[i + 1]), order[limits[i]:limits[i + 1]]
        found = match(tables[0].select(mine), tables[1].select(spots))
        return Matches(mine[found.predicted], spots[found.observed], found.is_close)

    parts = run_tasks(of_one, narrow, [(i,) for i in numbers[:-1]], n_threads=n_threads)
    return Matches(*map(np.concatenate, zip(*parts, strict=True)))


def mark_reference(predicted: ReflectionTable, observed: ReflectionTable, n_threads: int = 1
                   ) -> tuple[ReflectionTable, np.ndarray]:
    """Match, and set the flags of the matched predictions.

    Parameters
    ----------
    predicted : ReflectionTable
        Sorted by ``id``. Its flags are changed: REFERENCE_SPOT, and what the spots bring with them.
    observed : ReflectionTable
        Of :func:`select_reference`.
    n_threads : int
        Experiments that are looked at at a time.

    Returns
    -------
    reference : ReflectionTable
        The matched spots with all columns of their predictions.
    is_unmatched : (n_observed,) bool

    Raises
    ------
    XdpError
        If nothing matches, or the spots are not predicted.
    """
    _require_columns(observed, "xyzcal.px")
    log.info("Pairing %d reference spots with %d predictions", len(observed), len(predicted))
    matches = _match_each(predicted, observed, n_threads)
    log.info(" %d pairs, %d of them close enough", len(matches.predicted), np.count_nonzero(matches.is_close))
    if not matches.is_close.any():
        raise XdpError("no reference spot was matched to a prediction: do models and reflections belong together?")
    # Flags go to all pairs, REFERENCE_SPOT only to those that are close.
    flags = predicted["flags"].copy()
    for flag in _KEPT:
        has = observed.flags(flag)[matches.observed]
        flags[matches.predicted[has]] |= np.uint64(flag)
    rows, spots = matches.predicted[matches.is_close], matches.observed[matches.is_close]
    flags[rows] |= np.uint64(Flag.REFERENCE_SPOT)
    predicted["flags"] = flags
    is_unmatched = np.ones(len(observed), bool)
    is_unmatched[spots] = False
    if is_unmatched.any():
        log.warning("%d reference spots are not used%s: no prediction is close", np.count_nonzero(is_unmatched),
                    _count_by_experiment(observed["id"], is_unmatched))
    return observed.select(spots).with_columns(**dict(predicted.select(rows).items())), is_unmatched


def _count_by_experiment(ids: np.ndarray, is_counted: np.ndarray) -> str:
    """How many of some spots belong to each experiment, for a message; empty where there is one experiment."""
    numbers, counts = np.unique(ids[is_counted], return_counts=True)
    if len(np.unique(ids)) < 2:
        return ""
    shown = [f"{count} of experiment {number}" for number, count in zip(numbers, counts, strict=True)][:_MOST_LISTED]
    return f" ({', '.join(shown)}{' ...' if len(numbers) > len(shown) else ''})"
