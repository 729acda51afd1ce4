"""How long spot finding takes on a few frames, for `xdp plan`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xdp.errors import XdpError
from xdp.experiment import Experiment
from xdp.images.image_ranges import parse_image_ranges
from xdp.spotfinding.find import make_spot_rules, write_views
from xdp.spotfinding.options import FindSpotsOptions
from xdp.spotfinding.run.chunk import ChunkResult, SpotRules, find_in_chunk
from xdp.spotfinding.run.chunks import BASE_MEMORY, PIXEL_MEMORY
from xdp.spotfinding.run.frames import FrameFinder
from xdp.spotfinding.run.seams import Assembler, order_views
from xdp.spotfinding.run.searches import plan_searches
from xdp.work.forecast import Costs
from xdp.work.store import ResultStore

PIECES = 4
"""The sample is taken in so many stretches spread over the series, since crystals and beams change."""
REPEATS = 3
"""The driver's part is timed so often, and the least counts: it is a few milliseconds."""
WORKER_MEMORY = 150 << 20
"""Bytes that Dask's part of a worker takes beside spot finding."""


def measure_costs(experiments: Sequence[Experiment], options: FindSpotsOptions, n_sample: int) -> tuple[Costs, int]:
    """Time spot finding on about `n_sample` frames of the longest series, in one thread.

    Returns
    -------
    costs : Costs
    n_frames : int
        Of all series.

    Raises
    ------
    XdpError
        If there are no frames.
    """
    finder_options = options.spotfinder
    searches = plan_searches(experiments, finder_options.scan_range, finder_options.force_2d,
                             parse_image_ranges(options.exclude_images))
    # one detector and one size of image: the longest series stands for the others
    search = max(searches, key=lambda one: one.n_frames, default=None)
    if search is None or not search.n_frames:
        raise XdpError("there are no frames to plan for")
    finder = FrameFinder(search, finder_options, options.maximum_trusted_value)
    rules = make_spot_rules(experiments, options)
    size = max(1, min(n_sample, search.n_frames) // PIECES)
    chunks = _spread_chunks(search.n_frames, size)
    find_in_chunk(finder, rules, *chunks[0])  # masks are made, kernels loaded, files opened
    seconds, results = [], []
    for first, last in chunks:
        began = time.perf_counter()
        results.append(find_in_chunk(finder, rules, first, last))
        seconds.append((time.perf_counter() - began) / (last - first))
    mean = float(np.mean(seconds))
    driver, task = _measure_driver_costs(finder, rules, chunks, results)
    n_pixels = finder.n_pixels
    memory = PIXEL_MEMORY * n_pixels
    costs = Costs(mean, float(np.std(seconds)) / mean, driver, _count_frame_bytes(finder, search.n_frames),
                  BASE_MEMORY + WORKER_MEMORY + memory, memory, task=task, n_pixels=n_pixels)
    return costs, sum(one.n_frames for one in searches)


def _measure_driver_costs(finder: FrameFinder, rules: SpotRules, chunks: list[tuple[int, int]],
                  results: list[ChunkResult]) -> tuple[float, float]:
    """Seconds of the driver for a frame, and for a task: the first stretch is taken once more, a frame a task."""
    first, last = chunks[0]
    single = [(position, position + 1) for position in range(first, last)]
    few = _time_assembly(finder, rules, chunks, results)
    many = _time_assembly(finder, rules, single, [find_in_chunk(finder, rules, *one) for one in single])
    size = last - first
    if size == 1:
        return few / len(chunks), 0.0
    # few = chunks (task + size frame), many = size (task + frame)
    frame = max(0.0, (few / len(chunks) - many / size) / (size - 1))
    return frame, max(0.0, many / size - frame)


def _time_assembly(finder: FrameFinder, rules: SpotRules, chunks: list[tuple[int, int]],
              results: list[ChunkResult]) -> float:
    """Seconds in which a driver reads the results of tasks, joins and writes them."""
    with tempfile.TemporaryDirectory(prefix="xdp-plan-") as name:
        store = ResultStore(Path(name), keeps=False)
        for i, result in enumerate(results):
            store.save(str(i), result.to_arrays())
        seconds = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            assembler = Assembler(finder, rules, chunks, ResultStore(None), "sample")
            pieces = assembler.assemble(_load_result(store, i) for i in range(len(results)))
            write_views(Path(name) / "sample.refl", list(order_views(pieces, 1, None)), {})
            seconds.append(time.perf_counter() - began)
    return min(seconds)


def _load_result(store: ResultStore, number: int) -> ChunkResult:
    arrays = store.load(str(number))
    if arrays is None:
        raise XdpError(f"{store.path(str(number))}: what was just written there cannot be read")
    return ChunkResult.from_arrays(arrays)


def _spread_chunks(n_frames: int, size: int) -> list[tuple[int, int]]:
    """Stretches of `size` frames, evenly over all, none twice."""
    starts = np.linspace(0, n_frames - size, min(PIECES, n_frames // size)).astype(int)
    return [(first, first + size) for first in starts.tolist()]


def _count_frame_bytes(finder: FrameFinder, n_frames: int) -> float:
    """Bytes of the image files of a series, a frame; of external links only the file that holds them."""
    readers = {id(reader): reader for reader in map(finder.open_reader, range(n_frames))}.values()
    files = {file for reader in readers for file in reader.files}
    # compressed size: it is what the file system must deliver
    return sum(os.path.getsize(file) for file in files) / n_frames
