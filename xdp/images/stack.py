"""Images as lazy arrays: xarray on Dask, one task for a few whole frames.

The only module here that imports xarray and dask.array, which takes half a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from xdp.errors import XdpError
from xdp.images.masks.static import read_static_mask
from xdp.images.reader import Reader, open_reader

if TYPE_CHECKING:
    from xdp.experiment import Experiment

DIMS = ("frame", "panel", "slow", "fast")
AUTO_CHUNK_BYTES = 128 << 20
"""Bytes of pixels in a chunk where the number of frames is left to us."""


def open_stack(
    experiment: Experiment,
    frames_per_chunk: int | Literal["auto"] = 20,
    spatial: tuple[int, int] | None = None,
) -> xr.DataArray:
    """The images of an experiment as a lazy array.

    Nothing is read but the first image, for its type. A task decodes its frames one by one.

    Parameters
    ----------
    experiment : Experiment
        With images and a detector.
    frames_per_chunk : int or "auto"
        Whole frames a task; "auto" takes what fits into 128 MiB.
    spatial : (int, int), optional
        Cut the frames into pieces of (slow, fast) pixels too. A frame is still decoded once.

    Returns
    -------
    DataArray
        ``counts``, dims (frame, panel, slow, fast). Coordinates along ``frame``: itself the array index from which z
        counts, ``image`` the image number, ``phi`` the angle in degrees at the middle of the exposure (for scans).
        Smaller panels are padded at their ends; :func:`valid_pixels` says where.
    """
    reader = open_reader(experiment)
    shapes = _panel_shapes(experiment)
    dtype = reader.dtype
    chunk = _chunk_length(frames_per_chunk, shapes, dtype)
    array = _lazy(reader, shapes, dtype, chunk)
    if spatial is not None:
        array = array.rechunk((chunk, len(shapes), *(max(1, int(n)) for n in spatial)))
    attributes = {"panel_shapes": tuple(shapes)}
    return xr.DataArray(array, dims=DIMS, name="counts", coords=_coordinates(experiment, reader.n_frames),
                        attrs=attributes)


def valid_pixels(experiment: Experiment) -> xr.DataArray:
    """Pixels that can be used in every frame: ``valid``, bool, dims (panel, slow, fast).

    The mask of the format or of the experiment's mask file, the panels' masked rectangles, and what pads panels of
    unequal size. The trusted range is not in it: it depends on the counts.
    """
    shapes = _panel_shapes(experiment)
    valid = np.zeros(padded_shape(shapes), bool)
    masks = read_static_mask(experiment, open_reader(experiment))
    for i, (slow, fast) in enumerate(shapes):
        valid[i, :slow, :fast] = True if masks is None else masks[i]
    return xr.DataArray(valid, dims=DIMS[1:], name="valid")


def padded_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Shape (panel, slow, fast) that holds panels of these shapes (slow, fast)."""
    return len(shapes), max(s for s, _ in shapes), max(f for _, f in shapes)


def read_padded(reader: Reader, start: int, stop: int, shapes: Sequence[tuple[int, int]],
                dtype: np.dtype) -> np.ndarray:
    """Frames `start` to `stop` of a reader, decoded one by one; shape (frame, panel, slow, fast)."""
    result = np.empty((stop - start, *padded_shape(shapes)), dtype)
    if len(set(shapes)) > 1:
        result[...] = pad_value(dtype)
    for i, frame in enumerate(range(start, stop)):
        for j, panel in enumerate(reader.read(frame)):
            result[i, j, :panel.shape[0], :panel.shape[1]] = panel
    return result


def pad_value(dtype: np.dtype) -> int:
    """What stands where there is no pixel: -1, or 0 where there are no negative numbers."""
    return 0 if np.dtype(dtype).kind == "u" else -1


def _panel_shapes(experiment: Experiment) -> list[tuple[int, int]]:
    if experiment.detector is None:
        raise XdpError("the experiment has no detector, so the shape of its images is not known")
    return list(experiment.detector.panel_shapes)


def _chunk_length(frames: int | str, shapes: Sequence[tuple[int, int]], dtype: np.dtype) -> int:
    if frames == "auto":
        size = int(np.prod(padded_shape(shapes))) * np.dtype(dtype).itemsize
        return max(1, AUTO_CHUNK_BYTES // size)
    if not isinstance(frames, int | np.integer) or frames < 1:
        raise XdpError(f"frames_per_chunk must be at least 1, or 'auto', got {frames!r}")
    return int(frames)


def _lazy(reader: Reader, shapes: Sequence[tuple[int, int]], dtype: np.dtype, chunk: int) -> da.Array:
    """One task a chunk; each carries the names of its own files only."""
    n_frames = reader.n_frames
    name = "frames-" + tokenize(reader.files, reader.indices, reader.params, shapes, chunk)
    graph = {}
    starts = range(0, n_frames, chunk)
    for number, start in enumerate(starts):
        stop = min(start + chunk, n_frames)
        part, first = (reader, start) if len(reader.files) == 1 else (_part(reader, start, stop), 0)
        graph[(name, number, 0, 0, 0)] = (read_padded, part, first, first + stop - start, tuple(shapes), dtype)
    frames = tuple(min(chunk, n_frames - start) for start in starts)
    return da.Array(graph, name, (frames, *((n,) for n in padded_shape(shapes))), dtype)


def _part(reader: Reader, start: int, stop: int) -> Reader:
    """A reader of some frames of single-image files."""
    return Reader(reader.files[start:stop], reader.indices[start:stop], reader.params, reader._shapes)


def _coordinates(experiment: Experiment, n_frames: int) -> dict[str, object]:
    scan = experiment.scan
    if scan is None:
        return {"frame": np.arange(n_frames)}
    frames = scan.array_range[0] + np.arange(n_frames)
    return {"frame": frames, "image": ("frame", frames + 1), "phi": ("frame", np.asarray(scan.angle(frames + 0.5)))}
