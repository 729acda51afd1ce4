"""Spot finding as a graph: one task a chunk of frames, then the seams, then the table.

Where there is a work folder, each task leaves its result there under a key of what it depends on, and a task whose
result is there is not run again: an interrupted run goes on where it was. Only strong pixels and spots come back from
tasks, never images.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment, write_experiments
from xdp.files import together
from xdp.images.input_files import protect_images
from xdp.options import AUTO
from xdp.reflections.columns import type_name
from xdp.reflections.refl import ColumnSpec, refl_writer
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.spotfinding.hot_pixels import with_hot_masks
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.run import report
from xdp.spotfinding.run.chunk import SpotRules
from xdp.spotfinding.run.chunks import affordable_threads, cut, frames_per_task
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.run.keys import ChunkKeys
from xdp.spotfinding.run.seams import Assembler, Piece, Totals, View, ordered_views
from xdp.spotfinding.run.searches import Search, plan_searches
from xdp.spotfinding.run.tasks import Task, chunk_results
from xdp.spotfinding.spots.filters import is_uncrowded
from xdp.work.cores import count_threads, memory_limit
from xdp.work.progress import Progress, no_progress
from xdp.work.store import open_work_folder

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


@dataclass
class SearchResult:
    """What one search found: views of its spots in canonical order, and its totals."""

    search: Search
    views: list[View]
    totals: Totals


@dataclass
class Found:
    """What :func:`find_spots_to_file` found.

    Attributes
    ----------
    n_spots : int
    searches : list of Search
        What was searched, in order.
    n_strong, background : list of (n_frames,) arrays
        Strong pixels on each frame, and its mean background (NaN unless asked for); one array a search.
    hot : list of (panel -> (k,) int32)
        Hot pixels of each search, where they were asked for.
    hot_masks : list of str
        The files of their masks.
    experiments : sequence of Experiment
        As they were given; with masks of hot pixels where these were asked for.
    """

    n_spots: int
    searches: list[Search]
    n_strong: list[np.ndarray]
    background: list[np.ndarray]
    hot: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    hot_masks: list[str] = field(default_factory=list)
    experiments: Sequence[Experiment] = ()


@dataclass(frozen=True)
class _Run:
    """How searches are run."""

    options: FindSpotsOptions
    client: Client | None = None
    folder: Path | None = None
    progress: Progress = no_progress


def find_spots(experiments: Sequence[Experiment], options: FindSpotsOptions | None = None,
               client: Client | None = None) -> ReflectionTable:
    """Find the spots on the images of experiments.

    Frames are thresholded, strong pixels joined to spots (in three dimensions for rotation data, in two for stills),
    spots measured and filtered.

    Parameters
    ----------
    experiments : sequence of Experiment
        With images, beam and detector.
    options : FindSpotsOptions, optional
        Its ``output`` is not used, except for ``output.shoeboxes``.
    client : distributed.Client, optional
        Whose workers run the tasks; by default threads of this process, ``spotfinder.mp.nproc`` of them.

    Returns
    -------
    ReflectionTable
        DIALS' columns, rows ordered by (experiment, first strong pixel's frame, panel, slow, fast).

    Raises
    ------
    XdpError
        If images cannot be read, or too many pixels of an image are strong.
    """
    options = options or FindSpotsOptions()
    views = [v for result in _searched(experiments, _Run(options, client)) for v in result.views]
    columns = {name: _joined([v.column(name) for v in views]) for name in views[0].piece.spots().table}
    return ReflectionTable(columns, _identifiers(experiments), sum(v.n_rows for v in views))


def find_spots_to_file(experiments: Sequence[Experiment], options: FindSpotsOptions, client: Client | None = None, *,
                       with_identifiers: bool = True, progress: Progress = no_progress) -> Found:
    """Find spots as :func:`find_spots`, and write them to ``options.output.reflections``.

    With them appear the masks of hot pixels (``write_hot_mask``) and the experiments (``output.experiments``), where
    they are asked for: all or none. Results of chunks are kept in a work folder beside the output until it is written,
    so that memory does not grow with the number of frames and an interrupted run goes on where it was.

    Parameters
    ----------
    with_identifiers : bool
        Write the experiments' identifiers into the table.
    progress : callable
        Shows how far the work has come.
    """
    path = Path(options.output.reflections)
    with protect_images(experiments, options), open_work_folder(path) as folder:
        results = list(_searched(experiments, _Run(options, client, folder, progress)))
        views = [v for result in results for v in result.views]
        hot = [result.totals.hot for result in results if result.totals.hot is not None]
        names = [f"{options.spotfinder.hot_mask_prefix}_{result.search.number}.pickle" for result in results if hot]
        with together():
            n_rows = write_views(path, views, _identifiers(experiments) if with_identifiers else {})
            if hot:
                experiments = with_hot_masks(experiments, [r.search.members for r in results], hot, names)
            if options.output.experiments:
                write_experiments(options.output.experiments, experiments, options.output.compatibility)
        if options.per_image_statistics:
            for result in results:
                report.log_statistics(result.search, result.views)
    return Found(n_rows, [r.search for r in results], [np.concatenate(r.totals.n_strong) for r in results],
                 [np.concatenate(r.totals.background) for r in results], hot, names, experiments)


def _searched(experiments: Sequence[Experiment], run: _Run) -> Iterator[SearchResult]:
    """Run all searches, one after the other."""
    if not len(experiments):
        raise XdpError("there are no experiments to find spots on")
    rules = spot_rules(experiments, run.options)
    options = run.options.spotfinder
    for number, search in enumerate(plan_searches(experiments, options.scan_range, options.force_2d)):
        finder = FrameFinder(search, options, run.options.maximum_trusted_value)
        yield _search(f"piece-{number:03d}", finder, rules, run)


def spot_rules(experiments: Sequence[Experiment], options: FindSpotsOptions) -> SpotRules:
    """How components become spots, with all that is Auto decided."""
    filters = options.spotfinder.filter
    smallest = filters.min_spot_size
    if smallest is AUTO:
        is_counting = experiments[0].detector is not None and experiments[0].detector[0].type == "SENSOR_PAD"
        smallest = 3 if is_counting else 6
        log.info("Setting spotfinder.filter.min_spot_size=%d", smallest)
    smallest = smallest or 1
    if filters.max_spot_size < smallest:
        raise OptionError(f"max_spot_size must be at least min_spot_size={smallest}, got {filters.max_spot_size}")
    gradient = filters.background_gradient
    slope = (gradient.background_size or 0, gradient.gradient_cutoff or 0.0) if gradient.filter else None
    return SpotRules(smallest, filters.max_spot_size, filters.max_separation, slope, options.output.shoeboxes,
                     options.spotfinder.write_hot_mask)


def _search(name: str, finder: FrameFinder, rules: SpotRules, run: _Run) -> SearchResult:
    """Run one search: its chunks, then the seams, then the filters that need all spots."""
    search, mp = finder.search, run.options.spotfinder.mp
    report.log_search(search)
    n_workers = count_threads(mp) if run.client is not None else _affordable(finder, count_threads(mp))
    chunks = cut(search.n_frames, frames_per_task(search.n_frames, n_workers * (mp.njobs or 1), mp, finder.n_pixels))
    tasks = _tasks(finder, rules, chunks, run.folder)
    assembler = Assembler(finder, rules, chunks, run.folder, name)
    with contextlib.closing(chunk_results(tasks, client=run.client, n_threads=n_workers, progress=run.progress,
                                          skip_killed=mp.killed_task == "skip")) as results:
        pieces = assembler.assemble(results)
    report.log_counts(assembler.totals.counts, rules)
    keep = _uncrowded(pieces) if run.options.spotfinder.filter.spot_density.filter else None
    views = list(ordered_views(pieces, len(search.owners), keep))
    report.log_histogram(search, views)
    return SearchResult(search, views, assembler.totals)


def _affordable(finder: FrameFinder, asked: int) -> int:
    """Threads of this process, as many as asked for, or fewer where the container's memory would not do."""
    affordable = affordable_threads(asked, finder.n_pixels, memory_limit())
    if affordable < asked:
        log.warning("%d threads instead of %d: the memory of this container does for no more", affordable, asked)
    return affordable


def _tasks(finder: FrameFinder, rules: SpotRules, chunks: list[tuple[int, int]], folder: Path | None) -> list[Task]:
    if folder is None:
        return [Task(finder, rules, first, last, None) for first, last in chunks]
    keys = ChunkKeys(finder, rules)
    return [Task(finder, rules, first, last, folder / f"chunk-{keys.key(first, last)}.npz") for first, last in chunks]


def _uncrowded(pieces: list[Piece]) -> np.ndarray:
    """Which of all spots lie in no crowded place."""
    keep = is_uncrowded(np.concatenate([piece.column("xyzobs.px.value")[:, :2] for piece in pieces]))
    report.log_filter(int(np.count_nonzero(keep)), len(keep), "spot density")
    return keep


def _identifiers(experiments: Sequence[Experiment]) -> dict[int, str]:
    return {i: e.identifier for i, e in enumerate(experiments) if e.identifier}


def _joined(parts: list) -> Any:
    return Shoeboxes.concatenate(parts) if isinstance(parts[0], Shoeboxes) else np.concatenate(parts)


def write_views(path: Path, views: list[View], identifiers: dict[int, str]) -> int:
    """Stream the rows of all views into a .refl file; how many they are."""
    n_rows = sum(view.n_rows for view in views)
    n_pixels = sum(view.n_pixels() for view in views)
    specs = [ColumnSpec(name, type_name(name, column), n_pixels if name == "shoebox" else 0)
             for name, column in views[0].piece.spots().table.items()]
    with refl_writer(path, specs, n_rows=n_rows, identifiers=identifiers) as writer:
        for name in writer.names:
            for view in views:
                writer.append(name, view.column(name))
    return n_rows
