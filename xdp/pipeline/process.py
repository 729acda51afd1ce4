"""Images to intensities: each stage in turn, none done twice.

A stage depends on the stage before it, its parameters and the program's version; of these a key is made. What is done
is kept in a record beside the files, under its key: a run that was broken off, or is repeated with other parameters of
a late stage, goes on from the first stage that has to be done anew.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xdp.display import Displayed
from xdp.errors import XdpError
from xdp.files import make_folder
from xdp.images.input_files import find_files_of_options, find_files_of_words
from xdp.options.files import refuse_outputs
from xdp.options.named import make_options
from xdp.pipeline import stages
from xdp.pipeline.late_stages import PROBLEM, SYMMETRY, list_late_stages
from xdp.pipeline.ledger import Ledger, make_stage_key
from xdp.pipeline.options import ProcessOptions, settle_for_inputs, settle_options
from xdp.pipeline.stages import StageResult
from xdp.pipeline.summary import describe_stage
from xdp.protection import Inputs, protect
from xdp.report.tables import Report, Table
from xdp.work.progress import Progress, no_progress
from xdp.work.resources import Resources

if TYPE_CHECKING:
    from distributed import Client

    from xdp.experiment import ExperimentList
    from xdp.reflections.table import ReflectionTable

RECORD = ".xdp-process.json"


def _nothing(*_: Any) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Hooks:
    """How a caller follows a run.

    Attributes
    ----------
    around : callable
        Gives the context in which a stage (by name) is done, such as one that opens its log.
    result : callable
        Told a stage's name and result, within that context.
    done : callable
        Told a stage's name, what it found (dict), and its seconds; None where it was not done again.
    """

    around: Callable[[str], AbstractContextManager] = lambda name: contextlib.nullcontext()
    result: Callable[[str, Any], None] = _nothing
    done: Callable[[str, dict[str, Any], float | None], None] = _nothing


@dataclass(frozen=True, repr=False)
class Processed(Displayed):
    """What :func:`process` gives.

    Attributes
    ----------
    facts : dict of str to dict
        What each stage found, by its name; ``seconds`` is None where it was not done again.
    files : dict of str to tuple of str
        What each stage wrote.
    """

    facts: dict[str, dict[str, Any]]
    files: dict[str, tuple[str, ...]]
    _last: _StageState = field(repr=False)

    @property
    def experiments(self) -> ExperimentList:
        """The integrated experiments."""
        return self._last.done.experiments

    @property
    def reflections(self) -> ReflectionTable:
        """The integrated reflections."""
        return self._last.done.reflections

    @property
    def report(self) -> Report:
        """What each stage found, and the files it wrote."""
        rows = tuple((name, found, " ".join(self.files[name])) for name, found in self._facts())
        heads = {"stage": "stage", "found": "found", "files": "files"}
        return Report((Table("stages", "Stages", heads, rows),))

    def _facts(self) -> list[tuple[str, Any]]:
        return [(name, describe_stage(name, facts)) for name, facts in self.facts.items()]


def process(inputs: str | os.PathLike | Sequence[str | os.PathLike],
            options: ProcessOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
            progress: Progress | None = None, hooks: Hooks | None = None, **named: Any) -> Processed:
    """Import images, find spots, index, choose the Bravais setting, refine, integrate, export, scale and merge.

    Each stage writes its usual files into ``output.directory``, and the models and reflections travel on in memory.
    Without a space group the most symmetric of the recommended Bravais settings is taken, and the space group is found
    from the integrated intensities; with several crystals the one that indexing found stays. Data that cannot be scaled
    or merged, such as a few frames, are integrated all the same.

    Parameters
    ----------
    inputs : path or sequence of paths
        Images, templates or folders; or one ``.expt`` file of imported images.
    options : ProcessOptions or dict, optional
        The parameters of all stages, as ``xdp process`` has them.
    client : distributed.Client, optional
        Its workers do the work of the stages that can be spread; by default threads of this process.
    progress : callable, optional
        Shows how far the stages have come.
    hooks : Hooks, optional
        Called before and after each stage.
    **named
        Parameters by name, laid over `options`: ``**{"output.directory": "run1"}``, ``space_group="P43212"``.

    Returns
    -------
    Processed
        With ``experiments``, ``reflections`` and ``report``, and what each stage found and wrote.

    Raises
    ------
    XdpError
        If a stage fails; what the stages before it have done is kept for the next run. Before anything is done, if an
        output is an input.

    Examples
    --------
    >>> import tempfile, xdp
    >>> from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    >>> from xdp.simulation.write import write_minicbf_series
    >>> folder = tempfile.TemporaryDirectory()
    >>> models = make_crystal(), make_beam(), make_detector((300, 300)), make_goniometer(), make_scan(20, 0.5)
    >>> images = write_minicbf_series(xdp.simulate_rotation(*models), folder.name)
    >>> found = xdp.process(images, {"output.directory": folder.name}, space_group="P43212")
    >>> found.experiments[0].crystal.space_group.short_name()
    'P43212'
    """
    given = make_options(ProcessOptions, options, named)
    words = [os.fspath(word) for word in ([inputs] if isinstance(inputs, (str, os.PathLike)) else inputs)]
    # Images are looked for only if an output is there already: templates may stand for 10^5 files.
    with protect(Inputs(lambda: [*find_files_of_words(words), *find_files_of_options(given)])):
        refuse_outputs(settle_for_inputs(given, words))
        return _process(words, settle_options(given), client, progress or no_progress, hooks or Hooks())


def _process(words: list[str], chosen: ProcessOptions, client: Client | None, progress: Progress, hooks: Hooks
             ) -> Processed:
    """Run the stages, once the inputs are protected."""
    folder = make_folder(chosen.output.directory or ".")
    run = _PipelineRun(chosen, Ledger(folder / RECORD), hooks, Resources(client, progress))
    state = _import_images(run, words)
    integrated = state
    for stage in stages.STAGES:
        # A space group that the user gave is not put to the test.
        if stage.name == "refine_bravais_settings" and _symmetry_is_known(chosen):
            continue
        state = run.do(stage, state)
        if stage.name == "integrate":
            integrated = state
    _merge_if_possible(run, integrated)
    return Processed(run.facts, run.files, integrated)


def _merge_if_possible(run: _PipelineRun, integrated: _StageState) -> None:
    """Find the symmetry, scale and merge, as far as it is asked for and the data allow."""
    state = integrated
    for stage in list_late_stages(run.options, integrated.done.experiments):
        after = run.do(stage, state)
        has_failed = PROBLEM in run.facts[stage.name]
        if has_failed and stage is not SYMMETRY:  # without a symmetry of their own, data have that of their lattice
            return
        state = state if has_failed else after


def _symmetry_is_known(options: ProcessOptions) -> bool:
    return options.index.indexing.known_symmetry.space_group is not None


@dataclass(frozen=True)
class _StageState:
    """How far a run is: the key of the last stage, and what it gave once somebody asks."""

    key: str
    load: Callable[[], StageResult]
    cache: list[StageResult] = field(default_factory=list)

    @property
    def done(self) -> StageResult:
        """The result, read from its files where the stage was skipped."""
        if not self.cache:
            self.cache.append(self.load())
        return self.cache[0]


@dataclass(frozen=True)
class _PipelineRun:
    """What is the same for all stages of a run."""

    options: ProcessOptions
    ledger: Ledger
    hooks: Hooks
    resources: Resources
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def do(self, stage: stages.PipelineStage, before: _StageState) -> _StageState:
        """Do a stage, or skip it where it was done before."""
        name, files = stage.name, stage.files(self.options)
        key = make_stage_key(name, before.key, stage.parameters(self.options))
        if self.options.resume and self.ledger.is_done(name, key):
            facts = self.ledger.facts(name)
            self.note(name, facts, () if PROBLEM in facts else files, None)
            return _StageState(key, lambda: stage.load(before, self.options))
        # Before the files change: if the run dies now, the stage counts as not done.
        self.ledger.forget(name)
        start = time.perf_counter()
        with self.hooks.around(name):
            done = stage.do(before, self.options, self.resources)
            self.hooks.result(name, done.result)
        # A stage that found nothing to do has no files, and is not done again for that.
        files = () if PROBLEM in done.facts else files
        self.ledger.record(name, key, files, done.facts)
        self.note(name, done.facts, files, time.perf_counter() - start)
        return _StageState(key, lambda: done, [done])

    def note(self, name: str, facts: dict[str, Any], files: Sequence[str], seconds: float | None) -> None:
        """Keep and tell what a stage found.

        Parameters
        ----------
        name : str
            Of the stage.
        facts : dict
            What it found.
        files : sequence of str
            That it wrote.
        seconds : float or None
            That it took; None: it was done before.
        """
        self.facts[name] = {**facts, "seconds": seconds}
        self.files[name] = tuple(files)
        self.hooks.done(name, self.facts[name], seconds)


def _import_images(run: _PipelineRun, inputs: list[str]) -> _StageState:
    """The first stage: its key holds models and images themselves, so that a changed image changes all that follows.

    Words that may stand for other images each time (templates, folders) are looked at anew, as are files that have
    changed; where the same images and models come out, the old file stays.
    """
    options, path = run.options.import_, str(run.options.import_.output.experiments)
    if not inputs and not (options.input.template or options.input.directory):
        raise XdpError("process needs images; xdp process -h shows examples")
    if len(inputs) == 1 and inputs[0].endswith((".expt", ".json")):
        return _begin_run(run, stages.read_import(inputs[0]), inputs[0], None)
    if options.output.experiments is None:
        raise XdpError("import.output.experiments=None: process needs the file for the next stages")
    # Of the words as typed: other words may mean the same images, and are imported anew.
    words = make_stage_key("import", inputs, options.model_dump(mode="json", exclude={"output": {"log"}}))
    # Also where the words are patterns: then the file stays only if the same images come out.
    known = run.options.resume and run.ledger.is_done("import", words)
    if known and stages.are_files(inputs):
        done = stages.read_import(path)
        if stages.list_import_stamps(done.experiments, options) == run.ledger.facts("import")["stamps"]:
            return _begin_run(run, done, path, None)
    start = time.perf_counter()
    with run.hooks.around("import"):
        done = stages.import_stage(inputs, options, keep=path if known else None)
        run.hooks.result("import", done.result)
    run.ledger.record("import", words, [path], {"stamps": stages.list_import_stamps(done.experiments, options)})
    return _begin_run(run, done, path, time.perf_counter() - start)


def _begin_run(run: _PipelineRun, done: StageResult, path: str, seconds: float | None) -> _StageState:
    """The state after import."""
    run.note("import", done.facts, (path,), seconds)
    return _StageState(make_stage_key("images", stages.list_content(done.experiments)), lambda: done, [done])
