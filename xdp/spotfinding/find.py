"""Spot finding as a graph: one task a chunk of frames, then the seams, then the table.

Where the steps are: ``threshold/dispersion.py`` tells which pixels of a panel image are strong (formulas, and their
code in ``threshold/_kernels_formula.py``); ``run/frames.py`` reads a frame, masks it and calls that; ``spots/`` joins
strong pixels to spots, measures and filters them; ``run/chunk.py`` does all this for the frames of a task.

Where there is a work folder, each task leaves its result there under a key of what it depends on, and a task whose
result is there is not run again: an interrupted run goes on where it was. Only strong pixels and spots come back from
tasks, never images.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.display import Displayed
from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, ExperimentList, write_experiments
from xdp.files import together
from xdp.images.image_ranges import parse_image_ranges
from xdp.images.input_files import protect_images
from xdp.options import Auto
from xdp.options.named import make_options
from xdp.reflections.columns import type_name
from xdp.reflections.refl import ColumnSpec, read_reflections, refl_writer
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.report.tables import Report
from xdp.spotfinding.hot_pixels import write_hot_masks
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.run import report
from xdp.spotfinding.run.chunk import SpotRules
from xdp.spotfinding.run.chunks import choose_frames_per_task, count_affordable_threads, split_frames
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.run.keys import ChunkKeys
from xdp.spotfinding.run.seams import Assembler, Piece, Totals, View, order_views
from xdp.spotfinding.run.searches import Search, plan_searches
from xdp.spotfinding.run.tasks import ChunkWork, Task, run_chunks
from xdp.spotfinding.spots.filters import compute_spot_rays, is_uncrowded
from xdp.work.cores import count_threads, memory_limit
from xdp.work.folder import open_work_folder
from xdp.work.progress import Progress, no_progress
from xdp.work.store import ResultStore

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


@dataclass
class SearchSpots:
    """What one search found: views of its spots in canonical order, and its totals."""

    search: Search
    views: list[View]
    totals: Totals


@dataclass(repr=False)
class FoundSpots(Displayed):
    """What :func:`find_spots` found.

    Attributes
    ----------
    experiments : ExperimentList
        As they were given; with masks of hot pixels where these were asked for.
    reflections : ReflectionTable
        The spots: DIALS' columns, rows ordered by (experiment, first strong pixel's frame, panel, slow, fast). Of
        :func:`find_spots_to_file` the table is read from its file when it is first asked for.
    report : Report
        Numbers of spots and strong pixels, and a table of them by image.
    n_spots : int
    searches : list of Search
        What was searched, in order.
    n_by_image, n_strong, background : list of (n_frames,) arrays
        Spots on each frame, its strong pixels, and its mean background (NaN unless asked for); one array a
        search.
    hot : list of (panel -> (k,) int32)
        Hot pixels of each image set, where they were asked for.
    hot_masks : list of str
        The files of their masks.
    """

    experiments: ExperimentList
    n_spots: int
    searches: list[Search]
    n_by_image: list[np.ndarray]
    n_strong: list[np.ndarray]
    background: list[np.ndarray]
    hot: list[tuple[np.ndarray, ...]]
    hot_masks: list[str]
    _load: Callable[[], ReflectionTable]

    @classmethod
    def _collect(cls, experiments: Sequence[Experiment], results: Sequence[SearchSpots],
                 load: Callable[[], ReflectionTable], hot_masks: Sequence[str] = ()) -> FoundSpots:
        """What several searches found; `load` gives the table."""
        n_spots = sum(view.n_rows for result in results for view in result.views)
        return cls(ExperimentList(list(experiments)), n_spots, [r.search for r in results],
                   [report.count_by_image(r.search, r.views) for r in results],
                   [np.concatenate(r.totals.n_strong) for r in results],
                   [np.concatenate(r.totals.background) for r in results],
                   [hot for _, hot in _join_hot_pixels(results).values()], list(hot_masks), load)

    @cached_property
    def reflections(self) -> ReflectionTable:
        """The spots."""
        return self._load()

    @cached_property
    def report(self) -> Report:
        """Spots and strong pixels, overall and by image."""
        table = report.make_image_table(self.searches, self.n_by_image, self.n_strong)
        return Report((table,), facts=dict(self._facts()))

    def _facts(self) -> list[tuple[str, Any]]:
        n_strong = np.concatenate(self.n_strong) if self.n_strong else np.zeros(0, int)
        return [("spots", self.n_spots), ("images", len(n_strong)), ("strong pixels", int(n_strong.sum()))]


@dataclass(frozen=True)
class _SearchSettings:
    """How searches are run."""

    options: FindSpotsOptions
    client: Client | None = None
    folder: Path | None = None
    progress: Progress = no_progress


def find_spots(experiments: Sequence[Experiment], options: FindSpotsOptions | Mapping[str, Any] | None = None, *,
               client: Client | None = None, progress: Progress | None = None, **named: Any) -> FoundSpots:
    """Find the spots on the images of experiments.

    Frames are thresholded, strong pixels joined to spots (in three dimensions for rotation data, in two for stills),
    spots measured and filtered.

    Parameters
    ----------
    experiments : sequence of Experiment
        With images, beam and detector.
    options : FindSpotsOptions or dict, optional
        The parameters of ``xdp find_spots``. Of ``output`` only ``shoeboxes`` is used; no file is written.
    client : distributed.Client, optional
        Its workers run the tasks; by default threads of this process, ``spotfinder.mp.nproc`` of them.
    progress : callable, optional
        Shows how many images are done.
    **named
        Parameters by name, laid over `options`: ``d_min=2.0, threshold={"algorithm": "dispersion"}``.

    Returns
    -------
    FoundSpots
        With ``experiments``, ``reflections`` and ``report``.

    Raises
    ------
    XdpError
        If images cannot be read, or too many pixels of an image are strong.

    Examples
    --------
    >>> import tempfile, xdp
    >>> from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    >>> from xdp.simulation.write import write_minicbf_series
    >>> folder = tempfile.TemporaryDirectory()
    >>> models = make_crystal(), make_beam(), make_detector((200, 200)), make_goniometer(), make_scan(4)
    >>> images = xdp.import_images(write_minicbf_series(xdp.simulate_rotation(*models), folder.name))
    >>> spots = xdp.find_spots(images.experiments, min_spot_size=3)
    >>> len(spots.reflections) == spots.report.facts["spots"] > 10
    True
    """
    run = _SearchSettings(make_options(FindSpotsOptions, options, named), client, progress=progress or no_progress)
    results = list(_run_searches(experiments, run))
    views = [view for result in results for view in result.views]
    # a column at a time: of the pieces only what is joined is in memory twice
    columns = {name: _join([v.column(name) for v in views]) for name in views[0].piece.load_spots().table}
    table = ReflectionTable(columns, _list_identifiers(experiments), sum(view.n_rows for view in views))
    return FoundSpots._collect(experiments, results, lambda: table)


def find_spots_to_file(experiments: Sequence[Experiment], options: FindSpotsOptions, *, client: Client | None = None,
                       with_identifiers: bool = True, progress: Progress = no_progress) -> FoundSpots:
    """Find spots as :func:`find_spots`, and write them to ``options.output.reflections``.

    With them appear the masks of hot pixels (``write_hot_mask``) and the experiments (``output.experiments``), where
    they are asked for: all or none. Results of chunks are kept in a work folder beside the output until it is written,
    so that memory does not grow with the number of frames and an interrupted run goes on where it was.

    Parameters
    ----------
    experiments : sequence of Experiment
        With images, beam and detector.
    options : FindSpotsOptions
        The parameters of ``xdp find_spots``.
    client : distributed.Client, optional
        Its workers run the tasks; by default threads of this process.
    with_identifiers : bool
        Write the experiments' identifiers into the table.
    progress : callable
        Shows how many images are done.

    Returns
    -------
    FoundSpots
        Its table is read from the file when it is asked for.
    """
    path = Path(options.output.reflections)
    # outputs that would replace an image are refused before hours of work, not after
    with protect_images(experiments, options), open_work_folder(path) as folder:
        results = list(_run_searches(experiments, _SearchSettings(options, client, folder, progress)))
        views = [v for result in results for v in result.views]
        hot = _join_hot_pixels(results)
        names = [f"{options.spotfinder.hot_mask_prefix}_{number}.pickle" for number in hot]
        with together():
            write_views(path, views, _list_identifiers(experiments) if with_identifiers else {})
            if hot:
                members, pixels = zip(*hot.values(), strict=True)
                experiments = write_hot_masks(experiments, members, pixels, names)
            if options.output.experiments:
                write_experiments(options.output.experiments, experiments, options.output.compatibility)
        # after the files: whoever stops the run here has them
        if options.per_image_statistics:
            for result in results:
                report.log_statistics(result.search, result.views)
    return FoundSpots._collect(experiments, results, lambda: read_reflections(path), names)


_HotPixels = tuple[tuple[Experiment, ...], tuple[np.ndarray, ...]]
"""Experiments of an image set, and for each panel the flat indices of hot pixels."""


def _join_hot_pixels(results: Sequence[SearchSpots]) -> dict[int, _HotPixels]:
    """By the number of the image set: its experiments, and the pixels that are hot in all searches of it."""
    joined: dict[int, _HotPixels] = {}
    for result in results:
        hot, number = result.totals.hot, result.search.number
        if hot is None:
            continue
        if number in joined:
            hot = tuple(np.intersect1d(a, b, assume_unique=True) for a, b in zip(joined[number][1], hot, strict=True))
        joined[number] = result.search.members, hot
    return joined


def _run_searches(experiments: Sequence[Experiment], run: _SearchSettings) -> Iterator[SearchSpots]:
    """Run all searches, one after the other."""
    if not len(experiments):
        raise XdpError("there are no experiments to find spots on")
    # first of all: sizes that cannot be are refused before an image is opened
    rules = make_spot_rules(experiments, run.options)
    options = run.options.spotfinder
    excluded = parse_image_ranges(run.options.exclude_images)
    for number, search in enumerate(plan_searches(experiments, options.scan_range, options.force_2d, excluded)):
        finder = FrameFinder(search, options, run.options.maximum_trusted_value)
        yield _run_search(f"piece-{number:03d}", finder, rules, run)


def make_spot_rules(experiments: Sequence[Experiment], options: FindSpotsOptions) -> SpotRules:
    """Decide how components become spots: the filters' parameters, with all that is Auto worked out.

    Parameters
    ----------
    experiments : sequence of Experiment
        The first panel of the first decides about an automatic ``min_spot_size``.
    options : FindSpotsOptions

    Returns
    -------
    SpotRules

    Raises
    ------
    OptionError
        If ``max_spot_size`` is below ``min_spot_size``.
    """
    filters = options.spotfinder.filter
    smallest = filters.min_spot_size
    if isinstance(smallest, Auto):
        is_counting = experiments[0].detector is not None and experiments[0].detector[0].type == "SENSOR_PAD"
        smallest = 3 if is_counting else 6
        log.info("Setting spotfinder.filter.min_spot_size=%d", smallest)
    smallest = smallest or 1  # None: spots of one pixel, too
    if filters.max_spot_size < smallest:
        raise OptionError(f"max_spot_size must be at least min_spot_size={smallest}, got {filters.max_spot_size}")
    gradient = filters.background_gradient
    slope = (gradient.background_size or 0, gradient.gradient_cutoff or 0.0) if gradient.filter else None
    return SpotRules(smallest, filters.max_spot_size, filters.max_separation, slope, options.output.shoeboxes,
                     options.spotfinder.write_hot_mask)


def _run_search(name: str, finder: FrameFinder, rules: SpotRules, run: _SearchSettings) -> SearchSpots:
    """Run one search: its chunks, then the seams, then the filters that need all spots."""
    search, mp = finder.search, run.options.spotfinder.mp
    report.log_search(search)
    # threads share the memory of this process; the workers of a client have their own
    n_workers = count_threads(mp) if run.client is not None else _limit_threads(finder, count_threads(mp))
    size = choose_frames_per_task(search.n_frames, n_workers * (mp.njobs or 1), mp, finder.n_pixels)
    chunks = split_frames(search.n_frames, size)
    tasks = _make_tasks(finder, rules, chunks, run.folder)
    # chunks' results are looked at once, when they come; pieces of the table several times
    work = ChunkWork(finder, rules, ResultStore(run.folder, keeps=False))
    assembler = Assembler(finder, rules, chunks, ResultStore(run.folder), name)
    # closed in any case, so that tasks still running are given up where an error ends the search
    with contextlib.closing(run_chunks(work, tasks, client=run.client, n_threads=n_workers, progress=run.progress,
                                          skip_killed=mp.killed_task == "skip")) as results:
        pieces = assembler.assemble(results)
    report.log_counts(assembler.totals.counts, rules)
    report.log_noise(search, assembler.totals.noise, run.options.spotfinder.threshold)
    # crowds are told from what is usual in all frames: this filter alone cannot work chunk by chunk
    keep = _find_uncrowded(search.model, pieces) if run.options.spotfinder.filter.spot_density.filter else None
    views = list(order_views(pieces, len(search.owners), keep))
    report.log_histogram(search, views)
    return SearchSpots(search, views, assembler.totals)


def _limit_threads(finder: FrameFinder, asked: int) -> int:
    """Threads of this process, as many as asked for, or fewer where the container's memory would not do."""
    affordable = count_affordable_threads(asked, finder.n_pixels, memory_limit())
    if affordable < asked:
        log.warning("%d threads instead of %d: the memory of this container does for no more", affordable, asked)
    return affordable


def _make_tasks(finder: FrameFinder, rules: SpotRules, chunks: list[tuple[int, int]],
                folder: Path | None) -> list[Task]:
    if folder is None:
        return [Task(first, last, None) for first, last in chunks]
    keys = ChunkKeys(finder, rules)
    return [Task(first, last, f"chunk-{keys.make_chunk_key(first, last)}") for first, last in chunks]


def _find_uncrowded(model: Experiment, pieces: list[Piece]) -> np.ndarray:
    """Which of all spots lie in no crowded place."""
    rays = [compute_spot_rays(model, piece.column("panel"), piece.column("xyzobs.px.value")[:, :2]) for piece in pieces]
    keep = is_uncrowded(np.concatenate(rays), model.known.beam.unit_s0)
    report.log_filter(int(np.count_nonzero(keep)), len(keep), "spot density")
    return keep


def _list_identifiers(experiments: Sequence[Experiment]) -> dict[int, str]:
    return {i: e.identifier for i, e in enumerate(experiments) if e.identifier}


def _join(parts: list) -> Any:
    return Shoeboxes.concatenate(parts) if isinstance(parts[0], Shoeboxes) else np.concatenate(parts)


def write_views(path: Path, views: list[View], identifiers: dict[int, str]) -> int:
    """Stream the rows of all views into a .refl file, column by column, so that only one column is in memory.

    Parameters
    ----------
    path : Path
        The file to be written.
    views : list of View
        At least one: the first one's columns are those of the file.
    identifiers : dict of int to str
        Identifier of each experiment id.

    Returns
    -------
    int
        Number of rows.
    """
    n_rows = sum(view.n_rows for view in views)
    # a .refl file gives the size of each column before its values
    n_pixels = sum(view.count_pixels() for view in views)
    specs = [ColumnSpec(name, type_name(name, column), n_pixels if name == "shoebox" else 0)
             for name, column in views[0].piece.load_spots().table.items()]
    with refl_writer(path, specs, n_rows=n_rows, identifiers=identifiers) as writer:
        for name in writer.names:
            for view in views:
                writer.append(name, view.column(name))
    return n_rows
