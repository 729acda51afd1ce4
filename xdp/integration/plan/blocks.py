"""How frames are cut into blocks, and which block owns a reflection.

A block's frames are decoded in one task. A reflection belongs to the block in which its box ends; those before it pass
on the parts that they hold. Results do not depend on the blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from xdp.errors import XdpError
from xdp.integration.options import BlockOptions
from xdp.integration.plan.sweeps import Sweep
from xdp.integration.shoeboxes.extract import compute_areas
from xdp.options import AUTO
from xdp.work.cores import free_memory

PIXEL_BYTES = 24
"""Bytes that a pixel of a shoebox takes while a block is worked on: counts (4), mask (1) and background (4), and copies
of them. An upper estimate, rounded up: what it is compared with is a limit."""
COMFORTABLE = 96 << 20
"""Bytes of shoeboxes beyond which an automatic block does not grow, even where there is more memory. A choice:
4 million pixels, so that several blocks in work at a time take well below a gigabyte."""


class Block(NamedTuple):
    """Frames `first` to `last` - 1 of a sweep (its number), and which of the subsets of its reflections."""

    sweep: int
    first: int
    last: int
    subset: int = 0


def plan_blocks(sweeps: Sequence[Sweep], ids: np.ndarray, bbox: np.ndarray, options: BlockOptions, n_workers: int,
                n_subsets: int = 1) -> list[Block]:
    """The blocks of all sweeps, in order.

    Parameters
    ----------
    sweeps : sequence of Sweep
    ids, bbox : (n,), (n, 6)
        Experiment and box of each reflection, sorted by experiment.
    options : BlockOptions
    n_workers : int
        How many tasks run at a time.
    n_subsets : int
        Each block is worked on so many times, with every `n_subsets`-th reflection; images are read as often.

    Raises
    ------
    XdpError
        If not even the boxes of the shortest block fit into the memory that may be used.
    """
    allowed = free_memory() * (options.max_memory_usage or 1.0) / n_workers
    blocks: list[Block] = []
    for sweep in sweeps:
        boxes = bbox[sweep.rows(ids)]
        load = count_pixels_by_frame(boxes, sweep) * (PIXEL_BYTES / n_subsets)
        size = _find_given_size(sweep, options)
        if size is None:
            size = _find_automatic_size(sweep, boxes, load, options, n_workers, allowed)
        if load.max(initial=0) > allowed:
            raise XdpError(f"the shoeboxes of one image need {load.max() / 2**30:.1f} GiB, {allowed / 2**30:.1f} GiB "
                           "may be used: raise integration.block.max_memory_usage, use fewer processes, or lower "
                           "prediction.d_min, sigma_b or sigma_m")
        blocks += [block._replace(subset=subset) for subset in range(n_subsets)
                   for block in _cut_sweep(sweep, load, size, allowed)]
    return blocks


def count_pixels_by_frame(bbox: np.ndarray, sweep: Sweep) -> np.ndarray:
    """Count the pixels of boxes on each frame of a sweep.

    Parameters
    ----------
    bbox : (n, 6) int
        Boxes; what lies beyond the sweep's frames is counted on its first or last.
    sweep : Sweep

    Returns
    -------
    (n_frames,) int64
    """
    # Each box adds its area where it begins and takes it off where it ends: the running sum is what lies on a frame.
    change = np.zeros(sweep.n_frames + 1, np.int64)
    size = compute_areas(bbox)
    np.add.at(change, np.clip(bbox[:, 4] - sweep.first, 0, sweep.n_frames), size)
    np.add.at(change, np.clip(bbox[:, 5] - sweep.first, 0, sweep.n_frames), -size)
    return np.cumsum(change)[:-1]


def find_owners(blocks: Sequence[Block], sweeps: Sequence[Sweep], ids: np.ndarray, bbox: np.ndarray,
           chosen: np.ndarray | None = None) -> np.ndarray:
    """The number of the block that owns each reflection: the one in which its box ends.

    Parameters
    ----------
    blocks : sequence of Block
        Of :func:`plan_blocks`, in order.
    sweeps : sequence of Sweep
    ids, bbox : (n,), (n, 6)
        Experiment and box of each reflection, sorted by experiment.
    chosen : (n,) bool, optional
        Which reflections are integrated; by default all.

    Returns
    -------
    (n,) int64
        -1 for those that are not chosen.
    """
    owner = np.full(len(ids), -1, np.int64)
    n_subsets = max((block.subset for block in blocks), default=0) + 1
    for sweep, subset in itertools.product(sweeps, range(n_subsets)):
        numbers = [i for i, block in enumerate(blocks) if block.sweep == sweep.number and block.subset == subset]
        ends = np.array([blocks[i].last for i in numbers])
        rows = sweep.rows(ids)
        rows = rows[rows % n_subsets == subset]
        # Padding is predicted beyond the last frame: such boxes belong to the last block.
        owner[rows] = np.array(numbers)[np.minimum(np.searchsorted(ends, bbox[rows, 5]), len(ends) - 1)]
    if chosen is not None:
        owner[~chosen] = -1
    return owner


def _find_given_size(sweep: Sweep, options: BlockOptions) -> int | None:
    """Frames of a block where the size is given; None where it is Auto."""
    if options.size is AUTO:
        return None
    if options.size is None:
        return sweep.n_frames
    width = 1.0
    if options.units != "frames":
        width = abs(sweep.model.scan.oscillation[1]) if sweep.model.scan is not None else 0.0
        width = math.radians(width) if options.units == "radians" else width
    return max(1, math.ceil(float(options.size) / width)) if width else 1  # type: ignore[arg-type]


def _find_automatic_size(sweep: Sweep, bbox: np.ndarray, load: np.ndarray, options: BlockOptions, n_workers: int,
                         allowed: float) -> int:
    """Frames of a block: for as many as there are workers, twice as deep as most boxes at least.

    A single worker's blocks are as long as their boxes fit comfortably into memory, unless `force` is set.
    """
    depth = _find_usual_depth(bbox, options)
    # More blocks than workers would read the frames between them more often, and gain nothing.
    if n_workers == 1 and not options.force:
        size = sweep.n_frames
    else:
        size = math.ceil((sweep.n_frames - depth) / n_workers + depth)
    comfortable = max(1, int(min(COMFORTABLE, allowed) / max(load.mean(), 1.0))) if len(load) else 1
    return max(1, min(max(size, 2 * depth), max(comfortable, 2 * depth), sweep.n_frames))


def _find_usual_depth(bbox: np.ndarray, options: BlockOptions) -> int:
    """Frames that the share `threshold` of the boxes do not exceed."""
    depths = np.sort(bbox[:, 5] - bbox[:, 4])
    if not len(depths):
        return 1
    return int(depths[min(int((options.threshold or 0.0) * len(depths)), len(depths) - 1)])


def _cut_sweep(sweep: Sweep, load: np.ndarray, size: int, allowed: float) -> list[Block]:
    """Blocks of at most `size` frames, shorter where memory would not do; of much the same length."""
    # Edges are spread evenly: 101 frames in blocks of at most 100 are 50 and 51, not 100 and 1.
    n_blocks = math.ceil(sweep.n_frames / size)
    edges = [sweep.first + (sweep.n_frames * i) // n_blocks for i in range(n_blocks + 1)]
    blocks: list[Block] = []
    # A block closes before the frame that would take it over the limit; a single frame is never divided.
    for first, last in itertools.pairwise(edges):
        start, held = first, 0.0
        for z in range(first, last):
            held += load[z - sweep.first]
            if held > allowed and z > start:
                blocks.append(Block(sweep.number, start, z))
                start, held = z, load[z - sweep.first]
        blocks.append(Block(sweep.number, start, last))
    return blocks
