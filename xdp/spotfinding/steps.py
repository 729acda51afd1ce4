"""Spot finding step by step on lazy arrays: strong pixels, labels, measurements, for scripts of one's own.

The arrays are xarray's on Dask, dims (frame, panel, slow, fast), in whatever chunks; the numbers are those of
`find_spots`, and do not depend on the chunks. Nothing is computed before it is asked for, except by `measure`, whose
table is small.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from xdp.spotfinding.options import DispersionOptions
from xdp.spotfinding.spots.label import Pixels, label_pixels
from xdp.spotfinding.spots.measure import measure_spots
from xdp.spotfinding.threshold.dispersion import Thresholder

DIMS = ("frame", "panel", "slow", "fast")
"""Axes of a stack, in the order in which `xdp.images.stack.open_stack` has them."""


def strong_pixels(counts: xr.DataArray, valid: Any = None, *, options: DispersionOptions | None = None,
                  algorithm: str = "dispersion_extended",
                  trusted_range: tuple[float, float] | None = None) -> xr.DataArray:
    """Which pixels are strong, by a dispersion threshold.

    Parameters
    ----------
    counts : DataArray (frame, panel, slow, fast)
        Raw counts, as `xdp.images.stack.open_stack` gives them; panels smaller than the array are told by the
        attribute ``panel_shapes``.
    valid : bool array (panel, slow, fast), or with a frame axis before, optional
        Pixels that may be used.
    options : DispersionOptions, optional
    algorithm : ``dispersion`` or ``dispersion_extended``
    trusted_range : (lowest, highest) counts that may be used, both included, optional

    Returns
    -------
    DataArray of bool, lazy, with the coordinates of `counts`.

    Notes
    -----
    Chunks that cut frames get margins as wide as the threshold sees. Counts that are not integers are thresholded in
    whole frames, since sums are then rounded in DIALS' order; so are panels of unequal size.
    """
    options = options or DispersionOptions()
    counts = counts.transpose(*DIMS)
    data = da.asarray(counts.data)
    shapes = counts.attrs.get("panel_shapes") or [data.shape[2:]] * data.shape[1]
    # sums of fractions depend on where they begin: such frames are not cut
    whole = data.dtype.kind not in "iu" or data.dtype.itemsize > 4 or any(tuple(s) != data.shape[2:] for s in shapes)
    data = data.rechunk({1: -1, 2: -1, 3: -1} if whole else {1: -1})
    mask, varies = _broadcast_mask(valid, data)
    # each chunk gets a margin as wide as a decision sees, so that it decides as the whole frame would
    depth = {} if whole else dict(enumerate(_find_reach(options, algorithm), start=2))
    strong = da.map_overlap(
        _threshold_block, data, mask, depth=depth, boundary="none", dtype=bool, meta=np.empty((0,) * 4, bool),
        options=options, algorithm=algorithm, trusted_range=trusted_range, varies=varies,
        shapes=[tuple(s) for s in shapes] if whole else None)
    return counts.copy(data=strong).rename("strong")


def label(strong: xr.DataArray, *, two_d: bool = False) -> xr.DataArray:
    """The number of the spot that each strong pixel belongs to, from 1; 0 elsewhere.

    Parameters
    ----------
    strong : DataArray of bool (frame, panel, slow, fast)
    two_d : bool
        Do not connect pixels of neighbouring frames.

    Returns
    -------
    DataArray of int32, lazy: spots counted in order of their first pixels (frame, panel, slow, fast).

    Notes
    -----
    Each chunk is labelled by itself; one task joins what touches across the chunks' faces and numbers the spots.
    """
    strong = strong.transpose(*DIMS)
    data = da.asarray(strong.data).rechunk({1: -1})
    # labels in a chunk cost a pass over its pixels; what is joined is only pixels on faces, a small table each
    blocks = data.to_delayed()
    origins = [np.concatenate([[0], np.cumsum(c)[:-1]]) for c in data.chunks]
    numbers = list(np.ndindex(blocks.shape))
    starts = [tuple(int(origins[axis][k]) for axis, k in enumerate(n)) for n in numbers]
    local = [dask.delayed(_label_block)(blocks[n], start, two_d) for n, start in zip(numbers, starts, strict=True)]
    names = dask.delayed(_join_blocks, nout=len(local))([dask.delayed(_summarise_block)(part) for part in local], two_d)
    pieces = np.empty(blocks.shape, object)
    for k, n in enumerate(numbers):
        shape = tuple(data.chunks[axis][i] for axis, i in enumerate(n))
        named = dask.delayed(_number_block)(local[k], names[k], starts[k], shape)
        pieces[n] = da.from_delayed(named, shape, np.int32)
    return strong.copy(data=da.block(pieces.tolist())).rename("label")


def measure(labels: xr.DataArray, counts: xr.DataArray, *, min_size: int = 1, max_size: int | None = None) -> Any:
    """Measure labelled spots: computes, and returns a table as `find_spots` does.

    Parameters
    ----------
    labels : DataArray of integers (frame, panel, slow, fast), 0 outside spots
    counts : DataArray (frame, panel, slow, fast)
        Its coordinate ``frame``, where there is one, gives the frame numbers.
    min_size, max_size : spots with fewer or more pixels are left out

    Returns
    -------
    ReflectionTable
        See `xdp.spotfinding.spots.measure.measure_spots`.
    """
    labels, counts = labels.transpose(*DIMS), counts.transpose(*DIMS)
    named = da.asarray(labels.data)
    values = da.asarray(counts.data).rechunk(named.chunks)
    origins = [np.concatenate([[0], np.cumsum(c)[:-1]]) for c in named.chunks]
    parts = [dask.delayed(_gather_block)(block, value, [int(origins[axis][k]) for axis, k in enumerate(n)])
             for n, block, value in zip(np.ndindex(named.numblocks), named.to_delayed().ravel(),
                                        values.to_delayed().ravel(), strict=True)]
    # only labelled pixels leave the chunks
    gathered = dask.compute(*parts)
    at, name, value = (np.concatenate(columns) for columns in zip(*gathered, strict=True))
    order = np.lexsort(at.T[::-1])
    frames = counts["frame"].values if "frame" in counts.coords else np.arange(counts.sizes["frame"])
    at = at[order]
    frame, (panel, slow, fast) = frames[at[:, 0]].astype(np.int32), at[:, 1:].T.astype(np.int32)
    pixels = Pixels(frame, panel, slow, fast, value[order])
    return measure_spots(pixels, name[order] - 1, min_size=min_size, max_size=max_size).table


def _find_reach(options: DispersionOptions, algorithm: str) -> list[int]:
    """How far (slow, fast) a pixel's threshold sees."""
    if algorithm == "dispersion":
        return list(options.kernel_size)
    # the first window, the erosion, then the wider window about what is left
    return [2 * half + min(options.kernel_size) + 1 for half in options.kernel_size]


def _broadcast_mask(valid: Any, data: da.Array) -> tuple[da.Array, bool]:
    """The mask in the shape and chunks of `data`, and whether it varies from frame to frame."""
    if valid is None:
        return da.ones(data.shape, chunks=data.chunks, dtype=bool), False
    if isinstance(valid, xr.DataArray):
        valid = valid.transpose(*DIMS[4 - valid.ndim:]).data
    mask = da.asarray(valid).astype(bool)
    if mask.ndim < 3 or mask.shape != data.shape[4 - mask.ndim:]:
        raise ValueError(f"valid of shape {mask.shape} for counts of shape {data.shape} (frame, panel, slow, fast)")
    varies = mask.ndim == 4
    return da.broadcast_to(mask, data.shape).rechunk(data.chunks), varies


def _threshold_block(counts: np.ndarray, valid: np.ndarray, *, options: Any, algorithm: str, trusted_range: Any,
                     varies: bool, shapes: Sequence[tuple[int, int]] | None) -> np.ndarray:
    """Strong pixels of one chunk."""
    out = np.zeros(counts.shape, bool)
    if counts.size == 0:
        return out
    for panel in range(counts.shape[1]):
        slow, fast = shapes[panel] if shapes is not None else counts.shape[2:]
        finder = Thresholder((slow, fast), None if varies else valid[0, panel, :slow, :fast], options=options,
                             algorithm=algorithm, trusted_range=trusted_range)
        for frame in range(len(counts)):
            image = np.ascontiguousarray(counts[frame, panel, :slow, :fast])
            out[frame, panel, :slow, :fast] = finder.strong_mask(
                image, valid[frame, panel, :slow, :fast] if varies else None)
    return out


def _label_block(strong: np.ndarray, start: tuple[int, ...], two_d: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strong pixels of a chunk (n, 4), their local labels, and which of them lie on a face of the chunk."""
    at = np.argwhere(strong)
    labels = label_pixels(*at.T, two_d=two_d)
    on_face = np.zeros(len(at), bool)
    for axis, size in enumerate(strong.shape):
        if axis != 1:
            on_face |= (at[:, axis] == 0) | (at[:, axis] == size - 1)
    return at + np.array(start), labels, on_face


def _summarise_block(part: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What joining needs of a chunk: first pixels of its components, its pixels on faces, and their labels."""
    at, labels, on_face = part
    first = np.unique(labels, return_index=True)[1]
    return at[first], at[on_face], labels[on_face]


def _join_blocks(parts: list, two_d: bool) -> list[np.ndarray]:
    """For each chunk, the final number of each of its components."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    sizes = [len(first) for first, _, _ in parts]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    first = np.concatenate([first for first, _, _ in parts])
    face = np.concatenate([face for _, face, _ in parts])
    owner = np.concatenate([labels + offset for (_, _, labels), offset in zip(parts, offsets[:-1], strict=True)])
    order = np.lexsort(face.T[::-1])
    # pixels on faces are labelled once more, all together: such a label bridges the components of its pixels
    bridge = label_pixels(*face[order].T, two_d=two_d) + offsets[-1]
    n = int(offsets[-1] + len(face))
    links = coo_array((np.ones(len(face), np.int8), (owner[order], bridge)), shape=(n, n))
    group = connected_components(links, directed=False)[1][:offsets[-1]]
    # numbers follow the first pixel of a spot, wherever the chunks' borders are
    rank = np.empty(len(first), np.int64)
    rank[np.lexsort(first.T[::-1])] = np.arange(len(first))
    earliest = np.full(n, len(first), np.int64)
    np.minimum.at(earliest, group, rank)
    number = np.unique(earliest[group], return_inverse=True)[1] + 1
    return [number[a:b].astype(np.int32) for a, b in itertools.pairwise(offsets)]


def _number_block(part: tuple, names: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The labels of one chunk as an image stack."""
    at, labels, _ = part
    out = np.zeros(shape, np.int32)
    out[tuple((at - np.array(start)).T)] = names[labels]
    return out


def _gather_block(labels: np.ndarray, counts: np.ndarray, start: list[int]) -> tuple:
    """Labelled pixels of one chunk: positions (n, 4), labels, values."""
    at = np.argwhere(labels > 0)
    picked = tuple(at.T)
    return at + np.array(start), labels[picked].astype(np.int64), counts[picked].astype(np.float64)
