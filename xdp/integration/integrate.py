"""Integration from models to table: prediction, blocks of frames, profile fitting, corrections, one file.

Each task saves its result under a key made of everything that the result depends on. With a work folder the results are
files there, and a task whose file exists is not run again: an interrupted run continues. Tasks return no images.

The tasks are in :mod:`xdp.integration.rotation.tasks`; the equation of the profile fit is at the head of
:mod:`xdp.integration.profiles.fit`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.experiment import ExperimentList
from xdp.experiment.image_files import name_sweep
from xdp.images.reader import check_stacks
from xdp.integration.checks import check_inputs, check_output_names
from xdp.integration.measure import Plan, compute_foreground_radius
from xdp.integration.options import IntegrateOptions
from xdp.integration.plan.blocks import find_owners, plan_blocks
from xdp.integration.plan.prepare import Prepared, check_options, prepare
from xdp.integration.plan.selection import are_stills
from xdp.integration.plan.sweeps import check_models, find_sweeps
from xdp.integration.plan.unused_inputs import log_unused_inputs
from xdp.integration.profiles.reference import ProfileGrid, ReferenceProfiles, can_fit
from xdp.integration.results.debug import attach_shoeboxes, write_reference_profiles, write_shoeboxes
from xdp.integration.results.finish import Integrated, finish_integration
from xdp.integration.results.validation import draw_partitions, make_held_out_profiles, make_reports
from xdp.integration.rotation.block_work import BlockWork
from xdp.integration.rotation.keys import make_block_keys, make_division_key
from xdp.integration.rotation.measured_arrays import restore_columns
from xdp.integration.rotation.scatter_estimate import add_scatter
from xdp.integration.rotation.scatter_sample import choose_sample
from xdp.integration.rotation.tasks import (
    examine_sweep,
    extract_block,
    fit_block,
    load_fits,
    load_sums,
    merge_reference_sums,
    process_block,
)
from xdp.integration.shoeboxes.frames import FrameSource, check_excluded_images
from xdp.logs import log_subject
from xdp.options.named import make_options
from xdp.prediction.completion import complete_table
from xdp.reflections.flags import Flag
from xdp.reflections.sound import keep_sound_rows
from xdp.reflections.table import ReflectionTable
from xdp.work.cores import count_driver_threads, count_parallel_tasks
from xdp.work.folder import open_work_folder
from xdp.work.progress import Progress, no_progress
from xdp.work.store import ResultStore
from xdp.work.tasks import run_tasks
from xdp.work.workers import SharedOnWorkers, send_to_workers

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

_BLOCKS_LISTED = 50
"""Blocks that the log lists: about a screen. A choice."""


@dataclass
class _TaskRun:
    """How the tasks are run.

    Attributes
    ----------
    options : IntegrateOptions
    client : distributed.Client or None
        Its workers run the tasks; None: threads of this process.
    folder : Path or None
        Where results of tasks are kept; None: in memory.
    progress : callable
    sent : SharedOnWorkers or None
        What the workers hold already: it is sent with the first pass only.
    """

    options: IntegrateOptions
    client: Client | None = None
    folder: Path | None = None
    progress: Progress = no_progress
    sent: SharedOnWorkers | None = None

    @property
    def n_workers(self) -> int:
        """Tasks at a time."""
        return count_parallel_tasks(self.options.integration.mp)

    def run_each(self, function: Callable, work: BlockWork, label: str) -> None:
        """Run a task for each block, in order, and show progress in frames.

        Parameters
        ----------
        function : callable
            ``function(work, block number)``; it saves its result itself.
        work : BlockWork
            What all tasks share.
        label : str
            What the progress is called.
        """
        tasks = [(i,) for i in range(len(work.blocks))]
        work = replace(work, plan=work.plan.keep_task_columns())
        shared: BlockWork | SharedOnWorkers = work
        if self.client is not None:
            self.sent = self.sent or send_to_workers(work, self.client)
            # the plan is large and the same in all passes: only what earlier passes found is sent again
            shared = self.sent.with_changes(**work.pass_results)
        # the tasks save their results themselves, so that nothing is fetched
        results = run_tasks(function, shared, tasks, client=self.client, n_threads=self.n_workers, fetch=False)
        total = sum(block.last - block.first for block in work.blocks)
        with self.progress(total, label) as advance:
            for block, _ in zip(work.blocks, results, strict=True):
                advance(block.last - block.first)

    def run_here(self, function: Callable, work: BlockWork, numbers: Iterable[int]) -> Iterator[Any]:
        """Give ``function(work, number)`` of each number, run on threads of this process.

        Parameters
        ----------
        function : callable
        work : BlockWork
            What all calls share.
        numbers : iterable of int
            Of blocks.
        """
        return run_tasks(function, work, [(i,) for i in numbers],
                         n_threads=count_driver_threads(self.options.integration.mp))


def integrate(experiments: ExperimentList, reflections: ReflectionTable | None = None,
              options: IntegrateOptions | Mapping[str, Any] | None = None, *, client: Client | None = None,
              progress: Progress | None = None, folder: Path | None = None, **named: Any) -> Integrated:
    """Integrate the reflections of indexed and refined experiments.

    Reflections are predicted and matched with the reference spots, from which the profile model is made. Shoeboxes
    are cut out of the images, their background is modelled, intensities are summed, and profiles fitted.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals and images.
    reflections : ReflectionTable, optional
        The spots that the models were refined against, from which profiles are learned; without them experiments need
        their profile models, and intensities are only summed.
    options : IntegrateOptions or dict, optional
        The parameters of ``xdp integrate``. No file is written.
    client : distributed.Client, optional
        Its workers run the tasks (with `folder`, which they must see); by default threads of this process.
    progress : callable, optional
        Shows how many images are done in each pass.
    folder : Path, optional
        Where results of tasks are kept; None: in memory.
    **named
        Parameters by name, laid over `options`: ``profile={"fitting": False}, nproc=4``.

    Returns
    -------
    Integrated
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If images, models or reference spots do not serve.

    Examples
    --------
    >>> import tempfile, xdp
    >>> from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    >>> from xdp.simulation.write import write_minicbf_series
    >>> folder = tempfile.TemporaryDirectory()
    >>> models = make_crystal(), make_beam(), make_detector((200, 200)), make_goniometer(), make_scan(4)
    >>> images = xdp.import_images(write_minicbf_series(xdp.simulate_rotation(*models), folder.name))
    >>> profile = {"__id__": "gaussian_rs", "n_sigma": 3.0, "sigma_b": 0.04, "sigma_m": 0.1}
    >>> experiments = xdp.ExperimentList([replace(images.experiments[0], crystal=models[0], profile=profile)])
    >>> found = xdp.integrate(experiments, create_profile_model=False)
    >>> bool(found.reflections["intensity.sum.value"].mean() > 0)
    True
    """
    chosen, progress = make_options(IntegrateOptions, options, named), progress or no_progress
    check_options(chosen, experiments)
    check_models(experiments)
    check_stacks(experiments)
    check_inputs(chosen, experiments)
    reflections = None if reflections is None else keep_sound_rows(complete_table(experiments, reflections))
    log_unused_inputs(experiments, reflections, chosen)
    # stills have no scan to be cut into blocks
    if are_stills(experiments, chosen):
        return _integrate_stills(experiments, reflections, chosen, client, folder, progress)
    return _integrate_rotation(prepare(experiments, reflections, chosen), _TaskRun(chosen, client, folder, progress))


def _integrate_rotation(prepared: Prepared, run: _TaskRun) -> Integrated:
    """Integrate sweeps: shoeboxes are cut out of blocks of frames, measured, and fitted with profiles."""
    options = run.options
    work = _build_work(prepared, run)
    run.run_each(extract_block, work, "images")
    # a pixel is hot or dead through the whole scan: that is known only when all frames have been read
    looks = list(run.run_here(examine_sweep, work, range(len(work.plan.sources))))
    work = replace(work, bad=tuple(bad for bad, _ in looks), shapes=tuple(shape for _, shape in looks))
    for bad in work.bad:
        log.info("%s", "\n".join(bad.describe()))
    run.run_each(process_block, work, "background")
    work.store.drop("boxes-")  # the largest results; no later pass needs them
    if work.grids:
        # one profile is learned from the references of all blocks, hence a third pass
        sums = merge_reference_sums(work)

        def finish_grid(_: BlockWork, i: int) -> ReferenceProfiles:
            with log_subject(name_sweep(prepared.experiments, i)):
                return sums[i].finish()

        finished_grids = run.run_here(finish_grid, work, sums)
        work = replace(work, profiles=dict(zip(sums, finished_grids, strict=True)),
                       held_out=make_held_out_profiles(sums))
        work = replace(work, profiles=add_scatter(work, prepared.experiments))
        run.run_each(fit_block, work, "profile fitting")
        write_reference_profiles(work)
    profile_tables = make_reports(work)
    if work.profiles:
        log.info("\n%s", profile_tables.text())
    write_shoeboxes(work)
    table = attach_shoeboxes(work, _collect_columns(prepared, work), prepared.listed)
    found = finish_integration(prepared, table, options)
    return replace(found, report=profile_tables + found.report)


def _integrate_stills(experiments: ExperimentList, reference: ReflectionTable | None, options: IntegrateOptions,
                      client: Client | None, folder: Path | None, progress: Progress) -> Integrated:
    """Integrate stills: image by image, not by blocks of a scan."""
    from xdp.integration.stills.integrate_stills import integrate_stills

    found = integrate_stills(experiments, reference, options, client, folder=folder, progress=progress)
    prepared = Prepared(found.experiments, (), found.reflections, found.unused_spots)
    return finish_integration(prepared, found.reflections, options)


def integrate_to_file(experiments: ExperimentList, reflections: ReflectionTable | None, options: IntegrateOptions, *,
                      client: Client | None = None, progress: Progress = no_progress) -> Integrated:
    """Integrate, and write ``output.reflections`` and ``output.experiments``.

    Results of tasks are kept in a work folder beside the output until it is written: an interrupted run goes on where
    it was.

    Parameters
    ----------
    experiments, reflections
        As :func:`integrate` takes them.
    options : IntegrateOptions
        The parameters of ``xdp integrate``.
    client : distributed.Client, optional
        Its workers run the tasks; by default threads of this process.
    progress : callable
        Shows how many images are done in each pass.

    Returns
    -------
    Integrated

    Raises
    ------
    XdpError
        As :func:`integrate`, or if the output cannot be written; parameters and input files are checked first.
    """
    from xdp.experiment.io import write_experiments
    from xdp.files import together
    from xdp.images.input_files import protect_images
    from xdp.reflections.refl import write_reflections

    path = Path(options.output.reflections)
    # before the work folder is made, and before hours of work that would end in a message
    check_output_names(options.output)
    check_inputs(options, experiments)
    with protect_images(experiments, options), open_work_folder(path) as folder:
        found = integrate(experiments, reflections, options, client=client, folder=folder, progress=progress)
        with together():
            write_reflections(path, found.reflections)
            write_experiments(options.output.experiments, found.experiments, options.output.compatibility)
            if options.output.report is not None:
                found.report.write(options.output.report)
    return found


def _build_work(prepared: Prepared, run: _TaskRun) -> BlockWork:
    """Everything that the tasks share."""
    from xdp.integration.background.auto import choose_algorithm

    options = run.options.integration
    sweeps = find_sweeps(prepared.experiments)
    excluded = check_excluded_images(sweeps, run.options.exclude_images)
    sources = tuple(FrameSource(sweep, lookup=options.lookup.mask, dynamic=options.use_dynamic_mask,
                                excluded=excluded) for sweep in sweeps)
    table = prepared.table
    plan = Plan(sources, prepared.models, table,
                compute_foreground_radius(prepared.models, prepared.experiments, table),
                run.options, choose_algorithm(prepared.experiments, sources, options.background), prepared.chosen)
    block_options = options.block
    # single2d has each frame's reflections to itself; other reflections may lie on many frames
    if options.integrator == "single2d":
        block_options = block_options.model_copy(update={"size": 1.0, "units": "frames"})
    rows = slice(None) if plan.chosen is None else plan.chosen
    blocks = plan_blocks(sweeps, table["id"][rows], table["bbox"][rows], block_options, run.n_workers,
                         options.mp.multiprocessing.n_subset_split or 1)
    _log_blocks(blocks, sweeps)
    # in memory numbers will do: only files of an earlier run can be those of other input
    names = make_block_keys(plan, blocks) if run.folder is not None else [str(i) for i in range(len(blocks))]
    owners = find_owners(blocks, sweeps, table["id"], table["bbox"], plan.chosen)
    return BlockWork(plan, tuple(blocks), owners, tuple(names),
                     ResultStore(run.folder, run.client is None), grids=_make_grids(prepared, run.options),
                     partition=draw_partitions(table, run.options.integration.profile.validation),
                     cut=make_division_key(blocks), sample=choose_sample(table, run.options))


def _make_grids(prepared: Prepared, options: IntegrateOptions) -> dict[int, ProfileGrid]:
    """Make the grids of reference profiles, for each experiment whose profiles are to be fitted."""
    if not options.integration.profile.fitting:
        return {}
    if options.integration.integrator == "flat3d":
        log.warning("Profiles are not fitted: that needs the frames, which integrator=flat3d sums up")
        return {}
    if not prepared.table.any_flags(Flag.REFERENCE_SPOT).any():
        log.warning("Profiles are not fitted: there are no reference spots")
        return {}
    return {i: ProfileGrid.from_model(experiment, model, options.profile.gaussian_rs.fitting)
            for i, (experiment, model) in enumerate(zip(prepared.experiments, prepared.models, strict=True))
            if can_fit(experiment)}


def _log_blocks(blocks: list, sweeps: list) -> None:
    """Log which frames are read together."""
    rows = [f"{i:5d} {b.sweep:6d} {b.first + 1:11d} {b.last:9d}" for i, b in enumerate(blocks)]
    log.info("Images are read in these blocks:\n\n    # Sweep  Frame From  Frame To\n%s",
             "\n".join(rows[:_BLOCKS_LISTED] + ["..."] * (len(rows) > _BLOCKS_LISTED)))


def _collect_columns(prepared: Prepared, work: BlockWork) -> ReflectionTable:
    """Add the columns that the tasks found to the reflections to integrate, in the order of the predictions."""
    n = len(prepared.table)
    flags = prepared.table["flags"].copy()
    found: dict[str, np.ndarray] = {}
    for read in (load_sums, load_fits) if work.profiles else (load_sums,):
        for number in range(len(work.blocks)):
            arrays = read(work, number, ("rows", "column."))
            for name, values in restore_columns(arrays).items():
                if name == "flags":
                    # each pass sets bits of its own, the others overwrite nothing
                    flags[arrays["rows"]] |= values
                    continue
                if name not in found:
                    found[name] = np.zeros((n, *values.shape[1:]), values.dtype)
                found[name][arrays["rows"]] = values
    table = prepared.table.with_columns(**found, flags=flags)
    return table if prepared.listed is None else table.select(prepared.listed)
