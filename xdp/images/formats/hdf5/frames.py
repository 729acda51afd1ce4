"""Frames of an HDF5 data set, one raw read a frame, decoded by as many threads as there are.

A data set whose chunks are single frames is not read through libhdf5, which lets one thread in at a time
(:mod:`xdp.images.formats.hdf5.chunks`). Virtual data sets, and rows
of them in several files (``data_000001``, ``data_000002``, ...), are followed to the frames they are made of. What is
stored in any other way is read by h5py.
"""

from __future__ import annotations

import bisect
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from xdp.errors import FormatError
from xdp.images.formats.hdf5.chunks import ChunkReader, find_chunks
from xdp.images.formats.hdf5.files import check_storage, convert_hdf5_errors, get_child, open_hdf5
from xdp.images.formats.limits import MAX_FRAME_BYTES

# libhdf5 is not re-entrant; h5py locks each call, this keeps a file's open, read and close together.
_LIBRARY = threading.Lock()
_MAX_OPEN_FILES = 64


@dataclass(frozen=True)
class Segment:
    """A run of frames that one data set of one file holds.

    Attributes
    ----------
    file, dataset : str
        Where.
    first, stride, count : int
        The frames: index of the first along the data set's first axis, step, number.
    """

    file: str
    dataset: str
    first: int
    stride: int
    count: int


class Frames:
    """The frames of a data set, or of several one after the other, by number from 0.

    Parameters
    ----------
    file : str
        The HDF5 file.
    datasets : sequence of str
        Data sets in it (or linked from it), in order; frames along their first axis; all of one shape and type.

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

    def __init__(self, file: str, datasets: Sequence[str]) -> None:
        self.file = file
        self._segments: list[Segment] = []
        shapes, dtypes = [], []
        with open_hdf5(file) as handle, convert_hdf5_errors(file):
            for name in datasets:
                dataset = handle[name]
                shapes.append(_frame_shape(dataset, file))
                dtypes.append(dataset.dtype)
                self._segments += _segments_of(dataset, file)
        self.shape, self.dtype = _common(shapes, dtypes, file)
        self._starts = np.cumsum([0] + [s.count for s in self._segments])
        self._chunks: dict[tuple[str, str], ChunkReader | None] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, frame: int) -> np.ndarray:
        """Frame `frame`; a new C-contiguous array.

        Raises
        ------
        FormatError
            If the frame's data are damaged or truncated, or its file is missing.
        """
        if not 0 <= frame < len(self):
            raise IndexError(f"{self.file}: frame {frame} of {len(self)}")
        position = bisect.bisect_right(self._starts, frame) - 1
        segment = self._segments[position]
        local = segment.first + (frame - int(self._starts[position])) * segment.stride
        chunks = self._chunks_of(segment)
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

    def _chunks_of(self, segment: Segment) -> ChunkReader | None:
        """What reads the chunks of a segment's data set; None where h5py must."""
        key = (segment.file, segment.dataset)
        with self._lock:
            if key not in self._chunks:
                chunks = _find_chunks(segment)
                if chunks is not None and len(self._chunks) < _MAX_OPEN_FILES:
                    chunks.keep_open()
                self._chunks[key] = chunks
            return self._chunks[key]


def _frame_shape(dataset: h5py.Dataset, file: str) -> tuple[int, ...]:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.ndim < 3:
        raise FormatError(f"{file}: {dataset.name} must be a stack of frames (at least three dimensions)")
    check_storage(dataset)
    if dataset.dtype.kind not in "iuf":
        raise FormatError(f"{file}: {dataset.name} must hold numbers, holds {dataset.dtype}")
    shape = dataset.shape[1:]
    size = int(np.prod([int(n) for n in shape], dtype=object)) * dataset.dtype.itemsize
    if not 0 < size <= MAX_FRAME_BYTES:
        raise FormatError(f"{file}: {dataset.name} claims frames of {shape} pixels, {size} bytes each: "
                          f"wanted 1 to {MAX_FRAME_BYTES}")
    return shape


def _common(shapes: list, dtypes: list, file: str) -> tuple[tuple[int, ...], np.dtype]:
    if not shapes:
        raise FormatError(f"{file}: has no stack of frames")
    if len(set(shapes)) > 1:
        raise FormatError(f"{file}: its data sets have frames of different sizes: {sorted(set(shapes))}")
    if len(set(dtypes)) > 1:
        raise FormatError(f"{file}: its data sets have pixels of different types: {sorted(map(str, set(dtypes)))}")
    return shapes[0], dtypes[0].newbyteorder("=")


def _segments_of(dataset: h5py.Dataset, file: str) -> list[Segment]:
    """The runs of frames a data set is made of: itself, or what a virtual one maps frame by frame."""
    whole = Segment(dataset.file.filename, dataset.name, 0, 1, dataset.shape[0])
    if not dataset.is_virtual:
        return [whole] if whole.count else []
    found = [_mapped(source, dataset) for source in dataset.virtual_sources()]
    if any(f is None for f in found):
        for source in dataset.virtual_sources():
            _check_source(source, dataset)
        return [whole]
    return _in_order([f for f in found if f is not None], dataset) or [whole]


def _source_file(source, dataset: h5py.Dataset) -> str:
    """The file of a mapping of a virtual data set."""
    here = dataset.file.filename
    return here if source.file_name == "." else os.path.join(os.path.dirname(os.path.abspath(here)), source.file_name)


def _check_source(source, dataset: h5py.Dataset) -> None:
    """Raise FormatError where libhdf5 would read the values of a mapping from a plain file."""
    file = _source_file(source, dataset)
    if os.path.exists(file):
        with open_hdf5(file) as handle:
            get_child(handle, source.dset_name)


def _mapped(source, dataset: h5py.Dataset) -> tuple[int, int, Segment] | None:
    """One mapping of a virtual data set as (first frame, stride, segment); None where it maps no whole frames."""
    n_frames, *frame_shape = dataset.shape
    target = _frames_selected(source.vspace, frame_shape, n_frames)
    origin = None if target is None else _frames_selected(source.src_space, frame_shape, target[2])
    if target is None or origin is None or target[2] != origin[2]:
        return None
    first, stride, count = target
    here = dataset.file.filename
    file = _source_file(source, dataset)
    if not os.path.exists(file):
        raise FormatError(f"{here}: its data file {file} is missing (virtual data set {dataset.name} leads there): "
                          "put it beside the master file")
    return first, stride, Segment(file, source.dset_name, *origin[:2], count)


def _frames_selected(space, frame_shape: list[int], n_all: int) -> tuple[int, int, int] | None:
    """First, stride and count of the whole frames a selection covers (`n_all`: all); None for parts of frames."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return 0, 1, n_all
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return None
    start, stride, count, block = space.get_regular_hyperslab()
    if any(s != 0 or c * b != n or (c > 1 and st != b)
           for s, st, c, b, n in zip(start[1:], stride[1:], count[1:], block[1:], frame_shape, strict=True)):
        return None
    if count[0] == 1:
        return int(start[0]), 1, int(block[0])
    return (int(start[0]), int(stride[0]), int(count[0])) if block[0] == 1 else None


def _in_order(mapped: list[tuple[int, int, Segment]], dataset: h5py.Dataset) -> list[Segment] | None:
    """Segments in order of the frames they give; interleaved ones frame by frame; None unless all frames are given."""
    n_frames = dataset.shape[0]
    if all(stride == 1 or s.count == 1 for _, stride, s in mapped):
        segments, at = [], 0
        for first, _, segment in sorted(mapped, key=lambda m: m[0]):
            if first != at:
                return None
            segments.append(segment)
            at += segment.count
        return segments if at == n_frames else None
    owners: list[Segment | None] = [None] * n_frames
    for first, stride, segment in mapped:
        for i in range(segment.count):
            if not 0 <= first + i * stride < n_frames:
                return None
            at = segment.first + i * segment.stride
            owners[first + i * stride] = Segment(segment.file, segment.dataset, at, 1, 1)
    return None if None in owners else owners  # type: ignore[return-value]


def _find_chunks(segment: Segment) -> ChunkReader | None:
    """Ask libhdf5 where the chunks of a data set lie; None where they are not single frames that we can decode."""
    with _LIBRARY, open_hdf5(segment.file) as handle, convert_hdf5_errors(segment.file):
        if segment.dataset not in handle:
            raise FormatError(f"{segment.file}: has no data set {segment.dataset}")
        dataset = handle[segment.dataset]
        _frame_shape(dataset, segment.file)
        return find_chunks(dataset, lambda chunks: chunks == (1, *dataset.shape[1:]))


def _read_frame(chunks: ChunkReader, frame: int) -> np.ndarray:
    """One frame, which is one chunk."""
    if not 0 <= frame < chunks.n_first:
        raise FormatError(f"{chunks.file}: has {chunks.n_first} frames, frame {frame + 1} is wanted")
    return chunks.read((frame, *[0] * (len(chunks.chunks) - 1)), name=f"frame {frame + 1}")[0]


def _read_by_h5py(segment: Segment, frame: int) -> np.ndarray:
    """One frame by h5py, with the compressors that it does not have itself."""
    import hdf5plugin  # noqa: F401  registers them

    what = f"frame {frame + 1} is damaged"
    with _LIBRARY, open_hdf5(segment.file) as handle, convert_hdf5_errors(segment.file, what):
        return handle[segment.dataset][frame]
