"""Refine where the panels of a detector lie, from the indexed spots of many shots."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment.detector import Detector
from xdp.experiment.experiment import ExperimentList
from xdp.options.named import make_options
from xdp.prediction.completion import complete_table
from xdp.reflections.flags import Flag
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.serial.metrology.fit import ShotSource, Workers
from xdp.serial.metrology.halves import Disagreement, compare_detectors
from xdp.serial.metrology.levels import MetrologyState, RefinedLevel, plan_stages, refine_stage
from xdp.serial.metrology.nodes import average_detectors
from xdp.serial.metrology.options import RefineMetrologyOptions
from xdp.serial.metrology.report import make_metrology_report
from xdp.serial.metrology.select import choose_subset
from xdp.serial.metrology.shots import check_shots, pack_stills
from xdp.serial.metrology.writeback import collect_models, update_shot_table
from xdp.work.cores import count_threads
from xdp.work.progress import Progress, no_progress
from xdp.work.store import ResultStore

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class RefinedMetrology(Displayed):
    """What :func:`refine_metrology` gives.

    Attributes
    ----------
    experiments : ExperimentList
        The shots that were used, with one refined detector and refined crystals.
    reflections : ReflectionTable
        Theirs, with predictions by these and flags.
    levels : tuple of RefinedLevel
        What became of each level, in order.
    halves : tuple of Disagreement
        How halves of the shots disagree, with ``split_dataset=True``.
    parts : tuple of RefinedMetrology
        The results of odd and of even shots, with ``split_dataset=True``.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    levels: tuple[RefinedLevel, ...]
    halves: tuple[Disagreement, ...] = ()
    parts: tuple[RefinedMetrology, ...] = ()

    @property
    def detector(self) -> Detector:
        """The refined detector."""
        return self.experiments[0].known.detector

    @property
    def report(self) -> Report:
        """Residuals by level, panel and radius; the panels' shifts and errors; undetermined directions; halves."""
        return make_metrology_report(self.experiments, self.reflections, self.levels, self.halves)

    def _facts(self) -> list[tuple[str, Any]]:
        x, y, _ = self.levels[-1].rmsds[1]
        return [("shots", len(self.experiments)),
                ("reflections used", int(np.count_nonzero(self.reflections.flags(Flag.USED_IN_REFINEMENT)))),
                ("RMSD x, y (mm)", f"{x:.4f}, {y:.4f}")]


def refine_metrology(experiments: ExperimentList, reflections: ReflectionTable,
                     options: RefineMetrologyOptions | Mapping[str, Any] | None = None, *,
                     client: Client | None = None, progress: Progress | None = None, **named: Any) -> RefinedMetrology:
    """Refine where the panels of a detector lie, from the indexed spots of many shots.

    Level by level of the detector's tree the groups of panels are moved as rigid bodies, together with the orientation
    and the cell of each shot, so that predicted positions agree with observed ones.

    Parameters
    ----------
    experiments : ExperimentList
        Indexed shots of one detector. Where their detectors differ, the average is where refinement begins.
    reflections : ReflectionTable
        Indexed reflections.
    options : RefineMetrologyOptions or dict, optional
        The parameters of ``xdp refine_metrology``. No file is written.
    client : distributed.Client, optional
        Its workers share the shots; the result is the same without.
    progress : callable, optional
        Shows how many levels are done.
    **named
        Parameters by name, laid over `options`: ``refine_to_hierarchy_level=1``.

    Returns
    -------
    RefinedMetrology

    Raises
    ------
    XdpError
        If shots or reflections do not serve, or too few are left.

    Examples
    --------
    >>> import xdp
    >>> from xdp.serial.metrology.draw import draw_panel_shots, make_quadrant_detector
    >>> experiments, spots = draw_panel_shots(make_quadrant_detector(), 12)
    >>> refined = xdp.refine_metrology(experiments, spots, refine_to_hierarchy_level=1)
    >>> [level.name for level in refined.levels]
    ['level0', 'level1']
    """
    chosen = make_options(RefineMetrologyOptions, options, named)
    for line in chosen.check():
        logger.info("%s", line)
    check_shots(experiments, reflections)
    table = complete_table(experiments, reflections)
    keep = choose_subset(table, len(experiments), chosen)
    workers = Workers(client, count_threads(chosen.mp))
    parts = _list_parts(keep, chosen)
    # all shots first: theirs is the result, halves only tell its error
    results = []
    with (progress or no_progress)(len(parts), "metrology") as advance:
        for shots in parts:
            results.append(_refine_part(experiments, table, shots, chosen, workers))
            advance(1)
    first = results[0]
    if len(results) == 1:
        return first
    halves = (_compare("odd and even shots", results[1], results[2], chosen),
              _compare("first and last shots", results[3], results[4], chosen))
    return replace(first, halves=halves, parts=tuple(results[1:3]))


def _list_parts(keep: np.ndarray, options: RefineMetrologyOptions) -> list[np.ndarray]:
    """The shots of all runs of the refinement: all, and with `split_dataset` four halves."""
    if not options.split_dataset:
        return [keep]
    numbers = np.flatnonzero(keep)
    if len(numbers) < 2:
        raise XdpError(f"refine_metrology: split_dataset=True needs two shots or more, got {len(numbers)}")
    # by number, which mixes all times, and by time, which shows drift
    halves = [numbers[0::2], numbers[1::2], numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]]
    return [keep, *(np.isin(np.arange(len(keep)), half) for half in halves)]


def _refine_part(experiments: ExperimentList, table: ReflectionTable, shots: np.ndarray,
                 options: RefineMetrologyOptions, workers: Workers) -> RefinedMetrology:
    """Refine with some of the shots."""
    numbers = np.flatnonzero(shots)
    chosen = ExperimentList([experiments[int(i)] for i in numbers], experiments.extra)
    # stills_process may have refined a detector for each shot
    detectors = chosen.unique("detector")
    if len(detectors) > 1:
        logger.info("The shots have %d detectors; refinement begins with their average", len(detectors))
    detector = average_detectors(detectors)
    part = select_shots(table, numbers, len(experiments))
    source = store_shots(chosen, part, detector, options)
    state = begin_state(source, detector)
    stages = plan_stages(detector, options, np.asarray(chosen[0].known.beam.unit_s0))
    levels = refine_levels(source, state, stages, options, workers)
    final = levels[-1][0]
    done = tuple(level for _, level in levels)
    models, kept = collect_models(chosen, source, final)
    updated = update_shot_table(part, models, kept, source, final, workers, len(chosen))
    return RefinedMetrology(models, updated, done)


def refine_levels(source: ShotSource, state: MetrologyState, stages: Sequence[Any], options: RefineMetrologyOptions,
                  workers: Workers) -> list[tuple[MetrologyState, RefinedLevel]]:
    """Refine the stages one after the other, with a line of the log for each.

    Parameters
    ----------
    source : ShotSource
        The shots.
    state : MetrologyState
        Where to begin.
    stages : sequence of MetrologyStage
        What is refined (:func:`~xdp.serial.metrology.levels.plan_stages`).
    options : RefineMetrologyOptions
        The parameters.
    workers : Workers
        Who does the work.

    Returns
    -------
    list of (MetrologyState, RefinedLevel)
        One for each stage.
    """
    result = []
    for stage in stages:
        state, done = refine_stage(source, state, stage, options, workers)
        before, after = done.rmsds
        logger.info("%s: %d shots, %d reflections, RMSD x %.4f -> %.4f mm, y %.4f -> %.4f mm, %d steps (%s)", done.name,
                    done.n_shots, int(done.fit.sums.loss[4]), before[0], after[0], before[1], after[1],
                    done.fit.n_steps, done.fit.reason)
        if done.n_filtered or done.n_poor:
            logger.info("  left out: %d shots by their RMSD, %d with too few reflections", done.n_filtered, done.n_poor)
        if done.held:
            logger.info("  moved with their neighbours, for want of reflections: %s", ", ".join(done.held))
        result.append((state, done))
    return result


def store_shots(experiments: ExperimentList, table: ReflectionTable, detector: Detector,
                options: RefineMetrologyOptions, store: ResultStore | None = None) -> ShotSource:
    """Pack shots and keep the packs.

    Parameters
    ----------
    experiments : ExperimentList
        The shots.
    table : ReflectionTable
        Theirs.
    detector : Detector
        The one of all.
    options : RefineMetrologyOptions
        For the weights, and whether cells are free.
    store : ResultStore, optional
        Where packs are kept; by default memory.
    """
    strategy = options.refinement.reflections.weighting_strategy
    weight = 0.0 if strategy.override == "statistical" else strategy.delpsi_constant
    constants = strategy.constants if strategy.override == "constant" else None
    packs, kinds = pack_stills(experiments, table, detector, weight, options.refinement.parameterisation.crystal.fix
                              is None)
    store = store or ResultStore(None)
    names = []
    for i, pack in enumerate(packs):
        # override=constant replaces all weights
        if constants is not None:
            pack.spots.weight[:] = constants
        names.append(f"shots-{i:06d}")
        store.save(names[-1], pack.to_arrays())
    return ShotSource(store, tuple(names), kinds)


def begin_state(source: ShotSource, detector: Detector) -> MetrologyState:
    """Where refinement begins: all shots, as they were indexed."""
    packs = [source.load(i) for i in range(len(source.names))]
    return MetrologyState(detector, [pack.settings for pack in packs], 1.0,
                          [np.ones(len(pack.shots), dtype=bool) for pack in packs],
                          [np.zeros(len(pack.rows), dtype=bool) for pack in packs])


def select_shots(table: ReflectionTable, numbers: np.ndarray, n_shots: int) -> ReflectionTable:
    """Select the reflections of some shots; their ids become the places of these.

    Parameters
    ----------
    table : ReflectionTable
        Of all shots.
    numbers : (k,) of int
        The shots.
    n_shots : int
        Of all.
    """
    # the last place is for rows of no shot
    place = np.full(n_shots + 1, -1)
    place[numbers] = np.arange(len(numbers))
    ids = table["id"].astype(np.int64)
    new = place[np.where((ids >= 0) & (ids < n_shots), ids, n_shots)]
    chosen = table.select(new >= 0)
    result = chosen.with_columns(id=new[new >= 0].astype(np.int32))
    result.identifiers = {int(place[k]): name for k, name in table.identifiers.items() if k < n_shots and place[k] >= 0}
    return result


def _compare(name: str, first: RefinedMetrology, second: RefinedMetrology, options: RefineMetrologyOptions
             ) -> Disagreement:
    """How two halves disagree, at the groups of the last level that both determined."""
    one, other = first.levels[-1], second.levels[-1]
    held = set(one.held) | set(other.held)
    groups = [group.panels for group in one.groups if group.name not in held]
    # no shot is in both halves, so that their errors are independent
    covariances = one.covariances + other.covariances
    if not groups:
        raise XdpError("refine_metrology: no group of panels has enough reflections in both halves; index more shots, "
                       "or leave split_dataset out")
    beam = np.asarray(first.experiments[0].known.beam.unit_s0)
    return compare_detectors(name, first.detector, second.detector, covariances, groups, beam,
                             options.refinement.parameterisation.crystal.fix is None)


