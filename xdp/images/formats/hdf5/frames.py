"""Frames of an HDF5 data set, one raw read a frame, decoded by as many threads as there are.

A data set whose chunks are single frames is not read through libhdf5, which lets one thread in at a time
(:mod:`xdp.images.formats.hdf5.chunks`). Virtual data sets, and rows of them in several files (``data_000001``,
``data_000002``, ...), are followed to the frames they are made of (:mod:`xdp.images.formats.hdf5.segments`). What is
stored in any other way is read by h5py.
"""

from __future__ import annotations

import bisect
import os
import threading
from collections.abc import Sequence

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.chunks import ChunkReader, find_chunks
from xdp.images.formats.hdf5.files import check_storage, convert_hdf5_errors, open_hdf5
from xdp.images.formats.hdf5.segments import Segment, list_segments
from xdp.images.formats.limits import MAX_FRAME_BYTES

# libhdf5 is not re-entrant; h5py locks each call, this keeps a file's open, read and close together.
_LIBRARY = threading.Lock()
# Data files of a stack that are kept open; others are opened for each frame. A process may have 1024 open files as a
# rule; 64 is a choice.
_MAX_OPEN_FILES = 64


class Frames:
    """The frames of a data set, or of several one after the other, by number from 0.

    Parameters
    ----------
    file : str
        The HDF5 file.
    datasets : sequence of str
        Data sets in it (or linked from it), in order; frames along their first axis; all of one shape and type.

    missing : list of str, optional
        Where it is given, frames of missing data files are left out, and what is missing is added to it.

    Attributes
    ----------
    shape : tuple of int
        Of a frame.
    dtype : dtype
        Of a pixel, in the machine's byte order.

    Raises
    ------
    FormatError
        If a data set cannot be read, or their frames differ in size or type.
    """

    def __init__(self, file: str, datasets: Sequence[str], missing: list[str] | None = None) -> None:
        self.file = file
        self._segments: list[Segment] = []
        shapes, dtypes = [], []
        with open_hdf5(file) as handle, convert_hdf5_errors(file):
            for name in datasets:
                dataset = handle[name]
                shapes.append(_check_frame_shape(dataset, file))
                dtypes.append(dataset.dtype)
                self._segments += list_segments(dataset, missing)
        self.shape, self.dtype = _find_common(shapes, dtypes, file)
        self._starts = np.cumsum([0] + [s.count for s in self._segments])
        self._chunks: dict[tuple[str, str], ChunkReader | None] = {}
        self._lock = threading.Lock()

    @property
    def sources(self) -> frozenset[tuple[str, str]]:
        """Files, without links, and the data sets in them from which the frames come."""
        return frozenset((os.path.realpath(segment.file), segment.dataset) for segment in self._segments)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, frame: int) -> np.ndarray:
        """Read a frame.

        Parameters
        ----------
        frame : int
            From 0.

        Returns
        -------
        array
            A new one, C-contiguous.

        Raises
        ------
        IndexError
            If there is no such frame.
        FormatError
            If the frame's data are damaged or truncated, or its file is missing.
        """
        if not 0 <= frame < len(self):
            raise IndexError(f"{self.file}: frame {frame} of {len(self)}")
        # The segment that begins at or before the frame, and the frame's place in its data set.
        position = bisect.bisect_right(self._starts, frame) - 1
        segment = self._segments[position]
        local = segment.first + (frame - int(self._starts[position])) * segment.stride
        chunks = self._get_chunks(segment)
        pixels = _read_by_h5py(segment, local) if chunks is None else _read_frame(chunks, local)
        if pixels.shape != self.shape:
            raise FormatError(f"{segment.file}: frame {local + 1} has shape {pixels.shape}, wanted {self.shape}")
        return np.ascontiguousarray(pixels, dtype=self.dtype)

    def close(self) -> None:
        """Close the files that are kept open for reading."""
        with self._lock:
            for chunks in self._chunks.values():
                if chunks is not None:
                    chunks.close()
            self._chunks.clear()

    def __del__(self) -> None:
        if hasattr(self, "_chunks"):
            self.close()

    def _get_chunks(self, segment: Segment) -> ChunkReader | None:
        """The reader of the chunks of a segment's data set; None where h5py must read."""
        key = (segment.file, segment.dataset)
        with self._lock:
            if key not in self._chunks:
                chunks = _find_chunks(segment)
                if chunks is not None and len(self._chunks) < _MAX_OPEN_FILES:
                    chunks.keep_open()
                self._chunks[key] = chunks
            return self._chunks[key]


def _check_frame_shape(dataset: h5py.Dataset, file: str) -> tuple[int, ...]:
    """Shape of a frame, if the data set can be a stack of frames."""
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.ndim < 2:
        raise FormatError(f"{file}: {dataset.name} must be a stack of frames (at least three dimensions), or one frame")
    check_storage(dataset)
    if dataset.dtype.kind not in "iuf":
        raise FormatError(f"{file}: {dataset.name} must hold numbers, holds {dataset.dtype}")
    shape = dataset.shape[1:] if dataset.ndim > 2 else dataset.shape
    # In Python's unbounded integers: the file may claim anything.
    size = int(np.prod([int(n) for n in shape], dtype=object)) * dataset.dtype.itemsize
    if not 0 < size <= MAX_FRAME_BYTES:
        raise FormatError(f"{file}: {dataset.name} claims frames of {shape} pixels, {size} bytes each: "
                          f"wanted 1 to {MAX_FRAME_BYTES}")
    return shape


def _find_common(shapes: list, dtypes: list, file: str) -> tuple[tuple[int, ...], np.dtype]:
    """The one shape and type of all data sets."""
    if not shapes:
        raise FormatError(f"{file}: has no stack of frames")
    if len(set(shapes)) > 1:
        raise FormatError(f"{file}: its data sets have frames of different sizes: {sorted(set(shapes))}")
    if len(set(dtypes)) > 1:
        raise FormatError(f"{file}: its data sets have pixels of different types: {sorted(map(str, set(dtypes)))}")
    return shapes[0], dtypes[0].newbyteorder("=")


def _find_chunks(segment: Segment) -> ChunkReader | None:
    """Ask libhdf5 where the chunks of a data set lie; None where they are not single frames that we can decode."""
    with _LIBRARY, open_hdf5(segment.file) as handle, convert_hdf5_errors(segment.file):
        if segment.dataset not in handle:
            raise FormatError(f"{segment.file}: has no data set {segment.dataset}")
        dataset = handle[segment.dataset]
        _check_frame_shape(dataset, segment.file)
        if dataset.ndim < 3:
            return None
        return find_chunks(dataset, lambda chunks: chunks == (1, *dataset.shape[1:]))


def _read_frame(chunks: ChunkReader, frame: int) -> np.ndarray:
    """Read a frame, which is one chunk."""
    if not 0 <= frame < chunks.n_first:
        raise FormatError(f"{chunks.file}: has {chunks.n_first} frames, frame {frame + 1} is wanted")
    return chunks.read((frame, *[0] * (len(chunks.chunks) - 1)), name=f"frame {frame + 1}")[0]


def _read_by_h5py(segment: Segment, frame: int) -> np.ndarray:
    """Read a frame by h5py, with the compressors that it does not have itself."""
    import hdf5plugin  # noqa: F401  registers them

    what = f"frame {frame + 1} is damaged"
    with _LIBRARY, open_hdf5(segment.file) as handle, convert_hdf5_errors(segment.file, what):
        dataset = handle[segment.dataset]
        return dataset[frame] if dataset.ndim > 2 else dataset[()]
