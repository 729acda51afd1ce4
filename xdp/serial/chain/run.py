"""Runs a chain: each shot goes through the modules in turn, until one skips it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xdp.display import Displayed
from xdp.experiment import ExperimentList
from xdp.options import Auto
from xdp.options.named import make_options
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.serial.chain.configuration import ChainSettings, read_chain
from xdp.serial.chain.keys import KeyReport
from xdp.serial.chain.modules import ChainEvent, ChainRun, describe_failure, find_module
from xdp.serial.chain.options import ChainOptions
from xdp.serial.chain.streams import find_calibrated_geometry, open_chain_events
from xdp.serial.events import Events
from xdp.work.cores import count_threads
from xdp.work.progress import Progress, no_progress
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

BATCH = 20
"""Shots of a task where mp.chunksize is Auto: indexing takes a second a shot; a choice."""


@dataclass
class ModuleCounts:
    """What happened to the shots that reached a module.

    Attributes
    ----------
    label : str
    n_reached, n_kept, n_failed : int
    result : object or None
        What its ``end`` gave, joined.
    """

    label: str
    n_reached: int = 0
    n_kept: int = 0
    n_failed: int = 0
    result: Any = None

    def join(self, other: ModuleCounts) -> None:
        """Add another batch."""
        self.n_reached += other.n_reached
        self.n_kept += other.n_kept
        self.n_failed += other.n_failed
        if self.result is None:
            self.result = other.result
        elif other.result is not None:
            self.result.join(other.result)


@dataclass
class ChainBatch:
    """What happened to a batch of shots."""

    modules: list[ModuleCounts]
    messages: list[str] = field(default_factory=list)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(repr=False)
class ChainResult(Displayed):
    """What :func:`run_chain` did.

    Attributes
    ----------
    modules : list of ModuleCounts
        One an instance, in order.
    n_shots : int
    failures : list of (int, str, str)
        Number, reason and message of each shot that failed.
    """

    modules: list[ModuleCounts]
    n_shots: int
    failures: list[tuple[int, str, str]]

    @property
    def experiments(self) -> ExperimentList:
        """An empty list: what modules find they write."""
        return ExperimentList()

    @property
    def reflections(self) -> ReflectionTable:
        """An empty table."""
        return ReflectionTable({})

    @property
    def report(self) -> Report:
        """Shots that reached each module."""
        rows = tuple((m.label, str(m.n_reached), str(m.n_kept), str(m.n_failed)) for m in self.modules)
        table = Table("modules", "Shots in the chain", {"module": "module", "reached": "reached it", "kept": "went on",
                                                        "failed": "failed"}, rows)
        return Report((table,), facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        return [("shots", self.n_shots), ("failed", len(self.failures))]


@dataclass(frozen=True)
class ChainWork:
    """What all tasks of a chain have in common."""

    events: Events
    settings: ChainSettings
    fields: Mapping[str, Any]
    has_times: bool


def run_chain(configuration: str | os.PathLike | ChainSettings,
              shots: str | os.PathLike | Sequence[str | os.PathLike] | Events,
              options: ChainOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
              progress: Progress | None = None, **named: Any) -> ChainResult:
    """Send the shots of a run through a chain of modules.

    Parameters
    ----------
    configuration : path or ChainSettings
        The ``.cfg`` with the modules.
    shots : path, sequence of paths, or Events
        Files with shots, or shots that are open. None, or LCLS streams: psana reads the run that `options` name.
    options : ChainOptions or dict, optional
        The parameters of ``xdp pyana``.
    client : distributed.Client, optional
        Its workers run the tasks; by default threads of this process.
    progress : callable, optional
        Shows how many shots are done.
    **named
        Parameters by name, laid over `options`: ``run=69``.

    Returns
    -------
    ChainResult

    Raises
    ------
    OptionError
        If the configuration is wrong.
    XdpError
        If there are no shots.

    Examples
    --------
    >>> from xdp.serial.chain.run import run_chain
    >>> done = run_chain("lysozyme.cfg", "run0069.h5", run=69)  # doctest: +SKIP
    >>> print(done.report.text())  # doctest: +SKIP
    """
    chosen = make_options(ChainOptions, options, named)
    settings = configuration if isinstance(configuration, ChainSettings) else read_chain(configuration)
    events = shots if isinstance(shots, Events) else open_chain_events(settings, shots, chosen)
    n = len(events)
    work = ChainWork(events, settings, {"run": chosen.run, "experiment": chosen.experiment},
                     n > 0 and events.read(0).time is not None)
    # all keys are read before the first shot: what is wrong with them is said at once
    report = KeyReport()
    total = ChainBatch([ModuleCounts(module.settings.label) for module in _begin(work, report)])
    has_geometry = not chosen.events.geometry and find_calibrated_geometry(settings) is not None
    for line in report.list_warnings():
        # the folder's geometry file is used, if nothing else of it
        if not (has_geometry and line.startswith("calib_dir")):
            log.warning("%s", line)
    if not work.has_times and n:
        log.warning("the shots have no times: files are named by the numbers of the shots")
    size = chosen.mp.chunksize
    size = BATCH if isinstance(size, Auto) or size is None else size
    tasks = [(first, min(first + size, n)) for first in range(0, n, size)]
    n_threads = count_threads(chosen.mp)
    with _quiet_stages(), (progress or no_progress)(n, "shots") as advance, contextlib.closing(
            run_tasks(run_batch, work, tasks, client=client, n_threads=n_threads)) as batches:
        for (first, last), batch in zip(tasks, batches, strict=True):
            _join_batch(total, batch)
            advance(last - first)
    for module in total.modules:
        if hasattr(module.result, "text"):
            log.info("%s: %s", module.label, module.result.text())
    return ChainResult(total.modules, n, total.failures)


@contextlib.contextmanager
def _quiet_stages() -> Iterator[None]:
    """Keep the stages that mod_hitfind calls from filling the log: a shot's indexing is one line of ours."""
    loggers = [logging.getLogger(f"xdp.{room}") for room in ("spotfinding", "indexing", "refinement", "integration")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _begin(work: ChainWork, report: KeyReport) -> list[Any]:
    """The modules, ready for shots."""
    run = ChainRun(work.fields, work.has_times, report)
    modules = [find_module(settings.name)(settings) for settings in work.settings.modules]
    for module, settings in zip(modules, work.settings.modules, strict=True):
        # a user's module need not be one of our classes
        if not hasattr(module, "settings"):
            module.settings = settings
        module.begin(run)
    return modules


def _join_batch(total: ChainBatch, batch: ChainBatch) -> None:
    """Take a batch into the counts, and its lines into the log."""
    for mine, theirs in zip(total.modules, batch.modules, strict=True):
        mine.join(theirs)
    for message in batch.messages:
        log.info("%s", message)
    for number, reason, message in batch.failures:
        log.warning("shot %d failed (%s): %s", number, reason, message)
    total.failures += batch.failures


def run_batch(work: ChainWork, first: int, last: int) -> ChainBatch:
    """Send a batch of shots through the modules.

    Parameters
    ----------
    work : ChainWork
    first, last : int
        Numbers of the shots, the last one excluded.

    Returns
    -------
    ChainBatch
    """
    modules = _begin(work, KeyReport())
    batch = ChainBatch([ModuleCounts(module.settings.label) for module in modules])
    for number in range(first, last):
        shot = work.events.read(number)
        event = ChainEvent(shot, shot)
        if shot.failure is not None:
            batch.failures.append((shot.index, *shot.failure))
            continue
        _send_through(event, modules, batch)
        batch.messages += event.messages
    for counts, module in zip(batch.modules, modules, strict=True):
        counts.result = module.end()
    return batch


def _send_through(event: ChainEvent, modules: Sequence[Any], batch: ChainBatch) -> None:
    """Send one shot through the modules, until one skips it or fails."""
    for module, counts in zip(modules, batch.modules, strict=True):
        counts.n_reached += 1
        try:
            keeps = module.event(event)
        # whatever a module raises for one shot, the others go on
        except Exception as error:
            counts.n_failed += 1
            batch.failures.append((event.shot.index, *describe_failure(error, event.shot)))
            return
        if keeps is False:
            return
        counts.n_kept += 1
