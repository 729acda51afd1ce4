"""Which frames of which files an HDF5 data set is made of: itself, or what a virtual data set maps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import h5py

from xdp.errors import FormatError
from xdp.images.formats.hdf5.files import get_child, locate_data_file, open_hdf5


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


def list_segments(dataset: h5py.Dataset, missing: list[str] | None = None) -> list[Segment]:
    """List the runs of frames that a data set is made of.

    Parameters
    ----------
    dataset : h5py.Dataset
        A stack of frames, open; one with two dimensions is one frame.
    missing : list of str, optional
        Where it is given, frames from the first one on whose data file is missing are left out, and what is missing is
        added to it.

    Returns
    -------
    list of Segment
        In the order of the frames. A virtual data set is followed to the frames that it maps; one that maps parts of
        frames is a segment of its own, as is one that is not virtual. Empty for a data set without frames.

    Raises
    ------
    FormatError
        If a data file is missing, or values lie in a plain file (see :func:`check_storage`).
    """
    n_frames = dataset.shape[0] if dataset.ndim > 2 else 1
    whole = Segment(dataset.file.filename, dataset.name, 0, 1, n_frames)
    if not dataset.is_virtual:
        return [whole] if whole.count else []
    found = [None] if dataset.ndim < 3 else [_read_mapping(source, dataset) for source in dataset.virtual_sources()]
    if any(f is None for f in found):
        # libhdf5 will read it as a whole, and follow whatever it maps.
        for source in dataset.virtual_sources():
            _check_source(source, dataset)
        return [whole]
    mapped = [f for f in found if f is not None]
    absent = [(first, segment.file) for first, _, segment in mapped if not os.path.exists(segment.file)]
    if absent:
        n_frames, file = min(absent)
        reason = (f"its data file {file} is missing (virtual data set {dataset.name} leads there): put it beside the "
                  "master file")
        if missing is None or n_frames == 0:
            raise FormatError(f"{dataset.file.filename}: {reason}")
        missing.append(reason)
        mapped = [(first, stride, segment) for first, stride, segment in mapped if first < n_frames]
        mapped = _cut_mappings(mapped, n_frames)
    return _sort_segments(mapped, n_frames) or [whole]


def _cut_mappings(mapped: list[tuple[int, int, Segment]], n_frames: int) -> list[tuple[int, int, Segment]]:
    """Mappings without the frames from `n_frames` on."""
    cut = []
    for first, stride, segment in mapped:
        count = min(segment.count, -(-(n_frames - first) // stride))
        cut.append((first, stride, Segment(segment.file, segment.dataset, segment.first, segment.stride, count)))
    return cut


def _find_source_file(source: Any, dataset: h5py.Dataset) -> str:
    """Find the file of a mapping of a virtual data set."""
    # Paths are relative to the file that names them; a dot is the file itself.
    here = dataset.file.filename
    return here if source.file_name == "." else locate_data_file(here, source.file_name)


def _check_source(source: Any, dataset: h5py.Dataset) -> None:
    """Raise FormatError where libhdf5 would read the values of a mapping from a plain file."""
    file = _find_source_file(source, dataset)
    if os.path.exists(file):
        with open_hdf5(file) as handle:
            get_child(handle, source.dset_name)


def _read_mapping(source: Any, dataset: h5py.Dataset) -> tuple[int, int, Segment] | None:
    """Read a mapping of a virtual data set as (first frame, stride, segment); None where it maps no whole frames."""
    # The selection in the virtual data set, and that in its source, which must be of as many frames.
    n_frames, *frame_shape = dataset.shape
    target = _find_selected_frames(source.vspace, frame_shape, n_frames)
    origin = None if target is None else _find_selected_frames(source.src_space, frame_shape, target[2])
    if target is None or origin is None or target[2] != origin[2]:
        return None
    first, stride, count = target
    file = _find_source_file(source, dataset)
    return first, stride, Segment(file, source.dset_name, *origin[:2], count)


def _find_selected_frames(space: Any, frame_shape: list[int], n_all: int) -> tuple[int, int, int] | None:
    """First, stride and count of the whole frames that a selection covers (`n_all`: all); None for parts of frames."""
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return 0, 1, n_all
    if space.get_select_type() != h5py.h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        return None
    start, stride, count, block = space.get_regular_hyperslab()
    # Along the frame's own axes all pixels must be selected, in blocks that follow each other.
    if any(s != 0 or c * b != n or (c > 1 and st != b)
           for s, st, c, b, n in zip(start[1:], stride[1:], count[1:], block[1:], frame_shape, strict=True)):
        return None
    if count[0] == 1:
        return int(start[0]), 1, int(block[0])
    return (int(start[0]), int(stride[0]), int(count[0])) if block[0] == 1 else None


def _sort_segments(mapped: list[tuple[int, int, Segment]], n_frames: int) -> list[Segment] | None:
    """Put segments into the order of the frames they give; None unless all frames are given.

    Interleaved ones become segments of one frame.
    """
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
    complete = [owner for owner in owners if owner is not None]
    return complete if len(complete) == n_frames else None
