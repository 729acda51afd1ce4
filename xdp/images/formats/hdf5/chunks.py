"""Chunks of an HDF5 data set, each read straight from the file and decoded here, by as many threads as there are.

libhdf5 lets one thread in at a time. It is asked once where the chunks lie; afterwards it is not needed any more. Data
sets that are stored in a way that is not known here are left to h5py.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5._filters import Pipeline, find_pipeline
from xdp.images.formats.limits import MAX_FRAME_BYTES

# The offset of a chunk that was never written.
_NEVER_WRITTEN = -1
_MAX_CHUNKS = 1 << 24
"""Chunks of a data set that are looked up; with three numbers each these are 400 MB. A file that claims more is damaged
or oddly stored, and left to h5py."""


class ChunkReader:
    """Reads the chunks of one data set; made by :func:`find_chunks`.

    Parameters
    ----------
    file : str
        The file that holds the chunks.
    pipeline : Pipeline
        How a chunk is decoded; its shape is that of the chunks.
    offsets, sizes, skipped : int64 arrays with one entry a chunk, in the shape of the grid of chunks
        Where each lies in the file (-1: never written), its bytes, and which filters were left out for it.
    fill : number
        What chunks hold that were never written.
    """

    def __init__(self, file: str, pipeline: Pipeline, offsets: np.ndarray, sizes: np.ndarray, skipped: np.ndarray,
                 fill: np.ndarray) -> None:
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self.file = file
        self.pipeline = pipeline
        self.chunks = pipeline.shape
        self._offsets, self._sizes, self._skipped, self._fill = offsets, sizes, skipped, fill

    @property
    def n_first(self) -> int:
        """Number of chunks along the first axis."""
        return self._offsets.shape[0]

    def keep_open(self) -> None:
        """Keep the file open from now on, instead of opening it for each chunk; :meth:`close` closes it."""
        with self._lock:
            if self._descriptor is None:
                self._descriptor = _open(self.file)

    def close(self) -> None:
        """Close the file if it is kept open."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def __del__(self) -> None:
        self.close()

    def read(self, place: tuple[int, ...], out: np.ndarray | None = None, *, name: str = "") -> np.ndarray:
        """Read a chunk.

        Parameters
        ----------
        place : tuple of int
            Its place in the grid of chunks.
        out : array, optional
            Where it is decoded to: C-contiguous, of the shape and type of a chunk; by default a new array.
        name : str, optional
            What the chunk is called in messages; by default its place.

        Returns
        -------
        array
            The chunk, whole: chunks at the ends of a data set reach beyond it.

        Raises
        ------
        FormatError
            If the chunk is damaged or truncated, or the file cannot be read.
        """
        name = name or f"chunk {place}"
        offset, size = int(self._offsets[place]), int(self._sizes[place])
        if offset == _NEVER_WRITTEN:
            if out is None:
                return np.full(self.chunks, self._fill, self.pipeline.dtype)
            out[...] = self._fill
            return out
        # A compressor adds little to what it cannot compress: more is a damaged index.
        if not 0 < size <= 2 * MAX_FRAME_BYTES:
            raise FormatError(f"{self.file}: {name} claims {size} bytes")
        chunk = self._read_bytes(offset, size)
        if len(chunk) != size:
            raise FormatError(f"{self.file}: is truncated: {name} should have {size} bytes at {offset}, "
                              f"has {len(chunk)}")
        try:
            return self.pipeline.decode(chunk, int(self._skipped[place]), out)
        except ValueError as error:
            raise FormatError(f"{self.file}: {name} is damaged: {error}") from error

    def _read_bytes(self, offset: int, size: int) -> bytes:
        """Bytes of the file; fewer where it ends. The size is checked first: pread allocates what it is asked for."""
        handle = _open(self.file) if self._descriptor is None else self._descriptor
        try:
            size = max(0, min(size, os.fstat(handle).st_size - offset))
            return os.pread(handle, size, offset)
        except OSError as error:
            raise FormatError(f"{self.file}: cannot be read: {error.strerror or error}") from error
        finally:
            # What was opened for this chunk alone.
            if handle != self._descriptor:
                os.close(handle)


def find_chunks(dataset: h5py.Dataset, wants: Callable[[tuple[int, ...]], bool] = lambda chunks: True
                ) -> ChunkReader | None:
    """Find where the chunks of a data set lie.

    Parameters
    ----------
    dataset : h5py.Dataset
        Open; it may be closed afterwards. One that is stored in one piece counts as chunks of one frame.
    wants : callable, optional
        Says whether chunks of a shape are wanted at all.

    Returns
    -------
    ChunkReader or None
        None where h5py must read: the filters or the type of the pixels are not known here, the data lie in other files
        or behind a user block, nothing was written, or the shape is not wanted.
    """
    if dataset.is_virtual or dataset.file.userblock_size or dataset.external:
        return None
    chunks = dataset.chunks or (1, *dataset.shape[1:])
    n_chunks = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, chunks, strict=True))
    pipeline = find_pipeline(dataset, chunks)
    if pipeline is None or not wants(chunks) or n_chunks > _MAX_CHUNKS:
        return None
    if math.prod(chunks) * dataset.dtype.itemsize > MAX_FRAME_BYTES:
        return None
    # A data set in one piece lies in the file as its frames do, one after the other.
    return _index_one_piece(dataset, pipeline) if dataset.chunks is None else _index_chunks(dataset, pipeline)


def _index_chunks(dataset: h5py.Dataset, pipeline: Pipeline) -> ChunkReader:
    """Ask libhdf5 for the place of each chunk."""
    grid = tuple(-(-size // chunk) for size, chunk in zip(dataset.shape, pipeline.shape, strict=True))
    offsets = np.full(grid, _NEVER_WRITTEN, np.int64)
    sizes, skipped = np.zeros(grid, np.int64), np.zeros(grid, np.int64)

    def note(chunk) -> None:
        place = tuple(start // size for start, size in zip(chunk.chunk_offset, pipeline.shape, strict=True))
        # A data set that was made smaller may have kept chunks beyond its ends.
        if all(i < n for i, n in zip(place, grid, strict=True)):
            offsets[place], sizes[place], skipped[place] = chunk.byte_offset, chunk.size, chunk.filter_mask

    dataset.id.chunk_iter(note)
    return ChunkReader(dataset.file.filename, pipeline, offsets, sizes, skipped,
                       np.asarray(dataset.fillvalue, dataset.dtype))


def _index_one_piece(dataset: h5py.Dataset, pipeline: Pipeline) -> ChunkReader | None:
    """Make chunks of one frame of a data set stored in one piece.

    None where it was never written, or is so small that it lies in an object's header.
    """
    offset = dataset.id.get_offset()
    if offset is None:
        return None
    grid = (dataset.shape[0], *(1 for _ in dataset.shape[1:]))
    size = int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize
    offsets = (offset + np.arange(dataset.shape[0], dtype=np.int64) * size).reshape(grid)
    return ChunkReader(dataset.file.filename, pipeline, offsets, np.full(grid, size), np.zeros(grid, np.int64),
                       np.asarray(0, dataset.dtype))


def _open(file: str) -> int:
    """Open a file for reading; its descriptor."""
    try:
        return os.open(file, os.O_RDONLY)
    except OSError as error:
        raise FormatError(f"{file}: cannot be read: {error.strerror or error}") from error
