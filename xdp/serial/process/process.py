"""Process the shots of a serial run: each is decoded once and goes from its image to its intensities.

The steps of a shot are in :mod:`xdp.serial.process.shot`; here bags of shots are given to the workers, and their
results written as they come. Bags and sets of files are the same whatever runs them: results do not depend on the
number of workers.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.experiment import ExperimentList
from xdp.files import disk_errors, make_folder
from xdp.integration.partiality.prior import PriorSums
from xdp.logs import silence_loggers
from xdp.options import Auto
from xdp.options.files import list_input_files
from xdp.options.named import make_options
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report, Table
from xdp.serial.events import Events
from xdp.serial.hits.table import Columns, read_shot_table
from xdp.serial.process.causes import HITS_WITHOUT_LATTICE, explain_no_lattice
from xdp.serial.process.extras import ShotExtras
from xdp.serial.process.forms import HITS, describe_forms, find_forms, list_known_forms, pool_shots
from xdp.serial.process.inputs import choose_shots, log_unreadable, open_shots
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.results.columns import make_columns
from xdp.serial.process.results.outputs import ShotOutputs, check_outputs, choose_tables, prepare_table
from xdp.serial.process.results.record import ShotRecord
from xdp.serial.process.rounds import cut_rounds
from xdp.serial.process.shot import FAILED, INDEXED, INTEGRATED, MISS, ShotProcessor
from xdp.serial.process.tasks import Bag, ProcessWork, join_bags, process_bag
from xdp.work.cores import count_parallel_tasks
from xdp.work.folder import open_work_folder
from xdp.work.keys import make_key, stamp_file
from xdp.work.progress import Progress, no_progress
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

SET = 500
"""Shots of a set of files: with all of them indexed some 100 MB of spots and intensities are in memory at a time. A
choice."""
BAG = 10
"""Shots of a task where mp.chunksize is Auto: 0.1 s of work if all of them are misses, seconds if all are hits."""
NO_LOG = "DevNull"
"""The logging_dir that stands for no messages about shots."""
LAYOUT = 2
"""Raised whenever the results of tasks change their layout."""
REPEATED_LOGGERS = ("xdp.indexing", "xdp.refinement", "xdp.integration", "xdp.prediction", "xdp.spotfinding")
"""Loggers of the steps that are repeated for each shot: their lines would bury those of the run."""


@dataclass
class ShotCounts:
    """How many shots ended how.

    Attributes
    ----------
    verdicts, reasons : dict of str to int
        Shots by how they ended, and those that failed or were not indexed or integrated by the reason.
    n_lattices, n_indexed, n_integrated : int
        Lattices, indexed spots and integrated reflections of all shots.
    """

    verdicts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    n_lattices: int = 0
    n_indexed: int = 0
    n_integrated: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a shot.

        Parameters
        ----------
        row : mapping
            Of the table of shots.
        """
        self.verdicts[row["verdict"]] = self.verdicts.get(row["verdict"], 0) + 1
        if row.get("reason"):
            self.reasons[row["reason"]] = self.reasons.get(row["reason"], 0) + 1
        self.n_lattices += row.get("n_lattices", 0)
        self.n_indexed += row.get("n_indexed", 0)
        self.n_integrated += row.get("n_integrated", 0)

    @property
    def n_shots(self) -> int:
        """All shots."""
        return sum(self.verdicts.values())

    @property
    def n_with_lattice(self) -> int:
        """Shots with a lattice, integrated or not."""
        return self.verdicts.get(INDEXED, 0) + self.verdicts.get(INTEGRATED, 0)


@dataclass(repr=False)
class ProcessedShots(Displayed):
    """What became of the shots of a run.

    Attributes
    ----------
    counts : ShotCounts
    files : list of str
        Files that were written.
    explanation : str or None
        Why nothing was indexed, where it was not said while the run went on.
    """

    counts: ShotCounts
    files: list[str]
    explanation: str | None
    _load_table: Callable[[], Columns]
    _load: Callable[[], tuple[ExperimentList, ReflectionTable]]

    @cached_property
    def table(self) -> Columns:
        """A row a shot; see :data:`xdp.serial.process.results.columns.SHOT_COLUMNS`."""
        return self._load_table()

    @cached_property
    def _loaded(self) -> tuple[ExperimentList, ReflectionTable]:
        """Experiments and reflections."""
        return self._load()

    @property
    def experiments(self) -> ExperimentList:
        """The integrated crystals; those that were indexed where nothing was integrated."""
        return self._loaded[0]

    @property
    def reflections(self) -> ReflectionTable:
        """Their reflections; ``id`` counts the experiments."""
        return self._loaded[1]

    @property
    def report(self) -> Report:
        """How shots ended, and why some failed."""
        verdicts = tuple((name, str(n)) for name, n in sorted(self.counts.verdicts.items(), key=_by_number))
        tables = [Table("verdicts", "How shots ended", {"verdict": "shots", "n": "number"}, verdicts)]
        if self.counts.reasons:
            rows = tuple((name, str(n)) for name, n in sorted(self.counts.reasons.items(), key=_by_number))
            tables.append(Table("failures", "Why shots gave no intensities", {"reason": "reason", "n": "shots"}, rows))
        return Report(tuple(tables), facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        counts = self.counts
        n_hits = counts.n_shots - counts.verdicts.get(MISS, 0) - counts.verdicts.get(FAILED, 0)
        return [("shots", counts.n_shots), ("hits", n_hits), ("indexed", counts.n_with_lattice),
                ("integrated", counts.verdicts.get(INTEGRATED, 0)), ("lattices", counts.n_lattices),
                ("failed", counts.verdicts.get(FAILED, 0)), ("reflections", counts.n_integrated)]


def _by_number(item: tuple[str, int]) -> tuple[int, str]:
    """Largest numbers first, equal ones by name."""
    return -item[1], item[0]


def stills_process(shots: str | Path | Sequence[str | Path] | Events,
                   options: StillsProcessOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
                   progress: Progress | None = None, **named: Any) -> ProcessedShots:
    """Process shots from images to intensities; nothing is written.

    Each shot is decoded once, corrected, and searched for spots. Hits are indexed and integrated. Of a shot that is no
    hit nothing is kept but its row in the table.

    Parameters
    ----------
    shots : path, sequence of paths, or Events
        Image files, folders, ``.expt`` files or lists of events; or shots that are open.
    options : StillsProcessOptions or dict, optional
        The parameters of ``xdp stills_process``; ``output`` is not looked at.
    client : distributed.Client, optional
        Its workers run the tasks; by default threads of this process, ``mp.nproc`` of them.
    progress : callable, optional
        Shows how many shots are done.
    **named
        Parameters by name, laid over `options`: ``space_group="P43212", min_spot_size=2``.

    Returns
    -------
    ProcessedShots
        With ``table``, ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If there are no shots; with ``squash_errors=False`` at the first that fails.

    Examples
    --------
    >>> import xdp
    >>> found = xdp.stills_process("run0012.h5", unit_cell=(79, 79, 38, 90, 90, 90))  # doctest: +SKIP
    >>> found.table["tag"][found.table["verdict"] == "integrated"]  # doctest: +SKIP
    """
    chosen = make_options(StillsProcessOptions, options, named)
    run = ShotRun(shots, chosen, ShotRecord(None), client, progress or no_progress)
    bags = list(run.iterate_bags(None))
    joined = join_bags(bags)

    def load() -> tuple[ExperimentList, ReflectionTable]:
        name = "integrated" if "integrated" in joined.tables else "indexed"
        models = "integrated_experiments" if name == "integrated" else "experiments"
        if name not in joined.tables:
            return ExperimentList(), ReflectionTable()
        return prepare_table(joined.lists[models], joined.tables[name])

    return ProcessedShots(run.counts, [], run.explain_failure(), lambda: make_columns(joined.rows), load)


def stills_process_to_files(shots: Sequence[str] | Events, options: StillsProcessOptions, *,
                            client: Client | None = None, progress: Progress = no_progress,
                            numbers: Sequence[int] | None = None, extras: ShotExtras | None = None,
                            first_set: int = 0) -> ProcessedShots:
    """Process shots as :func:`stills_process`, and write sets of files, the table of shots and the stream as they come.

    Results of tasks are kept in a work folder beside the table until all is written: an interrupted run goes on where
    it was.

    Parameters
    ----------
    shots : sequence of paths, or Events
        As :func:`stills_process` takes them.
    options : StillsProcessOptions
        The parameters of ``xdp stills_process``.
    client : distributed.Client, optional
        Its workers run the tasks.
    progress : callable
        Shows how many shots are done.
    numbers : sequence of int, optional
        Only these shots are processed; by default those that the options choose.
    extras : ShotExtras, optional
        What ``xdp xtc_process`` does besides.
    first_set : int, default 0
        Number of the first set of files.

    Returns
    -------
    ProcessedShots
        Its table is read from its file when it is asked for.

    Raises
    ------
    XdpError
        As :func:`stills_process`, or if an output cannot be written.
    """
    output = options.output
    check_outputs(output)
    record = ShotRecord(Path(output.output_dir) / "debug" if options.mp.debug.output_debug_logs else None)
    if output.logging_dir not in (None, NO_LOG):
        make_folder(str(output.logging_dir))
    run = ShotRun(shots, options, record, client, progress, numbers, extras)
    if options.dispatch.pre_import:
        log_unreadable(run.events, run.numbers)
    run.n_sets = first_set
    record.prepare()
    files: list[str] = []
    with open_work_folder(Path(output.table), is_folder=True) as folder:
        writer = ShotOutputs(options, folder, run.processor.extras.reindexed_name)
        size = SET * (options.mp.composite_stride or 1)
        waiting: list[Bag] = []
        n_waiting = 0
        for bag in run.iterate_bags(folder):
            writer.add_rows(bag)
            waiting.append(bag)
            n_waiting += len(bag.rows)
            if n_waiting >= size:
                files += writer.write_set(run.n_sets, join_bags(waiting))
                waiting, n_waiting = [], 0
                run.n_sets += 1
        if waiting:
            files += writer.write_set(run.n_sets, join_bags(waiting))
        writer.finish()
    return ProcessedShots(run.counts, files, run.explain_failure(), lambda: read_shot_table(output.table),
                          lambda: _read_results(files))


def _read_results(files: Sequence[str]) -> tuple[ExperimentList, ReflectionTable]:
    """The integrated crystals of a run from its files; those that were indexed where none is integrated."""
    from xdp.experiment import read_experiments
    from xdp.reflections.refl import read_reflections

    for part in ("integrated", ""):
        models = [f for f in files if f.endswith(".expt") and part in f]
        tables = [f for f in files if f.endswith(".refl") and part in f]
        if models and tables:
            experiments: list[Any] = []
            joined = []
            for model, table in zip(models, tables, strict=False):
                rows = read_reflections(table)
                joined.append(rows.with_columns(id=rows["id"] + len(experiments)))
                joined[-1].identifiers = {}
                experiments += list(read_experiments(model))
            return ExperimentList(experiments), ReflectionTable.concatenate(joined)
    return ExperimentList(), ReflectionTable()


class ShotRun:
    """One run: its shots in bags, and what has been counted so far.

    Parameters
    ----------
    shots : path, sequence of paths, or Events
    options : StillsProcessOptions
    record : ShotRecord
    client : distributed.Client or None
    progress : callable
    numbers : sequence of int, optional
        Only these shots are processed.
    extras : ShotExtras, optional
        What ``xdp xtc_process`` does besides.
    """

    def __init__(self, shots: Any, options: StillsProcessOptions, record: ShotRecord, client: Client | None,
                 progress: Progress, numbers: Sequence[int] | None = None, extras: ShotExtras | None = None) -> None:
        words = [shots] if isinstance(shots, str | Path) else shots
        self.events = shots if isinstance(shots, Events) else open_shots([str(word) for word in words], options)
        self.options, self.client, self.progress = options, client, progress
        self.numbers = choose_shots(self.events, options) if numbers is None else list(numbers)
        if not self.numbers:
            raise XdpError("there are no shots to process: all of them were left out")
        self.processor = ShotProcessor(self.events, options, record, extras=extras)
        self.counts = ShotCounts()
        self.n_sets = 0
        self._hopeless: list[dict[str, Any]] | None = []

    def iterate_bags(self, folder: Path | None) -> Iterator[Bag]:
        """Process all shots, bag by bag in order, and count.

        Parameters
        ----------
        folder : Path or None
            Where results of tasks are kept.

        Yields
        ------
        Bag
        """
        options = self.options
        self.find_forms()
        sums = PriorSums()
        with silence_loggers(REPEATED_LOGGERS), self.progress(len(self.numbers), "shots") as advance:
            for bags in cut_rounds(self.numbers, self._bag_size):
                # all that earlier rounds tell, and nothing of this one: the same for any number of workers
                self.processor = self.processor.with_prior(sums.estimate_prior())
                work = ProcessWork(self.processor, choose_tables(options), options.output.shoeboxes, folder,
                                   options.output.stream is not None)
                tasks = _Tasks(self, bags, folder is not None)
                with contextlib.closing(self._run(process_bag, work, tasks)) as results:
                    for bag in results:
                        self._count(bag)
                        for widths, variances in bag.widths:
                            sums.add(np.array(widths), np.array(variances))
                        advance(len(bag.rows))
                        yield bag

    @property
    def _bag_size(self) -> int:
        """Shots of a bag; it does not depend on workers."""
        size = self.options.mp.chunksize
        return BAG if isinstance(size, Auto) or size is None else size

    def _run(self, function: Callable, shared: Any, tasks: Sequence) -> Generator[Any, None, None]:
        """Run tasks on the workers of the client, or on threads."""
        n_threads = count_parallel_tasks(self.options.mp)
        # so many at a time that no worker waits, and results do not pile up
        at_once = None if self.client is None else max(16, 4 * n_threads)
        return run_tasks(function, shared, tasks, client=self.client, n_threads=n_threads, at_once=at_once)

    def find_forms(self) -> None:
        """Find the cells that the first hits have in common, where none is known; the log says which."""
        if not self.options.dispatch.index or not self.processor.indexer.needs_forms:
            return
        options = self.options.indexing.consensus
        tasks = [(options, tuple(bag)) for bags in cut_rounds(self.numbers, self._bag_size) for bag in bags]
        with silence_loggers(REPEATED_LOGGERS), self.progress(HITS, "hits for the cell") as advance:
            consensus = find_forms(self._run(pool_shots, self.processor, tasks), options, advance)
        log.info("%s", describe_forms(consensus))
        forms = list_known_forms(consensus, self.options.indexing.known_symmetry)
        old = self.processor
        self.processor = ShotProcessor(self.events, self.options, old.record, forms, old.extras)

    def make_bag_name(self, numbers: Sequence[int]) -> str:
        """Make the name of a bag's result, with the key of what it depends on.

        Parameters
        ----------
        numbers : sequence of int

        Returns
        -------
        str
        """
        names = [self.events.get_id(number) for number in numbers]
        files = sorted({name.split(" //")[0] for name in names})
        prior = self.processor.integrator.prior.to_dict()
        return f"shots-{make_key(LAYOUT, self._key, prior, names, [stamp_file(file) for file in files])}"

    @cached_property
    def _key(self) -> list[Any]:
        """What all results depend on: parameters, and the files that they name."""
        output = self.options.output
        chosen = self.options.model_dump(mode="json", exclude={"output": True, "mp": True, "cluster": True,
                                                               "input": {"max_images", "image_tag"}})
        named = [stamp_file(file.name) for file in list_input_files(self.options)]
        forms = [form.model_dump(mode="json") for form in self.processor.indexer.forms]
        return [chosen, forms, self.processor.extras, output.shoeboxes, output.stream is not None,
                sorted(choose_tables(self.options)), named]

    def _count(self, bag: Bag) -> None:
        """Take a bag into the counts, log its lines, and speak up where nothing can be indexed."""
        self._log_lines(bag.lines)
        for row in bag.rows:
            self.counts.add(row)
        if self._hopeless is None or not self.options.dispatch.index:
            return
        if self.counts.n_with_lattice:
            self._hopeless = None
            return
        self._hopeless += [row for row in bag.rows if row["verdict"] == "not indexed"]
        if len(self._hopeless) >= HITS_WITHOUT_LATTICE:
            log.warning("%s", explain_no_lattice(self._hopeless, self.options))
            self._hopeless = None

    def _log_lines(self, lines: Sequence[str]) -> None:
        """Log the messages about shots, or append them to the file of their set where there is a folder for these."""
        folder = self.options.output.logging_dir
        if folder is None:
            for line in lines:
                log.info("%s", line)
        elif folder != NO_LOG:
            # as the original: a file for each process there, for each set of files here
            path = Path(folder) / f"log_rank{self.n_sets:04d}.out"
            with disk_errors(path), open(path, "a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)

    def explain_failure(self) -> str | None:
        """Say why nothing was indexed, at the end of a run; None where something was, or it was said before."""
        if self.counts.n_with_lattice or not self._hopeless:
            return None
        return explain_no_lattice(self._hopeless, self.options)


class _Tasks(Sequence):
    """Tasks of a run, whose names are made when they are asked for: that looks at files."""

    def __init__(self, run: ShotRun, bags: Sequence[Sequence[int]], with_names: bool) -> None:
        self.run, self.bags, self.with_names = run, bags, with_names

    def __len__(self) -> int:
        return len(self.bags)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        bag = self.bags[index]
        return (self.run.make_bag_name(bag) if self.with_names else "", tuple(bag))
