"""Find the hits of a run.

The steps:

1. where the measure needs no number from the user, a sample of shots, spread over the run, tells the thresholds
   (:mod:`xdp.serial.hits.own_misses`), and the log says which;
2. batches of shots are read, checked and measured (:mod:`xdp.serial.hits.tasks`);
3. their rows go to the table and their images into the powder patterns, in order, as the batches come.

Batches are the same whatever runs them: results do not depend on the number of workers. A run that was interrupted goes
on behind its last part of the table (:mod:`xdp.serial.hits.resume`).
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment import Experiment, ExperimentList, write_experiments
from xdp.options import Auto
from xdp.options.named import make_options
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.serial.calibration import Calibration
from xdp.serial.events import Events, open_events
from xdp.serial.hits.measures import (
    DistlMeasure,
    HitMeasure,
    RingMeasure,
    SpotMeasure,
    make_own_misses,
    make_peakfinder8,
)
from xdp.serial.hits.options import FindHitsOptions, HitMeasureOptions
from xdp.serial.hits.own_misses import RunThresholds, learn_thresholds
from xdp.serial.hits.powder import PowderSums, write_powder
from xdp.serial.hits.resume import HitState, HitStates, make_run_key
from xdp.serial.hits.table import (
    Columns,
    ShotTableWriter,
    check_parquet,
    join_columns,
    keep_parts,
    read_shot_table,
    write_shot_parquet,
)
from xdp.serial.hits.tasks import HitBatch, HitWork, KeptShots, look_at_shots, measure_shots
from xdp.work.cores import count_threads
from xdp.work.folder import open_work_folder
from xdp.work.progress import Progress, no_progress
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

BATCH = 50
"""Shots of a task where mp.chunksize is Auto: about 0.5 s of work on a 1M detector. It does not depend on workers, so
that sums of fractions do not either; a choice."""
LOOK = 10
"""Shots of a task of the sample: fewer, so that all workers have some."""
KEPT_BYTES = 128 * 2**20
"""Images of the sample that are kept until they are measured: 100 of a 1M detector in 16 bits. A choice."""
PART = 1000
"""Rows of a part of the table: a part is some 30 files on disk."""
RATE_ROWS = 20
"""Rows of the table of hit rates."""


@dataclass(repr=False)
class FoundHits(Displayed):
    """What :func:`find_hits` found.

    Attributes
    ----------
    table : dict of str to (n,) array
        A row a shot, in order; see :data:`xdp.serial.hits.table.COLUMNS`. Where it was written to a file it is read
        from there when it is first asked for.
    powder : (PowderSums, PowderSums)
        Of the hits and of the misses.
    thresholds : RunThresholds or None
        Where they follow from the run.
    n_shots, n_hits, n_failed : int
    reasons : dict of str to int
        How many shots failed for which reason.
    """

    powder: tuple[PowderSums, PowderSums]
    thresholds: RunThresholds | None
    n_shots: int
    n_hits: int
    n_failed: int
    reasons: dict[str, int]
    _rates: np.ndarray
    _load_table: Callable[[], Columns]
    _load_experiments: Callable[[], ExperimentList]

    @cached_property
    def table(self) -> Columns:
        """A row a shot."""
        return self._load_table()

    @cached_property
    def experiments(self) -> ExperimentList:
        """The hits: beam, detector and image of each."""
        return self._load_experiments()

    @property
    def reflections(self) -> ReflectionTable:
        """An empty table: ``xdp.find_spots(hits.experiments)`` finds the spots."""
        return ReflectionTable({})

    @property
    def report(self) -> Report:
        """Numbers of hits, the hit rate over the run, reasons of failure."""
        tables = [_make_rate_table(self._rates)]
        if self.reasons:
            rows = tuple((reason, str(n)) for reason, n in sorted(self.reasons.items(), key=lambda r: (-r[1], r[0])))
            tables.append(Table("failures", "Shots that could not be used", {"reason": "reason", "n": "shots"}, rows))
        return Report(tuple(tables), facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        n_used = self.n_shots - self.n_failed
        rate = f"{100.0 * self.n_hits / n_used:.2f} %" if n_used else "no shots"
        facts = [("shots", self.n_shots), ("hits", self.n_hits), ("misses", n_used - self.n_hits),
                 ("failed", self.n_failed), ("hit rate", rate)]
        return facts if self.thresholds is None else [*facts, ("thresholds", self.thresholds.text())]


def make_measure(options: HitMeasureOptions) -> HitMeasure:
    """Make the measure that options name.

    Parameters
    ----------
    options : HitMeasureOptions

    Returns
    -------
    HitMeasure
    """
    if options.algorithm == "distl":
        return DistlMeasure(options.distl)
    if options.algorithm == "spots":
        return SpotMeasure(options.spots)
    return make_peakfinder8(options.peakfinder8) if options.algorithm == "peakfinder8" else (
        make_own_misses(options.own_misses))


def find_hits(shots: str | os.PathLike | Sequence[str | os.PathLike] | Events,
              options: FindHitsOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
              progress: Progress | None = None, **named: Any) -> FoundHits:
    """Find the hits of a run; nothing is written.

    Parameters
    ----------
    shots : path, sequence of paths, or Events
        Files with shots, folders or lists of them; or shots that are open.
    options : FindHitsOptions or dict, optional
        The parameters of ``xdp find_hits``. Of ``output`` only ``powder`` is looked at: None leaves the sums out.
    client : distributed.Client, optional
        Its workers run the tasks; by default threads of this process, ``mp.nproc`` of them.
    progress : callable, optional
        Shows how many shots are done.
    **named
        Parameters by name, laid over `options`: ``algorithm="peakfinder8"``.

    Returns
    -------
    FoundHits
        With ``table``, ``powder``, ``experiments`` and ``report``.

    Raises
    ------
    XdpError
        If there are no shots. A shot that cannot be used is in the table with its reason.

    Examples
    --------
    >>> import xdp
    >>> hits = xdp.find_hits("run0012.h5")  # doctest: +SKIP
    >>> hits.table["index"][hits.table["verdict"] == "hit"]  # doctest: +SKIP
    """
    chosen = make_options(FindHitsOptions, options, named)
    events = shots if isinstance(shots, Events) else open_events(shots, chosen.events)
    parts: list[Columns] = []
    run = _HitRun(events, chosen, client, progress or no_progress)
    for batch in run.search(with_experiments=True):
        parts.append(batch.columns)
    return run.finish(lambda: join_columns(parts))


def find_hits_to_file(shots: str | os.PathLike | Sequence[str | os.PathLike] | Events, options: FindHitsOptions, *,
                      client: Client | None = None, progress: Progress = no_progress) -> FoundHits:
    """Find the hits of a run as :func:`find_hits`, and write table, powder patterns and hits as `options` say.

    Parameters
    ----------
    shots : path, sequence of paths, or Events
        Files with shots, or shots that are open.
    options : FindHitsOptions
        The parameters of ``xdp find_hits``.
    client : distributed.Client, optional
        Its workers run the tasks.
    progress : callable
        Shows how many shots are done.

    Returns
    -------
    FoundHits
        Its table is read from the file when it is asked for.

    Raises
    ------
    XdpError
        If there are no shots, or an output cannot be written.
    """
    output = options.output
    if output.parquet is not None:
        # before the work, not after it
        check_parquet()
    events = shots if isinstance(shots, Events) else open_events(shots, options.events)
    run = _HitRun(events, options, client, progress)
    with open_work_folder(Path(output.table), is_folder=True) as folder:
        _write_parts(run, HitStates(folder, make_run_key(events, options)), options)
    found = run.finish(lambda: read_shot_table(output.table))
    if output.experiments is not None:
        write_experiments(output.experiments, found.experiments)
    if output.parquet is not None:
        write_shot_parquet(output.parquet, found.table)
    return found


def _write_parts(run: _HitRun, states: HitStates, options: FindHitsOptions) -> None:
    """Search the shots and write the table and the powder patterns part by part, behind those of an interrupted run."""
    output = options.output
    known = states.load()
    if known is not None and not keep_parts(output.table, known.n_parts):
        known = None
    writer = ShotTableWriter(output.table, 0 if known is None else known.n_parts)
    if known is not None:
        run.resume(known, read_shot_table(output.table), with_experiments=output.experiments is not None)
    waiting: list[Columns] = []
    n_waiting = 0
    for batch in run.search(with_experiments=output.experiments is not None):
        waiting.append(batch.columns)
        n_waiting += len(batch.columns["index"])
        if n_waiting >= PART:
            writer.append(join_columns(waiting))
            waiting, n_waiting = [], 0
            if output.powder is not None:
                write_powder(output.powder, run.powder)
            states.save(run.get_state(writer.n_parts))
    if waiting or not writer.n_parts:
        writer.append(join_columns(waiting))
    if output.powder is not None:
        write_powder(output.powder, run.powder)


class _HitRun:
    """One run: what it needs, and what has been counted so far."""

    def __init__(self, events: Events, options: FindHitsOptions, client: Client | None, progress: Progress) -> None:
        self.events, self.options, self.client, self.progress = events, options, client, progress
        self.measure = make_measure(options.hits)
        self.calibration = Calibration(options.calibration)
        self.powder = PowderSums(), PowderSums()
        # workers elsewhere read their shots themselves
        self.kept = KeptShots(KEPT_BYTES if client is None else 0)
        self.experiments: list[Experiment] = []
        self.n_shots = self.n_hits = self.n_failed = 0
        self.reasons: dict[str, int] = {}
        n = len(events)
        if not n:
            raise XdpError("there are no shots")
        width = -(-n // RATE_ROWS)
        self._width = max(1, width)
        self.rates = np.zeros((-(-n // self._width), 5), np.int64)

    @property
    def thresholds(self) -> RunThresholds | None:
        """Thresholds that follow from the run."""
        return self.measure.run if isinstance(self.measure, RingMeasure) else None

    def get_state(self, n_parts: int) -> HitState:
        """How far the run is, for one that goes on after an interruption."""
        counts = {"shots": self.n_shots, "hits": self.n_hits, "failed": self.n_failed, "reasons": self.reasons}
        return HitState(n_parts, counts, self.rates, self.powder, self.thresholds)

    def resume(self, state: HitState, table: Columns, *, with_experiments: bool) -> None:
        """Go on behind the shots of an interrupted run."""
        counts = state.counts
        self.n_shots, self.n_hits, self.n_failed = counts["shots"], counts["hits"], counts["failed"]
        self.reasons, self.rates, self.powder = dict(counts["reasons"]), state.rates, state.powder
        if isinstance(self.measure, RingMeasure):
            self.measure.run = state.thresholds
        log.info("An interrupted run has done %d of %d shots: this one goes on behind them", self.n_shots,
                 len(self.events))
        for number in np.flatnonzero(table["verdict"] == "hit").tolist() if with_experiments else ():
            models = self.events.read(number).experiment
            if models is not None:
                self.experiments.append(models)

    def _run(self, function: Callable, work: HitWork, tasks: Sequence[tuple]) -> Generator[Any, None, None]:
        """Run tasks on workers or threads, in order."""
        mp = self.options.mp
        # so many at a time that no worker waits, and results do not pile up
        at_once = None if self.client is None else max(16, 4 * (mp.njobs or 1) * count_threads(mp))
        return run_tasks(function, work, tasks, client=self.client, n_threads=count_threads(mp), at_once=at_once)

    def learn(self) -> None:
        """Find the thresholds from a sample of the run, where the measure needs them."""
        if not self.measure.needs_sample or not isinstance(self.measure, RingMeasure):
            return
        chosen = spread_sample(len(self.events), self.options.hits.own_misses.sample)
        work = HitWork(self.events, self.measure, self.options.checks, kept=self.kept, calibration=self.calibration)
        tasks = [(chosen[k:k + LOOK],) for k in range(0, len(chosen), LOOK)]
        found = []
        with self.progress(len(chosen), "shots of the sample") as advance, contextlib.closing(
                self._run(look_at_shots, work, tasks)) as results:
            for (numbers,), part in zip(tasks, results, strict=True):
                found += part
                advance(len(numbers))
        if not found:
            log.warning("no shot of the sample of %d can be used: no thresholds follow from the run", len(chosen))
        self.measure.run = learn_thresholds(found, sigma=self.measure.sigma, min_peaks=self.measure.min_peaks)
        log.info("%s", self.measure.run.text())

    def search(self, with_experiments: bool) -> Iterable[HitBatch]:
        """Measure all shots, batch by batch, and count."""
        self.learn()
        n, size = len(self.events), self.options.mp.chunksize
        size = BATCH if isinstance(size, Auto) or size is None else size
        work = HitWork(self.events, self.measure, self.options.checks, self.options.output.powder is not None,
                       with_experiments, self.kept, self.calibration)
        tasks = [(first, min(first + size, n)) for first in range(self.n_shots, n, size)]
        with self.progress(n - self.n_shots, "shots") as advance, contextlib.closing(
                self._run(measure_shots, work, tasks)) as results:
            for (first, last), batch in zip(tasks, results, strict=True):
                self._count(first, batch)
                advance(last - first)
                yield batch

    def _count(self, first: int, batch: HitBatch) -> None:
        """Take a batch into the counts and the powder patterns."""
        verdict = batch.columns["verdict"]
        is_hit, is_failed = verdict == "hit", verdict == "failed"
        self.n_shots += len(verdict)
        self.n_hits += int(is_hit.sum())
        self.n_failed += int(is_failed.sum())
        for reason in batch.columns["reason"][is_failed]:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1
        rows = (first + np.arange(len(verdict))) // self._width
        times = batch.columns["time"]
        for column, values in enumerate((np.ones(len(verdict)), is_hit, is_failed)):
            np.add.at(self.rates[:, column], rows, values.astype(np.int64))
        known = times > 0
        np.maximum.at(self.rates[:, 3], rows[known], times[known])
        for mine, theirs in zip(self.powder, batch.powder, strict=True):
            mine.join(theirs)
        self.experiments += batch.experiments

    def finish(self, load_table: Callable[[], Columns]) -> FoundHits:
        """What was found."""
        experiments = self.experiments
        return FoundHits(self.powder, self.thresholds, self.n_shots, self.n_hits, self.n_failed, self.reasons,
                         self.rates, load_table, lambda: _identify(experiments))


def _identify(experiments: Sequence[Experiment]) -> ExperimentList:
    """The hits as experiments, each with an identifier of its own."""
    return ExperimentList([replace(e, identifier=e.identifier or f"hit-{i:06d}") for i, e in enumerate(experiments)])


def spread_sample(n_shots: int, size: int) -> list[int]:
    """Choose shots spread evenly over a run.

    Parameters
    ----------
    n_shots : int
        Of the run.
    size : int
        Most that are chosen.

    Returns
    -------
    list of int

    Examples
    --------
    >>> spread_sample(10, 3), spread_sample(2, 5)
    ([1, 5, 8], [0, 1])
    """
    if n_shots <= size:
        return list(range(n_shots))
    return [int((k + 0.5) * n_shots / size) for k in range(size)]


def _make_rate_table(rates: np.ndarray) -> Table:
    """The hit rate over the run."""
    from xdp.serial.events.times import format_time

    rows, begin = [], 0
    for n, hits, failed, last, _ in rates.tolist():
        used = n - failed
        rows.append((f"{begin} - {begin + n - 1}", format_time(last) if last else "", str(hits), str(failed),
                     f"{100.0 * hits / used:.1f}" if used else ""))
        begin += n
    return Table("hit_rate", "Hit rate over the run", {"shots": "shots", "time": "last time", "hits": "hits",
                                                       "failed": "failed", "rate": "rate\n(%)"}, tuple(rows))
