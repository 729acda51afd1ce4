"""Integrate stills: each image on its own, several images in a task; results are put together in order.

The steps for one image are in :mod:`xdp.integration.stills.image`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList
from xdp.images.stamps import stamp_images
from xdp.integration.options import IntegrateOptions
from xdp.integration.plan.sweeps import Sweep, find_sweeps
from xdp.integration.results.failures import report_failures
from xdp.integration.shoeboxes.frames import FrameSource, check_excluded_images
from xdp.integration.stills.image import ImageResult, integrate_image
from xdp.logs import silence_loggers
from xdp.prediction.centroids import centroids_to_mm
from xdp.reflections.flags import Flag
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.work.cores import count_parallel_tasks
from xdp.work.keys import make_key
from xdp.work.progress import Progress, no_progress
from xdp.work.retries import is_passing_error
from xdp.work.store import ResultStore
from xdp.work.tasks import run_tasks

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

IMAGES_A_TASK = 8
"""Stills in a task. One takes some ten milliseconds; several make a task longer than what a scheduler needs for it. A
choice."""
LAYOUT = 1
"""Raised whenever the files of results change their layout."""
_FAILURES_LISTED = 10
"""Failed experiments that the log names; the others are counted. A choice."""
_REPEATED_LOGGERS = ("xdp.integration.profiles.model", "xdp.integration.plan.prepare", "xdp.prediction.predict")
"""Loggers of the steps that are repeated for each crystal."""


@dataclass(frozen=True)
class StillsWork:
    """What all tasks share.

    Attributes
    ----------
    sweeps : tuple of Sweep
        One a still.
    reference : ReflectionTable or None
        Indexed spots, sorted by experiment.
    starts : (n_experiments + 1,) int64
        Where each experiment's spots begin in `reference`.
    options : IntegrateOptions
    background : str
        The background algorithm; Auto has been resolved.
    folder : Path or None
        Where results of tasks are kept.
    unused_spots : ReflectionTable or None
        Spots that are not used.
    """

    sweeps: tuple[Sweep, ...]
    reference: ReflectionTable | None
    starts: np.ndarray
    options: IntegrateOptions
    background: str
    folder: Path | None = None
    unused_spots: ReflectionTable | None = None

    def select_spots(self, number: int) -> ReflectionTable | None:
        """Select the spots of one experiment.

        Parameters
        ----------
        number : int
            The experiment.

        Returns
        -------
        ReflectionTable or None
            None where integration was given no spots at all.
        """
        if self.reference is None:
            return None
        return self.reference.select(slice(self.starts[number], self.starts[number + 1]))


@dataclass
class StillsResult:
    """Integrated stills.

    Attributes
    ----------
    experiments : ExperimentList
        Those with reflections, with their profile models (and crystals, where these were refined).
    reflections : ReflectionTable
        Integrated reflections, by experiment, ``id`` counting these; ``shares`` says which have neighbours on them.
    failures : list of (int, str)
        Experiments given up, by the number they had, and why.
    unused_spots : ReflectionTable or None
        Reference spots that could not be used.
    """

    experiments: ExperimentList
    reflections: ReflectionTable
    failures: list[tuple[int, str]] = field(default_factory=list)
    unused_spots: ReflectionTable | None = None


def integrate_stills(experiments: ExperimentList, reference: ReflectionTable | None = None,
                     options: IntegrateOptions | None = None, client: Client | None = None, *,
                     folder: Path | None = None, progress: Progress = no_progress) -> StillsResult:
    """Integrate stills.

    The spots of each crystal give its profile model. Its reflections are predicted and summed over their foreground,
    less the background. An experiment that fails is left out, and the log says why.

    Parameters
    ----------
    experiments : ExperimentList
        With crystals, one image each; several may share an image.
    reference : ReflectionTable, optional
        Their indexed spots; without them, experiments need their profile models.
    options : IntegrateOptions, optional
    client : distributed.Client, optional
        Whose workers run the tasks; by default threads of this process.
    folder : Path, optional
        Where results of tasks are kept, so that an interrupted run goes on where it was.
    progress : callable
        Shows how many images are done.

    Returns
    -------
    StillsResult

    Raises
    ------
    XdpError
        If nothing can be integrated.
    """
    options = options or IntegrateOptions()
    work = _build_work(experiments, reference, options, folder)
    # tasks have the same stills whatever the workers, so that results of an interrupted run fit
    tasks = [(first, min(first + IMAGES_A_TASK, len(work.sweeps)))
             for first in range(0, len(work.sweeps), IMAGES_A_TASK)]
    results = run_tasks(integrate_bag, work, tasks, client=client,
                        n_threads=count_parallel_tasks(options.integration.mp))
    found: list[ImageResult] = []
    with silence_loggers(_REPEATED_LOGGERS), progress(len(work.sweeps), "stills") as advance:
        for (first, last), bag in zip(tasks, results, strict=True):
            found.extend(bag)
            advance(last - first)
    gathered = _gather_results(experiments, found, options, folder)
    if work.unused_spots is not None:
        gathered.unused_spots = _renumber_unused(work.unused_spots, gathered, experiments)
    return gathered


def _build_work(experiments: ExperimentList, reference: ReflectionTable | None, options: IntegrateOptions,
                folder: Path | None) -> StillsWork:
    """Collect what the tasks share, and check that each experiment is one image."""
    from xdp.integration.background.auto import choose_algorithm
    from xdp.integration.plan.matching import select_reference

    sweeps = find_sweeps(experiments)
    # checked for all before any is integrated, not in the middle of a long run
    for sweep in sweeps:
        if sweep.n_frames != 1:
            raise XdpError(f"experiment {sweep.ids[0]} is a still with {sweep.n_frames} images: index each image on "
                           "its own (indexing.joint_indexing=False)")
    check_excluded_images(sweeps, options.exclude_images)
    if options.integration.partiality.enable and options.integration.debug.output:
        raise OptionError("integration.debug.output: with integration.partiality.enable=True shoeboxes are cut several "
                          "times, and none are kept; switch one of the two off")
    starts, unused_spots = np.zeros(len(experiments) + 1, np.int64), None
    if reference is not None:
        reference, unused_spots = select_reference(reference)
        # sorted once here, so that each task takes its experiments' spots as slices
        reference = reference.select(np.argsort(reference["id"], kind="stable"))
        reference.identifiers = {}
        starts = np.searchsorted(reference["id"], np.arange(len(experiments) + 1))
    # many stills share a detector and its corrections
    kinds = {(id(e.detector), e.known.imageset.gain, e.known.imageset.pedestal): e for e in experiments}
    algorithm = choose_algorithm(kinds.values(), _SweepSources(sweeps, options), options.integration.background)
    return StillsWork(tuple(sweeps), reference, starts, options, algorithm, folder, unused_spots)


class _SweepSources(Sequence[FrameSource]):
    """The sources of stills, made when they are asked for: there may be a million."""

    def __init__(self, sweeps: Sequence[Sweep], options: IntegrateOptions) -> None:
        self.sweeps, self.options = sweeps, options

    def __len__(self) -> int:
        return len(self.sweeps)

    def __getitem__(self, i: Any) -> Any:
        integration = self.options.integration
        return FrameSource(self.sweeps[i], lookup=integration.lookup.mask, dynamic=integration.use_dynamic_mask,
                           excluded=self.options.exclude_images or ())


def integrate_bag(work: StillsWork, first: int, last: int) -> list[ImageResult]:
    """Integrate some stills: one task.

    Parameters
    ----------
    work : StillsWork
    first, last : int
        Stills ``work.sweeps[first:last]``.

    Returns
    -------
    list of ImageResult
        One a still. With a work folder they are saved there, and loaded instead where they are there already.
    """
    from xdp.integration.stills.store import pack_bag, unpack_bag

    store, sweeps = ResultStore(work.folder, keeps=False), work.sweeps[first:last]
    # the result goes back to the driver anyway: without a folder it need not be stored
    if work.folder is None:
        return _integrate_images(work, sweeps)
    name = f"stills-{_make_bag_key(work, first, last)}"
    arrays = store.load(name)
    if arrays is not None:
        return unpack_bag(arrays, sweeps)
    bag = _integrate_images(work, sweeps)
    store.save(name, pack_bag(bag))
    return bag


def _integrate_images(work: StillsWork, sweeps: Sequence[Sweep]) -> list[ImageResult]:
    """Integrate stills; those of one file of images share it while it is open. A still that cannot be read fails alone.
    """
    lookup, options = work.options.integration.lookup.mask, work.options
    results, reader = [], None
    for sweep in sweeps:
        source = FrameSource(sweep, lookup=lookup, dynamic=options.integration.use_dynamic_mask,
                             excluded=options.exclude_images or ())
        if reader is not None:
            source.frames.share_file(reader)
        spots = [work.select_spots(number) for number in sweep.ids]
        try:
            results.append(integrate_image(source, spots, options, work.background,
                                           keep_boxes=options.integration.debug.output))
            reader = source.reader
        except XdpError as error:
            if is_passing_error(error):  # a passing error, as of a busy file server: the whole task is tried again
                raise
            results.append(ImageResult((), None, tuple((number, str(error)) for number in sweep.ids)))
    return results


def _make_bag_key(work: StillsWork, first: int, last: int) -> str:
    """Make a key of all that the stills' results depend on: program, parameters, models, spots, image files."""
    from xdp.integration.rotation.keys import stamp_background_files

    options = work.options.model_dump(mode="json", exclude={"output": True, "cluster": True, "integration": {"mp"}})
    parts: list[Any] = []
    for sweep in work.sweeps[first:last]:
        parts.append([stamp_images(sweep.model, work.options.integration.lookup.mask), sweep.ids])
        parts.append([[e.known.crystal, e.profile, e.known.beam, e.known.detector] for e in sweep.experiments])
        for spots in map(work.select_spots, sweep.ids):
            if spots is not None:
                parts.append([spots[name] for name in ("miller_index", "xyzobs.px.value", "panel", "flags")])
                # profile models are made of them; without any, as after a failed run, the result is another one
                parts.append([getattr(spots["shoebox"], name) for name in ("bbox", "offsets", "data", "mask")]
                             if "shoebox" in spots else None)
    return make_key(LAYOUT, options, work.background, stamp_background_files(work.background, work.options), parts)


def _gather_results(experiments: ExperimentList, found: Sequence[ImageResult], options: IntegrateOptions,
                    folder: Path | None) -> StillsResult:
    """Put the results of all stills together, and log what failed."""
    failures = [failure for result in found for failure in result.failures]
    for number, why in failures[:_FAILURES_LISTED]:
        log.warning("Experiment %d was not integrated: %s", number, why)
    if len(failures) > _FAILURES_LISTED:
        log.warning("... and %d more experiments were not integrated", len(failures) - _FAILURES_LISTED)
    tables = [result.table for result in found if result.table is not None]
    if not tables:
        raise XdpError(f"no still could be integrated: {failures[0][1]}")
    table = ReflectionTable.concatenate(tables)
    if options.integration.debug.output:
        from xdp.integration.stills.debug import place_shoeboxes

        boxes = Shoeboxes.concatenate([result.boxes for result in found if result.boxes is not None])
        table = place_shoeboxes(table, boxes, options, folder)
    # several crystals of an image were measured together; the table goes by experiment
    made = dict(pair for result in found for pair in result.experiments)
    table = table.select(np.argsort(table["id"], kind="stable"))
    log.info("Integrated %d of %d experiments", len(made), len(experiments))
    _log_profiles([e.known.profile for e in made.values()])
    return finish_stills(made, table, experiments, options, failures)


def _log_profiles(profiles: Sequence[dict[str, Any]]) -> None:
    """Log the sizes of the profile models over all stills: median and range, or medians along the axes."""
    # one option chose the kind of model for all
    if "sigma_b" in profiles[0]:
        low, middle, high = np.quantile([p["sigma_b"] for p in profiles], [0.0, 0.5, 1.0])
        log.info(" sigma_b %.4f degrees (median), %.4f to %.4f", middle, low, high)
    else:
        sizes = np.sqrt([np.linalg.eigvalsh(p["sigma"]) for p in profiles])
        log.info(" reciprocal lattice points: %.2e, %.2e, %.2e 1/Å along their axes (medians of standard deviations)",
                 *np.median(sizes, axis=0))


def _renumber_unused(unused_spots: ReflectionTable, found: StillsResult,
                     experiments: ExperimentList) -> ReflectionTable | None:
    """Renumber unused spots by the experiments that are returned; spots of others get id -1. None if there are none."""
    new = {e.identifier: i for i, e in enumerate(found.experiments)}
    numbers = np.array([new.get(e.identifier, -1) for e in experiments] + [-1], np.int32)
    unused_spots = unused_spots.with_columns(id=numbers[unused_spots["id"]])
    unused_spots.identifiers = {}
    return unused_spots if len(unused_spots) else None


def finish_stills(made: dict[int, Experiment], table: ReflectionTable, experiments: ExperimentList,
                  options: IntegrateOptions, failures: list[tuple[int, str]]) -> StillsResult:
    """Choose the reflections to return, apply the gain to variances, and renumber the experiments.

    Parameters
    ----------
    made : dict of int to Experiment
        Integrated experiments by their number.
    table : ReflectionTable
        Their reflections, sorted by ``id``, which is that number.
    experiments : ExperimentList
        All experiments that were to be integrated.
    options : IntegrateOptions
        ``output.output_unintegrated_reflections`` and ``integration.summation.detector_gain``.
    failures : list of (int, str)
        Experiments that were given up, and why.

    Returns
    -------
    StillsResult
        Without the experiments that no reflection is left of.

    Raises
    ------
    XdpError
        If no reflection is left.
    """
    good = find_integrated_rows(table)
    report_failures(table, good, options)
    if not options.output.output_unintegrated_reflections:
        log.info("%d of %d reflections could not be integrated and are left out", np.count_nonzero(~good), len(good))
        table = table.select(good)
    # the variances are of counts, but the photons are what was counted: var(c) = gain c
    gain = options.integration.summation.detector_gain
    if gain is not None and gain != 1.0:
        for name in ("intensity.sum.variance", "background.sum.variance"):
            table[name] = table[name] * gain
    numbers = np.unique(table["id"])
    if not len(numbers):
        raise XdpError("no reflection could be integrated on any still: are images and models of the same geometry?")
    kept = ExperimentList([made[int(n)] for n in numbers], experiments.extra)
    _add_millimetres(kept, numbers, table)
    table["id"] = np.searchsorted(numbers, table["id"]).astype(np.int32)
    table.identifiers = {i: e.identifier for i, e in enumerate(kept) if e.identifier}
    return StillsResult(kept, table, failures)


def find_integrated_rows(table: ReflectionTable) -> np.ndarray:
    """Find the reflections to keep, as DIALS chooses: summed, no bad pixel in the foreground, variances above 0.

    Parameters
    ----------
    table : ReflectionTable
        Integrated reflections.

    Returns
    -------
    (n,) bool
    """
    good = table.any_flags(Flag.INTEGRATED) & ~table.flags(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
    return good & (table["intensity.sum.variance"] > 0.0) & (table["background.sum.variance"] > 0.0)


def _add_millimetres(experiments: ExperimentList, numbers: np.ndarray, table: ReflectionTable) -> None:
    """Add the observed centroids in mm to a table whose rows are sorted by experiment."""
    value, variance = np.zeros((len(table), 3)), np.zeros((len(table), 3))
    ends = np.searchsorted(table["id"], numbers, "right")
    for experiment, first, last in zip(experiments, np.concatenate([[0], ends[:-1]]), ends, strict=True):
        rows = slice(first, last)
        value[rows], variance[rows] = centroids_to_mm(
            experiment, table["panel"][rows].astype(np.int64), table["xyzobs.px.value"][rows],
            table["xyzobs.px.variance"][rows])
    table["xyzobs.mm.value"], table["xyzobs.mm.variance"] = value, variance
