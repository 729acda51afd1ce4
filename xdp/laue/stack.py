"""Images of a scan in one HDF5 file, read frame by frame or as all frames of a few rows.

Chunks are read and decoded outside HDF5's lock, so that threads scale (:mod:`xdp.images.formats.hdf5.chunks`). A stack
stored in whole frames is copied once into a scratch file of row tiles, since else each tile would inflate every frame;
frames are then read from there, too.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.files import check_input
from xdp.images.formats.hdf5.chunks import find_chunks
from xdp.images.formats.hdf5.files import check_storage, convert_hdf5_errors, get_child, open_hdf5
from xdp.laue.design import Design


class ImageStack:
    """The images of a ``__mccd.h5`` file; safe to use from many threads, and opened anew where it is unpickled.

    Attributes
    ----------
    path : str
        The file.
    shape : tuple of int
        Frames, rows (X of the reference's notation) and columns (Y).
    dtype : numpy.dtype
        Of the counts.
    chunks : tuple of int
        Frames, rows and columns stored together.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        import hdf5plugin  # noqa: F401  registers the filters of LZ4, bitshuffle and Zstandard

        try:
            check_input(self.path)
            # Locks may fail on network file systems; all that read the file must agree on them.
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise FormatError(f"{self.path}: not a readable HDF5 file ({error})") from error
        with convert_hdf5_errors(self.path):
            self._data = _image_dataset(self._file, self.path)
            n_frames, n_rows, n_columns = map(int, self._data.shape)
            self.shape, self.dtype = (n_frames, n_rows, n_columns), self._data.dtype
            self.chunks = self._data.chunks or (1, 1, self.shape[2])
            # what is stored in one piece is read by rows as well as by frames, and h5py does that
            is_chunked = self._data.chunks is not None and self.dtype.isnative
            self._reader = find_chunks(self._data) if is_chunked else None
        if self._reader is not None:
            self._reader.keep_open()

    @property
    def is_deflated(self) -> bool:
        """Whether the images are deflated and inflated here, which is the slowest part of reading them."""
        return self._reader is not None and self._reader.pipeline.is_deflated

    def __reduce__(self) -> tuple:
        return ImageStack, (os.path.abspath(self.path),)  # a worker has a folder of its own

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._reader is not None:
            self._reader.close()

    def read_frame(self, index: int) -> np.ndarray:
        """One frame, (rows, columns)."""
        return self._block(slice(index, index + 1), slice(0, self.shape[1]))[0]

    def read_rows(self, begin: int, end: int) -> np.ndarray:
        """All frames of the rows begin ... end, (frames, end - begin, columns)."""
        return self._block(slice(0, self.shape[0]), slice(begin, end))

    def _block(self, frames: slice, rows: slice) -> np.ndarray:
        """Frames and rows, all columns, chunk by chunk."""
        if self._reader is None:
            return self._read((frames, rows, slice(None)))
        out = np.empty((frames.stop - frames.start, rows.stop - rows.start, self.shape[2]), self.dtype)
        limits = ((frames.start, frames.stop), (rows.start, rows.stop), (0, self.shape[2]))
        # all chunks that the block touches
        places = [range(low // size, -(-high // size)) for (low, high), size in zip(limits, self.chunks, strict=True)]
        for place in itertools.product(*places):
            corner = [i * size for i, size in zip(place, self.chunks, strict=True)]
            low = [max(c, limit[0]) for c, limit in zip(corner, limits, strict=True)]
            high = [min(c + size, limit[1]) for c, size, limit in zip(corner, self.chunks, limits, strict=True)]
            part = out[tuple(slice(a - limit[0], b - limit[0]) for a, b, limit in zip(low, high, limits, strict=True))]
            # a whole chunk is inflated where it belongs, without a copy
            if part.shape == self.chunks and part.flags.c_contiguous:
                self._reader.read(place, part)
            else:
                chunk = self._reader.read(place)
                part[...] = chunk[tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))]
        return out

    def _read(self, where: tuple[slice, ...]) -> np.ndarray:
        try:
            with self._lock:
                return self._data[where]
        except (OSError, RuntimeError, ValueError) as error:  # h5py's words for chunks that cannot be decoded
            raise FormatError(f"{self.path}: cannot read frames {where[0].start} to {where[0].stop - 1} "
                              f"({error})") from error


def _image_dataset(file: h5py.File, path: str) -> h5py.Dataset:
    """The dataset ``images``, or the only three-dimensional dataset of the file."""
    found = [file["images"]] if "images" in file else []
    if not found:
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) and item.ndim == 3
                        else None)
    if len(found) != 1 or not isinstance(found[0], h5py.Dataset) or found[0].ndim != 3:
        raise FormatError(f"{path}: no dataset 'images' (frame, X, Y), and {len(found)} others that could be it; "
                          "xdp laue_import makes such a file")
    data = found[0]
    check_storage(data)
    if data.dtype.kind not in "iuf" or data.dtype.itemsize > 8 or 0 in data.shape:
        raise FormatError(f"{path}: {data.name} must hold numbers in at least one frame, is {data.dtype} {data.shape}")
    return data


def read_design(path: str | os.PathLike, n_frames: int) -> Design:
    """The group ``lauecollect`` of a file: ``angle`` (degrees), and ``laser``, ``delay`` (s), ``repeat`` if there.

    Raises
    ------
    FormatError
        If ``lauecollect/angle`` is missing, or a dataset has not one number a frame.
    """
    name = os.fspath(path)
    with open_hdf5(name) as file, convert_hdf5_errors(name):
        group = get_child(file, "lauecollect")
        if not isinstance(group, h5py.Group) or "angle" not in group:
            raise FormatError(f"{path}: no dataset lauecollect/angle: which frames belong together is not known; "
                              "xdp laue_import writes it from the Lauecollect log or a table")
        columns = {column: _read_column(group, column, n_frames, name)
                   for column in ("angle", "laser", "delay", "repeat") if column in group}
    if "laser" not in columns and "delay" in columns:
        columns["laser"] = np.isfinite(columns["delay"])
    return Design(columns["angle"].astype(np.float64),
                  columns["laser"].astype(bool) if "laser" in columns else None,
                  columns.get("delay"), columns.get("repeat"))


def _read_column(group: h5py.Group, column: str, n_frames: int, path: str) -> np.ndarray:
    """One of the datasets of ``lauecollect``: a number for each frame."""
    item = group[column]
    if not isinstance(item, h5py.Dataset):
        raise FormatError(f"{path}: lauecollect/{column} must be a dataset with a number for each frame; it is a group")
    check_storage(item)
    if item.dtype.kind not in "iufb" or item.shape is None:
        raise FormatError(f"{path}: lauecollect/{column} must hold a number for each frame; it holds {item.dtype}")
    values = np.atleast_1d(item[()])
    if values.shape != (n_frames,):
        raise FormatError(f"{path}: lauecollect/{column} has shape {values.shape}, but there are {n_frames} frames")
    return values


@dataclass(frozen=True)
class RowTiles:
    """Row tiles in a scratch file: for each tile all frames of its rows, one after another."""

    path: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    tile_rows: int

    def read_rows(self, begin: int, end: int) -> np.ndarray:
        """All frames of one tile, whose limits begin and end must be; mapped (changes would not reach the file)."""
        shape = (self.shape[0], end - begin, self.shape[2])
        return np.asarray(np.memmap(self.path, self.dtype, "c", self._offset(begin), shape))

    def read_frame(self, index: int) -> np.ndarray:
        """One frame, (rows, columns), from all tiles."""
        out = np.empty(self.shape[1:], self.dtype)
        with open(self.path, "rb") as file:
            for begin, end in split_rows(self.shape[1], self.tile_rows):
                piece = out[begin:end].reshape(-1).view(np.uint8)
                file.seek(self._offset(begin) + index * piece.size)
                file.readinto(piece.data)
        return out

    def write_frame(self, descriptor: int, index: int, frame: np.ndarray) -> None:
        """Put one frame's rows into the tiles of an open file.

        Parameters
        ----------
        descriptor : int
            Of the file.
        index : int
            The frame's place in the stack.
        frame : (row, column) array
            Its counts, of the stack's type.
        """
        for begin, end in split_rows(self.shape[1], self.tile_rows):
            piece = np.ascontiguousarray(frame[begin:end]).reshape(-1).view(np.uint8)
            offset, view = self._offset(begin) + index * piece.size, piece.data
            while view:
                # pwrite may write less than asked for; positions are given, so that threads share the file
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written

    def _offset(self, begin: int) -> int:
        """Where in the file the tile begins whose first row is `begin`."""
        return self.shape[0] * begin * self.shape[2] * self.dtype.itemsize


def split_rows(n_rows: int, tile_rows: int) -> Iterator[tuple[int, int]]:
    """Split rows into tiles.

    Parameters
    ----------
    n_rows, tile_rows : int

    Yields
    ------
    (int, int)
        Begin and end of a tile's rows.

    Examples
    --------
    >>> list(split_rows(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for begin in range(0, n_rows, tile_rows):
        yield begin, min(begin + tile_rows, n_rows)


def is_tiled(stack: ImageStack, tile_rows: int) -> bool:
    """Whether reading tile by tile inflates each chunk once: a whole number of chunks makes a tile."""
    return (stack.chunks[1] <= tile_rows and tile_rows % stack.chunks[1] == 0) or tile_rows >= stack.shape[1]


def choose_tile_rows(stack: ImageStack, memory: int = 160 << 20) -> int:
    """Choose the rows of a tile so that all its frames fit into memory.

    Parameters
    ----------
    stack : ImageStack
    memory : int
        Bytes.

    Returns
    -------
    int
        In whole chunks of the file where these are small enough.
    """
    per_row = stack.shape[0] * stack.shape[2] * stack.dtype.itemsize
    rows = max(1, min(memory // per_row, stack.shape[1]))
    chunk = stack.chunks[1]
    # up to twice the memory for whole chunks: half of one would be inflated twice
    if chunk <= 2 * rows and chunk < stack.shape[1]:
        return max(chunk, rows // chunk * chunk)
    return rows
