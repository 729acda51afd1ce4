"""Which frames of which files a data set is made of."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from xdp.errors import FormatError
from xdp.images.formats.hdf5.segments import Segment, list_segments


def make_virtual(folder, n_frames, mappings):
    """A virtual data set of 2 x 3 pixels; `mappings`: (its frames, file, frames of the source)."""
    layout = h5py.VirtualLayout((n_frames, 2, 3), np.int32)
    for here, name, there in mappings:
        with h5py.File(folder / name, "w") as handle:
            handle["data"] = np.zeros((8, 2, 3), np.int32)
        layout[here] = h5py.VirtualSource(name, "data", (8, 2, 3))[there]
    with h5py.File(folder / "m.h5", "w") as handle:
        handle.create_virtual_dataset("data", layout)
    return folder / "m.h5"


def read_segments(path):
    with h5py.File(path) as handle:
        return list_segments(handle["data"])


def test_a_plain_data_set_is_one_segment(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["data"] = np.zeros((5, 2, 3))
        handle["none"] = np.zeros((0, 2, 3))
        assert list_segments(handle["data"]) == [Segment(str(tmp_path / "a.h5"), "/data", 0, 1, 5)]
        assert list_segments(handle["none"]) == []


def test_mappings_are_sorted_by_the_frames_they_give(tmp_path):
    path = make_virtual(tmp_path, 5, [(slice(3, 5), "b.h5", slice(1, 3)), (slice(0, 3), "a.h5", slice(4, 7))])
    assert read_segments(path) == [Segment(str(tmp_path / "a.h5"), "data", 4, 1, 3),
                                   Segment(str(tmp_path / "b.h5"), "data", 1, 1, 2)]


def test_interleaved_files_give_frame_after_frame(tmp_path):
    path = make_virtual(tmp_path, 4, [(slice(0, 4, 2), "a.h5", slice(0, 2)), (slice(1, 4, 2), "b.h5", slice(0, 2))])
    assert [(segment.file[-4:], segment.first, segment.count) for segment in read_segments(path)] == [
        ("a.h5", 0, 1), ("b.h5", 0, 1), ("a.h5", 1, 1), ("b.h5", 1, 1)]


@pytest.mark.parametrize("mappings", [
    [(slice(0, 3), "a.h5", slice(0, 3))],  # the last frames are mapped by nothing
    [(np.s_[0:5, :, :2], "a.h5", np.s_[0:5, :, :2]), (np.s_[0:5, :, 2:], "b.h5", np.s_[0:5, :, 2:])],
])
def test_gaps_and_parts_of_frames_are_left_to_hdf5(tmp_path, mappings):
    path = make_virtual(tmp_path, 5, mappings)
    assert read_segments(path) == [Segment(str(path), "/data", 0, 1, 5)]


def test_missing_files_are_named(tmp_path):
    path = make_virtual(tmp_path, 3, [(slice(0, 3), "a.h5", slice(0, 3))])
    (tmp_path / "a.h5").unlink()
    with pytest.raises(FormatError, match=r"m\.h5: its data file .*a\.h5 is missing"):
        read_segments(path)
