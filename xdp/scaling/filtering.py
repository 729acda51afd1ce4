"""Scaling without some images, and without what lowers CC1/2."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.experiment import ExperimentList
from xdp.exporting.mtz import median_cell, spacings
from xdp.files import atomic_output
from xdp.merging.average import find_scaled_rows
from xdp.merging.delta.compute import measure_parts
from xdp.merging.delta.parts import DataParts, find_excluded_rows, number_parts, select_sets
from xdp.merging.merge import list_possible
from xdp.merging.unique import find_unique
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.scaling.observations import drop_unsound_rows
from xdp.scaling.options import DeltaFilterOptions, ScaleOptions

if TYPE_CHECKING:
    from xdp.scaling.scale import Scaled

logger = logging.getLogger(__name__)
_BINS = 10  # shells of delta-CC1/2, as in compute_delta_cchalf

ScaleAll = Callable[[ExperimentList, ReflectionTable, ScaleOptions], "Scaled"]


@dataclass(frozen=True)
class FilterRound:
    """What one round of filtering found.

    Attributes
    ----------
    cc_half : float
        Of all data of the round.
    removed : tuple of str
        The parts that were left out, the worst first.
    delta : tuple of float
        CC1/2 less that without the part, of each of these.
    n_removed : int
        Reflections that were left out.
    percent_removed : float
        Of all reflections, in this round and those before.
    """

    cc_half: float
    removed: tuple[str, ...]
    delta: tuple[float, ...]
    n_removed: int
    percent_removed: float


def scale_and_filter(experiments: ExperimentList, reflections: ReflectionTable, options: ScaleOptions,
                     scale_all: ScaleAll) -> Scaled:
    """Scale without the images that are left out; then leave out what lowers CC1/2 and scale anew, if asked to.

    Parameters
    ----------
    experiments : ExperimentList
    reflections : ReflectionTable
        Rows of images that are left out stay in the result, flagged; data sets that are left out do not.
    options : ScaleOptions
        ``exclude_images`` and ``filtering``.
    scale_all : callable
        ``scale_all(experiments, reflections, options)`` scales all that is given.

    Returns
    -------
    Scaled
        With ``rounds``.

    Raises
    ------
    XdpError
        If images or data sets are none of the data, or nothing is left.
    """
    table = drop_unsound_rows(reflections)
    excluded = find_excluded_rows(experiments, table, options.exclude_images) if options.exclude_images else np.zeros(
        len(table), bool)
    if excluded.all() and len(table):
        raise OptionError("exclude_images leaves no reflection")
    found = _scale_without(experiments, table, excluded, options, scale_all)
    if options.filtering.method is None:
        return found
    limits = options.filtering.deltacchalf
    rounds: list[FilterRound] = []
    n_all, n_gone = int(np.count_nonzero(~excluded)), 0
    while len(rounds) < limits.max_cycles:
        size = limits.group_size if limits.mode == "image_group" else None
        parts = number_parts(experiments, table, size)
        measured = measure_parts(experiments, found.reflections, parts, _BINS)
        candidates = measured.find_outliers(limits.stdcutoff).tolist()
        removed = _limit_removal(experiments, found.reflections, parts, candidates, limits, (n_all, n_gone))
        # rows that were left out before do not count twice
        rows = np.isin(parts.number, removed) & ~excluded
        n_gone += int(rows.sum())
        delta = dict(zip(measured.parts.tolist(), measured.delta.tolist(), strict=True))
        rounds.append(FilterRound(measured.cc_half, tuple(parts.describe(k) for k in removed),
                                  tuple(delta[k] for k in removed), int(rows.sum()), 100.0 * n_gone / max(n_all, 1)))
        logger.info("Filtering, round %d: CC1/2 %.5f; left out: %s", len(rounds), measured.cc_half,
                    ", ".join(rounds[-1].removed) or "nothing")
        if not removed:
            break
        # data sets go from the lists, images stay as flagged rows
        if size is None:
            left = [k for k in range(len(experiments)) if k not in removed]
            kept = ~np.isin(np.asarray(table["id"]), removed) & (table["id"] >= 0)
            experiments, table = select_sets(experiments, table, left)
            excluded = excluded[kept]
        else:
            excluded = excluded | rows
        found = _scale_without(experiments, table, excluded, options, scale_all)
    return replace(found, rounds=tuple(rounds))


def _scale_without(experiments: ExperimentList, table: ReflectionTable, excluded: np.ndarray, options: ScaleOptions,
                   scale_all: ScaleAll) -> Scaled:
    """Scale the rows that are not excluded; the others come back as they were, flagged."""
    if not excluded.any():
        return scale_all(experiments, table, options)
    kept = np.flatnonzero(~excluded)
    found = scale_all(experiments, table.select(kept), options)
    columns = {}
    for name in found.reflections:
        values = found.reflections[name]
        # what was measured is the same in both; what scaling adds is spread over all rows
        if name in table and not name.startswith(("intensity.scale.", "inverse_scale_factor", "scale.")):
            continue
        whole = np.zeros((len(table), *values.shape[1:]), values.dtype)
        # a factor of 1 for what has none, as for other rows that are not scaled
        whole[excluded] = 1 if name == "inverse_scale_factor" else 0
        whole[kept] = values
        columns[name] = whole
    flags = np.asarray(table["flags"]).astype(np.int64) & ~int(Flag.SCALED | Flag.BAD_FOR_SCALING)
    flags |= int(Flag.USER_EXCLUDED_IN_SCALING)
    flags[kept] = np.asarray(found.reflections["flags"]).astype(np.int64)
    columns["flags"] = flags.astype(np.asarray(table["flags"]).dtype)
    return replace(found, reflections=table.with_columns(**columns),
                   seen=replace(found.seen, row=kept[found.seen.row]))


def _limit_removal(experiments: ExperimentList, scaled: ReflectionTable, parts: DataParts, candidates: Sequence[int],
                   limits: DeltaFilterOptions, counts: tuple[int, int]) -> list[int]:
    """The worst candidates that may go: within the limits of the part removed, and of completeness."""
    chosen: list[int] = []
    n_all, n_gone = counts
    used = find_scaled_rows(scaled)
    # the worst comes first: what is left after a refusal would be missed less
    for number in candidates:
        gone = np.isin(parts.number, [*chosen, number])
        if 100.0 * (n_gone + np.count_nonzero(gone)) > limits.max_percent_removed * n_all:
            logger.info("%s stays: more than max_percent_removed=%g would be left out", parts.describe(number),
                        limits.max_percent_removed)
            break
        if limits.min_completeness is not None:
            completeness = _measure_completeness(experiments, scaled, used & ~gone)
            if completeness < limits.min_completeness:
                logger.info("%s stays: the completeness would be %.1f %%", parts.describe(number), completeness)
                break
        chosen.append(number)
    return chosen


def _measure_completeness(experiments: ExperimentList, table: ReflectionTable, rows: np.ndarray) -> float:
    """Percent of the possible reflections that these rows have."""
    cell, group = median_cell(experiments), experiments[0].known.crystal.space_group
    if not rows.any():
        return 0.0
    unique = find_unique(group, table["miller_index"][rows])
    d_min = float(spacings(cell, unique.hkl).min())
    possible = list_possible(group, cell, d_min)
    return 100.0 * np.count_nonzero(~unique.is_absent) / max(len(possible), 1)


def write_filter_record(path: str | os.PathLike, rounds: Sequence[FilterRound]) -> None:
    """Write what each round left out, as JSON.

    Parameters
    ----------
    path : path
    rounds : sequence of FilterRound
    """
    content = {"cycles": {str(i): {key: None if value != value else value for key, value in asdict(one).items()}
                          for i, one in enumerate(rounds, 1)}}
    with atomic_output(path) as part:
        part.write_text(json.dumps(content, indent=1, default=float), encoding="utf-8")
