from __future__ import annotations

import struct

import numpy as np
import pytest

from xdp.reflections import Shoeboxes

pytestmark = pytest.mark.kernels


def one_box(**changes) -> Shoeboxes:
    """A box of 2 frames, 1 row, 3 columns."""
    fields = {"panel": [7], "bbox": [[10, 13, 4, 5, 0, 2]], "offsets": [0, 6], "data": np.arange(6.0), "mask": [3] * 6}
    return Shoeboxes(**{**fields, **changes})


def test_box_has_frames_first_and_fast_last():
    data, mask, background = one_box().box(0)
    np.testing.assert_array_equal(data, [[[0, 1, 2]], [[3, 4, 5]]])
    assert mask.shape == background.shape == (2, 1, 3)
    assert not background.any()


@pytest.mark.parametrize(("changes", "message"), [
    ({"offsets": [0, 5], "data": np.zeros(5), "mask": [0] * 5}, "volume"),
    ({"offsets": [1, 7]}, "start at 0"),
    ({"bbox": [[3, 1, 0, 1, 0, 1]]}, "must not lie below"),
    ({"mask": [256] * 6}, "0 to 255"),
    ({"mask": [0] * 5}, "6 pixels"),
    ({"panel": [1, 2]}, "need 2 boxes"),
])
def test_arrays_that_disagree_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        one_box(**changes)


def test_select_and_concatenate_undo_each_other(make_shoeboxes):
    boxes = make_shoeboxes(30, seed=4)
    parts = [boxes.select(slice(0, 7)), boxes.select(slice(7, 7)), boxes.select(np.arange(7, 30))]
    assert Shoeboxes.concatenate(parts) == boxes
    assert boxes.select(np.arange(30) == 5).box(0)[0].tolist() == boxes.box(5)[0].tolist()


def test_without_pixels_keeps_the_limits(make_shoeboxes):
    boxes = make_shoeboxes(5, seed=5)
    bare = boxes.without_pixels()
    assert bare.n_pixels == 0
    np.testing.assert_array_equal(bare.bbox, boxes.bbox)
    assert Shoeboxes.from_bytes(bare.to_bytes(), 5) == bare


def test_nothing_is_a_number_of_boxes_too():
    assert len(Shoeboxes.concatenate([])) == 0
    assert Shoeboxes.from_bytes(np.zeros(0, np.uint8), 0) == Shoeboxes.empty()


def test_bytes_left_over_are_refused():
    raw = one_box().to_bytes()
    with pytest.raises(ValueError, match="end at byte"):
        Shoeboxes.from_bytes(np.append(raw, np.uint8(0)), 1)
    with pytest.raises(ValueError, match="29000 bytes at least"):
        Shoeboxes.from_bytes(raw, 1000)


def test_a_mask_value_beyond_a_byte_is_refused():
    raw = np.frombuffer(struct.pack("<I6iBfif", 0, 0, 1, 0, 1, 0, 1, 1, 1.0, 300, 0.0), np.uint8)
    with pytest.raises(ValueError, match="outside 0 to 255"):
        Shoeboxes.from_bytes(raw, 1)
