"""Panels of unequal size in one array."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.images.padding import choose_pad_value, compute_padded_shape, read_padded


class TwoPanels:
    """A reader of frames with panels of 2 x 3 and 4 x 2 pixels, each filled with the frame's number."""

    def read(self, frame):
        return [np.full(shape, frame, np.int32) for shape in ((2, 3), (4, 2))]


@pytest.mark.parametrize(("dtype", "pad"), [(np.int32, -1), (np.uint16, 0), (np.float32, -1)])
def test_what_is_no_pixel_has_the_pad_value(dtype, pad):
    shapes = [(2, 3), (4, 2)]
    frames = read_padded(TwoPanels(), 3, 5, shapes, np.dtype(dtype))
    assert frames.shape == (2, *compute_padded_shape(shapes)) == (2, 2, 4, 3)
    for number, frame in zip((3, 4), frames, strict=True):
        assert (frame[0, :2, :3] == number).all()
        assert (frame[1, :4, :2] == number).all()
        assert (frame[0, 2:] == pad).all()
        assert (frame[1, :, 2:] == pad).all()
    assert choose_pad_value(np.dtype(dtype)) == pad
