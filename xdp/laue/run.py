"""The graph of a Laue run: tiles of rows for the background, masks for the spots, on threads or a cluster.

First pass: each tile of rows, all frames, gives background statistics and raw mask bits (one bit a pixel and frame).
Second pass: each mask, its frames read once more, gives cleaned and labelled masks and the spots' intensities. Only
bits, maps and tables pass between tasks. An input stored in whole frames is transposed first: through a scratch file
here, which then serves both passes, by a peer-to-peer rechunk on a cluster. A deflated one in tiles goes through such a
file, too, where there is room for it, since inflating is slower than writing and reading.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xdp.files import disk_errors, scratch_file
from xdp.laue.background import Grouping, Trimming
from xdp.laue.masks import Filter, n_words
from xdp.laue.options import LaueSpotsOptions
from xdp.laue.spots import background_maps
from xdp.laue.stack import ImageStack, RowTiles, default_tile_rows, is_tiled, row_tiles
from xdp.laue.tasks import MaskResult, Threshold, mask_task, tile_task, values_task
from xdp.work.cores import count_threads
from xdp.work.progress import Progress, no_progress

_BITS_IN_MEMORY = 1 << 29


class Run:
    """One run: its input, its way of computing, and the two passes; to be closed, since it may have a scratch file."""

    def __init__(self, stack: ImageStack, options: LaueSpotsOptions, how: Trimming | Grouping, client: Any,
                 folder: Path, progress: Progress | None = None) -> None:
        self.progress = progress or no_progress
        self.stack, self.options, self.how, self.client = stack, options, how, client
        self.folder = Path(options.scratch) if options.scratch else folder
        self.threshold = Threshold(options.cutoff, options.exclude_constant)
        self.rows = options.rows if isinstance(options.rows, int) else default_tile_rows(stack)
        self._frames: ImageStack | RowTiles = stack
        self._cleanup = contextlib.ExitStack()

    def close(self) -> None:
        """Remove the scratch file if there is one."""
        self._cleanup.close()

    def compute(self, make: Callable[[int], Any], count: int, at_a_time: int) -> Iterator[Any]:
        """Results of `count` Dask tasks in their order, a few at a time so that they need not all be held."""
        import dask

        if self.client is not None:
            at_a_time = max(at_a_time, 4 * sum(self.client.nthreads().values()))
        for begin in range(0, count, at_a_time):
            batch = [make(i) for i in range(begin, min(begin + at_a_time, count))]
            if self.client is not None:
                yield from self.client.gather(self.client.compute(batch))
            else:
                yield from dask.compute(*batch, scheduler="threads", num_workers=count_threads(self.options.mp))

    def backgrounds(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """First pass: statistics (row, column) and raw mask bits (frame, row, word)."""
        n_frames, n_rows, n_columns = self.stack.shape
        tiles = list(row_tiles(n_rows, self.rows))
        stats: dict[str, np.ndarray] = {}
        bits = self._bit_array((n_frames, n_rows, n_words(n_columns)))
        tasks = self._tile_tasks(tiles)
        with self.progress(len(tiles), "background") as advance:
            results = self.compute(tasks.__getitem__, len(tiles), 2 * count_threads(self.options.mp))
            for (begin, end), (part, tile_bits) in zip(tiles, results, strict=True):
                for name, values in part.items():
                    stats.setdefault(name, np.empty((n_rows, n_columns), values.dtype))[begin:end] = values
                bits[:, begin:end] = tile_bits
                advance(1)
        return stats, bits

    def _tile_tasks(self, tiles: list[tuple[int, int]]) -> list[Any]:
        """The tasks of the first pass."""
        is_whole = not is_tiled(self.stack, self.rows)
        if is_whole and self.client is not None:
            return self._rechunked_tasks()
        if is_whole or self._is_worth_a_copy():
            scratch = self._cleanup.enter_context(scratch_file(self.folder, Path(self.stack.path).name))
            self._frames = self._transposed(scratch)
        return self._tasks_from(self._frames, tiles)

    def _is_worth_a_copy(self) -> bool:
        """Whether a scratch file of the inflated frames pays: tiles read the stack twice, and would inflate it twice.

        Not on a cluster, where tiles are worked on by other machines, which this machine's scratch file would not
        help; and not where the disk has little room left.
        """
        n_bytes = int(np.prod(self.stack.shape)) * self.stack.dtype.itemsize
        return self.client is None and self.stack.is_deflated and shutil.disk_usage(self.folder).free > 4 * n_bytes

    def _bit_array(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Room for the mask bits: in memory, or in an unnamed file where they are many."""
        if 8 * int(np.prod(shape)) <= _BITS_IN_MEMORY:
            return np.empty(shape, np.uint64)
        with scratch_file(self.folder, Path(self.stack.path).name) as path:
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, 8 * int(np.prod(shape)))  # a full disk would kill a mapped write
            return np.memmap(path, np.uint64, "r+", shape=shape)

    def _tasks_from(self, source: ImageStack | RowTiles, tiles: list[tuple[int, int]]) -> list[Any]:
        import dask

        task = dask.delayed(tile_task, pure=False)
        return [task(source, begin, end, self.how, self.threshold, dask_key_name=f"background-{begin}")
                for begin, end in tiles]

    def _transposed(self, scratch: Path) -> RowTiles:
        """Copy the stack into a file of row tiles, each frame read once."""
        import dask

        tiles = RowTiles(str(scratch), self.stack.shape, self.stack.dtype, self.rows)
        with disk_errors(scratch), open(scratch, "r+b") as file:
            def copy(frame: int) -> None:
                tiles.write_frame(file.fileno(), frame, self.stack.frame(frame))

            task = dask.delayed(copy, pure=False)
            n_frames = self.stack.shape[0]
            results = self.compute(lambda i: task(i, dask_key_name=f"transpose-{i}"), n_frames, 64)
            with self.progress(n_frames, "transpose") as advance:
                for _ in results:
                    advance(1)
        return tiles

    def _rechunked_tasks(self) -> list[Any]:
        """Tiles by a peer-to-peer rechunk of the frames, on a cluster."""
        import dask
        import dask.array as da

        n_frames, n_rows, n_columns = self.stack.shape
        frame_size = n_rows * n_columns * self.stack.dtype.itemsize
        step = min(n_frames, max(1, self.stack.chunks[0], (32 << 20) // frame_size))
        read = dask.delayed(_read_frames, pure=False)
        blocks = [da.from_delayed(read(self.stack, begin, min(begin + step, n_frames)),
                                  (min(step, n_frames - begin), n_rows, n_columns), self.stack.dtype)
                  for begin in range(0, n_frames, step)]
        with dask.config.set({"array.rechunk.method": "p2p", "optimization.fuse.active": False}):
            tiles = da.concatenate(blocks).rechunk({0: -1, 1: self.rows, 2: -1}, method="p2p")
            task = dask.delayed(values_task, pure=False)
            return [task(block, self.how, self.threshold) for block in tiles.to_delayed().ravel()]

    def masks(self, masks: list[np.ndarray], bits: np.ndarray, stats: dict[str, np.ndarray],
              gain: float) -> Iterator[MaskResult]:
        """Second pass: the result of each mask, in order."""
        import dask

        options = self.options
        how = Filter(options.erosions, options.dilations, options.structure[1], self.stack.shape[2])
        maps: Any = background_maps(stats, gain)
        if self.client is not None:
            maps = self.client.scatter(maps, broadcast=True)
        task = dask.delayed(mask_task, pure=False)

        def make(mask: int) -> Any:
            frames = masks[mask]
            return task(self._frames, mask, frames, bits[frames], options.sync != "none", how, maps,
                        options.compression, dask_key_name=f"spots-{mask}")

        with self.progress(len(masks), "spots") as advance:
            for result in self.compute(make, len(masks), 2 * count_threads(options.mp)):
                yield result
                advance(1)


def _read_frames(stack: ImageStack, begin: int, end: int) -> np.ndarray:
    """Frames begin ... end as one block."""
    return np.stack([stack.frame(frame) for frame in range(begin, end)])
