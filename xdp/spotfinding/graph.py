"""Spot finding as a graph: one task a chunk of frames, then the seams, then the table.

Tasks run on threads of this process, or on the workers of a Dask client. Where there is a work folder, each task leaves
its result there under a key of what it depends on, and a task whose result is there is not run again: an interrupted
run goes on where it was. Only strong pixels and spots come back, never images.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xdp.errors import OptionError, XdpError
from xdp.experiment import Experiment
from xdp.options import AUTO
from xdp.reflections.refl import ColumnSpec, refl_writer
from xdp.reflections.columns import type_name
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable
from xdp.spotfinding import report
from xdp.spotfinding.chunks import cut, frames_per_task, n_threads
from xdp.spotfinding.filters import is_uncrowded
from xdp.spotfinding.frames import FrameFinder
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.resume import ChunkKeys
from xdp.spotfinding.seams import Assembler, Totals, View, ordered_views
from xdp.spotfinding.searches import Search, plan_searches
from xdp.spotfinding.task import ChunkResult, SpotRules, find_in_chunk

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
    n_strong : list of (n_frames,) int64
        Strong pixels on each frame, one array a search.
    searches : list of Search
        What was searched, in order.
    hot : list of (panel -> (k,) int32)
        Hot pixels of each search, where they were asked for.
    """

    n_spots: int
    n_strong: list[np.ndarray]
    searches: list[Search]
    hot: list[tuple[np.ndarray, ...]] = field(default_factory=list)


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
    views = [v for result in _searched(experiments, options, client, None) for v in result.views]
    names = views[0].piece.spots().table.keys() if views else ()
    columns = {name: _joined([v.column(name) for v in views]) for name in names}
    return ReflectionTable(columns, _identifiers(experiments), sum(v.n_rows for v in views))


def find_spots_to_file(experiments: Sequence[Experiment], options: FindSpotsOptions,
                       client: Client | None = None, *, with_identifiers: bool = True) -> Found:
    """Find spots as :func:`find_spots`, and write them to ``options.output.reflections``.

    Results of chunks are kept in a work folder beside the output until it is written, so that memory does not grow
    with the number of frames and an interrupted run goes on where it was.

    Parameters
    ----------
    with_identifiers : bool
        Write the experiments' identifiers into the table.
    """
    path = Path(options.output.reflections)
    folder = work_folder(path)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise XdpError(f"{path}: cannot write into {path.parent}: {error.strerror}") from error
    results = list(_searched(experiments, options, client, folder))
    views = [v for result in results for v in result.views]
    n_rows = _write(path, views, _identifiers(experiments) if with_identifiers else {})
    shutil.rmtree(folder, ignore_errors=True)
    return Found(n_rows, [np.concatenate(r.totals.n_strong) for r in results], [r.search for r in results],
                 [r.totals.hot for r in results if r.totals.hot is not None])


def work_folder(path: Path) -> Path:
    """Where the chunk results of an unfinished table lie: a hidden folder beside it."""
    return path.with_name(f".xdp-{path.name}.work")


def _searched(experiments: Sequence[Experiment], options: FindSpotsOptions, client: Client | None,
              folder: Path | None) -> Iterator[SearchResult]:
    """Run all searches, one after the other."""
    if not len(experiments):
        raise XdpError("there are no experiments to find spots on")
    rules = spot_rules(experiments, options)
    finder_options = options.spotfinder
    searches = plan_searches(experiments, finder_options.scan_range, finder_options.force_2d)
    for number, search in enumerate(searches):
        finder = FrameFinder(search, finder_options, options.maximum_trusted_value)
        yield _search(number, finder, rules, options, client, folder)


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


def _search(number: int, finder: FrameFinder, rules: SpotRules, options: FindSpotsOptions, client: Client | None,
            folder: Path | None) -> SearchResult:
    """Run one search: its chunks, then the seams, then the filters that need all spots."""
    search, mp = finder.search, options.spotfinder.mp
    report.log_search(search)
    workers = n_threads(mp) * (mp.njobs or 1)
    chunks = cut(search.n_frames, frames_per_task(search.n_frames, workers, mp))
    paths: list[Path | None] = [None] * len(chunks)
    if folder is not None:
        keys = ChunkKeys(finder, rules)
        paths = [folder / f"chunk-{keys.key(*chunk)}.npz" for chunk in chunks]
    tasks = [(finder, rules, first, last, path) for (first, last), path in zip(chunks, paths, strict=True)]
    done = _run_on_client(tasks, client) if client is not None else _run_on_threads(tasks, n_threads(mp))
    assembler = Assembler(finder, rules, chunks, folder, f"piece-{number:03d}")
    pieces = assembler.assemble(_loaded(tasks, done, search))
    totals = assembler.totals
    report.log_counts(totals.counts, rules)
    keep = None
    if options.spotfinder.filter.spot_density.filter:
        keep = is_uncrowded(np.concatenate([p.column("xyzobs.px.value")[:, :2] for p in pieces]))
        report.log_filter(int(np.count_nonzero(keep)), len(keep), "spot density")
    views = list(ordered_views(pieces, len(search.owners), keep))
    return SearchResult(search, views, totals)


def run_task(finder: FrameFinder, rules: SpotRules, first: int, last: int, path: Path | None) -> ChunkResult | None:
    """One task: the chunk's result, or None where it lies at `path` (whether found there or put there)."""
    if path is None:
        return find_in_chunk(finder, rules, first, last)
    if not path.exists():
        find_in_chunk(finder, rules, first, last).save(path)
    return None


def _run_on_threads(tasks: list[tuple], n_workers: int) -> list:
    """Run tasks on threads of this process, by Dask's threaded scheduler; their results, in order."""
    from dask.threaded import get

    graph = {("threshold", i): (run_task, *task) for i, task in enumerate(tasks)}
    return list(get(graph, list(graph), num_workers=max(1, min(n_workers, len(tasks)))))


def _run_on_client(tasks: list[tuple], client: Client) -> Iterator:
    """Run tasks on a client's workers; their results, in order, as they are asked for."""
    finder, rules, *_ = tasks[0]
    shared = client.scatter(finder, broadcast=True)
    token = os.urandom(8).hex()
    futures = [client.submit(run_task, shared, rules, first, last, None if path is None else path.absolute(),
                             key=f"threshold-{token}-{first}", pure=False)
               for _, _, first, last, path in tasks]
    try:
        for future in futures:
            yield future.result()
            future.release()
    finally:
        client.cancel(futures)


def _loaded(tasks: list[tuple], done: Any, search: Search) -> Iterator[ChunkResult]:
    """The results of tasks in order, those on disk read; a damaged one is made again."""
    for (finder, rules, first, last, path), result in zip(tasks, done, strict=True):
        if result is None:
            result = ChunkResult.load(path)
            if result is None:
                path.unlink(missing_ok=True)
                run_task(finder, rules, first, last, path)
                result = ChunkResult.load(path)
        report.log_frames(search, first, result.n_strong, result.background)
        yield result


def _identifiers(experiments: Sequence[Experiment]) -> dict[int, str]:
    return {i: e.identifier for i, e in enumerate(experiments) if e.identifier}


def _joined(parts: list) -> Any:
    return Shoeboxes.concatenate(parts) if isinstance(parts[0], Shoeboxes) else np.concatenate(parts)


def _write(path: Path, views: list[View], identifiers: dict[int, str]) -> int:
    """Stream the rows of all views into a .refl file; how many they are."""
    n_rows = sum(view.n_rows for view in views)
    table = views[0].piece.spots().table
    n_pixels = sum(view.n_pixels() for view in views)
    specs = [ColumnSpec(name, type_name(name, column), n_pixels if name == "shoebox" else 0)
             for name, column in table.items()]
    with refl_writer(path, specs, n_rows=n_rows, identifiers=identifiers) as writer:
        for name in writer.names:
            for view in views:
                writer.append(name, view.column(name))
    return n_rows


