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
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xdp.files import disk_errors, scratch_file
from xdp.laue.background import Grouping, Trimming
from xdp.laue.masks import Filter, count_words
from xdp.laue.options import LaueSpotsOptions
from xdp.laue.spots import make_background_maps
from xdp.laue.stack import ImageStack, RowTiles, choose_tile_rows, is_tiled, split_rows
from xdp.laue.tasks import MaskResult, MaskWork, Threshold, TileWork, process_mask, process_tile, process_values
from xdp.work.cores import count_threads
from xdp.work.progress import Progress, no_progress
from xdp.work.tasks import run_tasks

_BITS_IN_MEMORY = 1 << 29
"""Bytes of mask bits that are kept in memory: 512 MiB, 1000 frames of 4 million pixels."""


class Run:
    """One run: its input, its way of computing, and the two passes; to be closed, since it may have a scratch file."""

    def __init__(self, stack: ImageStack, options: LaueSpotsOptions, how: Trimming | Grouping, client: Any,
                 folder: Path, progress: Progress | None = None) -> None:
        self.progress = progress or no_progress
        self.stack, self.options, self.how, self.client = stack, options, how, client
        self.folder = Path(options.scratch) if options.scratch else folder
        self.threshold = Threshold(options.cutoff, options.exclude_constant)
        self.rows = options.rows if isinstance(options.rows, int) else choose_tile_rows(stack)
        self._frames: ImageStack | RowTiles = stack
        self._cleanup = contextlib.ExitStack()

    def close(self) -> None:
        """Remove the scratch file if there is one."""
        self._cleanup.close()

    def compute(self, function: Callable, shared: Any, tasks: Sequence[tuple]) -> Generator[Any, None, None]:
        """Give the results of tasks in their order; on a cluster four a thread at a time, so that few need be held.

        Parameters
        ----------
        function : callable
            ``function(shared, *task)``.
        shared : object
            What all tasks take.
        tasks : sequence of tuple
            Their own arguments.
        """
        # results of masks are large, and wait in the driver for their turn to be written
        at_once = None if self.client is None else 4 * max(1, sum(self.client.nthreads().values()))
        return run_tasks(function, shared, tasks, client=self.client, n_threads=count_threads(self.options.mp),
                         at_once=at_once)

    def compute_backgrounds(self) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """First pass: statistics (row, column) and raw mask bits (frame, row, word)."""
        n_frames, n_rows, n_columns = self.stack.shape
        tiles = list(split_rows(n_rows, self.rows))
        stats: dict[str, np.ndarray] = {}
        bits = self._bit_array((n_frames, n_rows, count_words(n_columns)))
        results = self._tile_results(tiles)
        with contextlib.closing(results), self.progress(len(tiles), "background") as advance:
            for (begin, end), (part, tile_bits) in zip(tiles, results, strict=True):
                # which maps there are depends on the method: the first tile tells
                for name, values in part.items():
                    stats.setdefault(name, np.empty((n_rows, n_columns), values.dtype))[begin:end] = values
                bits[:, begin:end] = tile_bits
                advance(1)
        return stats, bits

    def _tile_results(self, tiles: list[tuple[int, int]]) -> Generator[Any, None, None]:
        """What the tasks of the first pass give, tile by tile."""
        is_whole = not is_tiled(self.stack, self.rows)
        if is_whole and self.client is not None:
            # all at once: what is asked for later would have the frames read and exchanged again
            return run_tasks(process_values, TileWork(self.how, self.threshold), self._rechunk(), client=self.client)
        if is_whole or self._is_worth_a_copy():
            scratch = self._cleanup.enter_context(scratch_file(self.folder, Path(self.stack.path).name))
            self._frames = self._transpose(scratch)
        return self.compute(process_tile, TileWork(self.how, self.threshold, self._frames), tiles)

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

    def _transpose(self, scratch: Path) -> RowTiles:
        """Copy the stack into a file of row tiles, each frame read once."""
        tiles = RowTiles(str(scratch), self.stack.shape, self.stack.dtype, self.rows)
        with disk_errors(scratch), open(scratch, "r+b") as file:
            def copy(stack: ImageStack, frame: int) -> None:
                tiles.write_frame(file.fileno(), frame, stack.read_frame(frame))

            n_frames = self.stack.shape[0]
            results = self.compute(copy, self.stack, [(i,) for i in range(n_frames)])
            with contextlib.closing(results), self.progress(n_frames, "transpose") as advance:
                for _ in results:
                    advance(1)
        return tiles

    def _rechunk(self) -> list[tuple[Any]]:
        """The values of each tile, by a peer-to-peer rechunk of the frames on a cluster; delayed."""
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
            return [(block,) for block in tiles.to_delayed().ravel()]

    def process_masks(self, masks: list[np.ndarray], bits: np.ndarray, stats: dict[str, np.ndarray],
              gain: float) -> Iterator[MaskResult]:
        """Second pass: clean and label the masks, and integrate their spots.

        Parameters
        ----------
        masks : list of ndarray of int
            The frames of each mask.
        bits : (n_frames, n_rows, n_words) uint64
            Raw masks.
        stats : dict of ndarray
            The background of each pixel.
        gain : float
            Counts per photon.

        Yields
        ------
        MaskResult
            Of each mask, in order.
        """
        options = self.options
        how = Filter(options.erosions, options.dilations, options.structure[1], self.stack.shape[2])
        maps = make_background_maps(stats, gain)
        work = MaskWork(self._frames, options.sync != "none", how, maps, options.compression)
        results = self.compute(process_mask, work, _MaskTasks(masks, bits))
        with contextlib.closing(results), self.progress(len(masks), "spots") as advance:
            for result in results:
                yield result
                advance(1)


class _MaskTasks(Sequence):
    """Arguments of :func:`process_mask`, made when they are asked for: each has the mask bits of its frames."""

    def __init__(self, masks: list[np.ndarray], bits: np.ndarray) -> None:
        self._masks, self._bits = masks, bits

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            return [self[i] for i in range(*which.indices(len(self)))]
        frames = self._masks[which]
        return which, frames, self._bits[frames]


def _read_frames(stack: ImageStack, begin: int, end: int) -> np.ndarray:
    """Frames begin ... end as one block."""
    return np.stack([stack.read_frame(frame) for frame in range(begin, end)])
