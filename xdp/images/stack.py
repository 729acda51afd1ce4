"""Images as lazy arrays: xarray on Dask, one task for a few whole frames.

This is the only module of the room that imports xarray and dask.array, which takes half a second.
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
from xdp.images.padding import compute_padded_shape, pad_masks, read_padded
from xdp.images.reader import Reader, open_reader

if TYPE_CHECKING:
    from xdp.experiment import Experiment

DIMS = ("frame", "panel", "slow", "fast")
# Dask advises chunks of about 100 MB: smaller ones make many tasks, larger ones fill a worker. The value is a choice.
AUTO_CHUNK_BYTES = 128 << 20
"""Bytes of pixels in a chunk where the number of frames is left to us."""


def open_stack(
    experiment: Experiment,
    frames_per_chunk: int | Literal["auto"] = 20,
    spatial: tuple[int, int] | None = None,
) -> xr.DataArray:
    """Open the images of an experiment as a lazy array.

    Only the first image is read, for its type. A task decodes its frames one by one.

    Parameters
    ----------
    experiment : Experiment
        With images and a detector.
    frames_per_chunk : int or "auto"
        Whole frames a task, 20 by default; "auto" takes what fits into 128 MiB.
    spatial : (int, int), optional
        Cut the frames into pieces of (slow, fast) pixels too. A frame is still decoded once.

    Returns
    -------
    DataArray
        ``counts``, dims (frame, panel, slow, fast). Coordinates along ``frame``: itself the array index from which z
        counts, ``image`` the image number, ``phi`` the angle in degrees at the middle of the exposure (for scans).
        Smaller panels are padded at their ends; :func:`valid_pixels` says where.

    Raises
    ------
    XdpError
        If the experiment has no images or no detector, or `frames_per_chunk` is neither "auto" nor at least 1.
    FormatError
        If the first image cannot be read.

    Examples
    --------
    >>> import tempfile, xdp
    >>> from xdp.simulation import make_beam, make_crystal, make_detector, make_goniometer, make_scan
    >>> from xdp.simulation.write import write_minicbf_series
    >>> folder = tempfile.TemporaryDirectory()
    >>> models = make_crystal(), make_beam(), make_detector((100, 80)), make_goniometer(), make_scan(3)
    >>> paths = write_minicbf_series(xdp.simulate_rotation(*models), folder.name)
    >>> counts = xdp.open_stack(xdp.import_images(paths).experiments[0], frames_per_chunk=2)
    >>> dict(counts.sizes), counts.chunks[0]
    ({'frame': 3, 'panel': 1, 'slow': 80, 'fast': 100}, (2, 1))
    """
    reader = open_reader(experiment)
    shapes = _list_panel_shapes(experiment)
    dtype = reader.dtype
    chunk = _choose_chunk_length(frames_per_chunk, shapes, dtype)
    array = _build_array(reader, shapes, dtype, chunk)
    if spatial is not None:
        array = array.rechunk((chunk, len(shapes), *(max(1, int(n)) for n in spatial)))
    attributes = {"panel_shapes": tuple(shapes)}
    return xr.DataArray(array, dims=DIMS, name="counts", coords=_build_coordinates(experiment, reader.n_frames),
                        attrs=attributes)


def valid_pixels(experiment: Experiment) -> xr.DataArray:
    """The pixels that can be used in every frame.

    Masked are what the format or the experiment's mask file says, the panels' rectangles, and what pads panels of
    unequal size. The trusted range is not in it: it depends on the counts.

    Parameters
    ----------
    experiment : Experiment
        With images and a detector.

    Returns
    -------
    DataArray
        ``valid``, bool, dims (panel, slow, fast); in memory.
    """
    shapes = _list_panel_shapes(experiment)
    valid = pad_masks(read_static_mask(experiment, open_reader(experiment)), shapes)
    return xr.DataArray(valid, dims=DIMS[1:], name="valid")


def _list_panel_shapes(experiment: Experiment) -> list[tuple[int, int]]:
    """Shape (slow, fast) of each panel of the experiment's detector, which it must have."""
    if experiment.detector is None:
        raise XdpError("the experiment has no detector, so the shape of its images is not known")
    return list(experiment.detector.panel_shapes)


def _choose_chunk_length(frames: int | str, shapes: Sequence[tuple[int, int]], dtype: np.dtype) -> int:
    """Frames of a chunk, as asked or by the bytes of a frame."""
    if frames == "auto":
        size = int(np.prod(compute_padded_shape(shapes))) * np.dtype(dtype).itemsize
        return max(1, AUTO_CHUNK_BYTES // size)
    if not isinstance(frames, int | np.integer) or frames < 1:
        raise XdpError(f"frames_per_chunk must be at least 1, or 'auto', got {frames!r}")
    return int(frames)


def _build_array(reader: Reader, shapes: Sequence[tuple[int, int]], dtype: np.dtype, chunk: int) -> da.Array:
    """The frames of a reader as a Dask array (frame, panel, slow, fast), one task a chunk."""
    n_frames = reader.n_frames
    name = "frames-" + tokenize(reader.files, reader.indices, reader.params, shapes, chunk)
    # The graph is written by hand, so that a task of single-image files carries the names of its own files, not of all.
    graph = {}
    starts = range(0, n_frames, chunk)
    for number, start in enumerate(starts):
        stop = min(start + chunk, n_frames)
        part, first = (reader, start) if len(reader.files) == 1 else (reader.select(start, stop), 0)
        graph[(name, number, 0, 0, 0)] = (read_padded, part, first, first + stop - start, tuple(shapes), dtype)
    frames = tuple(min(chunk, n_frames - start) for start in starts)
    return da.Array(graph, name, (frames, *((n,) for n in compute_padded_shape(shapes))), dtype)


def _build_coordinates(experiment: Experiment, n_frames: int) -> dict[str, object]:
    """Coordinates along ``frame``: array indices, image numbers and angles in the middle of each exposure."""
    scan = experiment.scan
    if scan is None:
        return {"frame": np.arange(n_frames)}
    # z = 0 is where image 1 begins, also where the scan starts at a later image.
    frames = scan.array_range[0] + np.arange(n_frames)
    return {"frame": frames, "image": ("frame", frames + 1), "phi": ("frame", np.asarray(scan.angle(frames + 0.5)))}
