"""Pictures: what is drawn where."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment import Detector
from xdp.experiment.pixels import resolution
from xdp.pictures.colours import MASK_COLOUR, OVERLOAD_COLOUR
from xdp.pictures.draw import BEAM_COLOUR, RING_COLOUR, SPOT_COLOURS, compose_caption, draw_frame, select_spots
from xdp.pictures.options import DrawOptions
from xdp.reflections import ReflectionTable

PLAIN = {"resolution_rings": None, "show_beam_centre": False, "caption": False}


def make_spots():
    return ReflectionTable({
        "bbox": np.array([[38, 44, 28, 33, 2, 4], [60, 63, 50, 53, 0, 1]], np.int32),
        "panel": np.zeros(2, np.uint64), "id": np.zeros(2, np.int32),
        "xyzobs.px.value": np.array([[41.0, 30.5, 3.0], [61.5, 51.5, 0.5]]),
    })  # fmt: skip


def test_counts_become_colours(experiment):
    image = np.asarray(draw_frame(experiment, 2, options=DrawOptions(**PLAIN)))
    assert image.shape == (60, 80, 3)
    assert tuple(image[30, 40]) == (0, 0, 0)
    assert tuple(image[10, 10]) == OVERLOAD_COLOUR
    assert tuple(image[5, 6]) == MASK_COLOUR
    # One count, of the six that are full scale.
    assert image[50, 50].tolist() == [255 - int(255 / 6)] * 3


def test_frames_are_added(experiment):
    options = DrawOptions(**PLAIN, saturation=1000.0)
    image = np.asarray(draw_frame(experiment, 2, 2, options=options)).astype(int)
    for fast in (40, 41):
        assert abs(image[30, fast, 0] - (255 - 255 * 501 / 1000)) <= 1


def test_spots_are_framed_on_their_frames_only(experiment):
    def boxes(frame):
        image = np.asarray(draw_frame(experiment, frame, spots=make_spots(), options=DrawOptions(**PLAIN)))
        return {(int(s), int(f)) for s, f in np.argwhere((image == SPOT_COLOURS["greyscale"]).all(axis=2))}

    on_two = boxes(2)
    # Two pixels around the bounding box.
    assert {(26, 36), (26, 46), (35, 36), (35, 46), (30, 36)} <= on_two
    assert (30, 40) not in on_two
    assert boxes(5) == set()
    assert (48, 58) in boxes(0)
    assert not boxes(0) & on_two


def test_which_make_spots():
    assert select_spots(make_spots(), 3, 4, 0).tolist() == [0]
    assert select_spots(make_spots(), 0, 6, 0).tolist() == [0, 1]
    assert select_spots(make_spots(), 4, 6, 0).tolist() == []
    assert select_spots(make_spots(), 0, 6, 1).tolist() == []


def test_ring_goes_through_the_pixels_of_its_resolution(experiment):
    d = resolution(experiment.detector, experiment.beam, 0, np.array([[40.5, 30.5], [3.5, 3.5]]))
    options = DrawOptions(**{**PLAIN, "resolution_rings": (float(d[0]),)})
    image = np.asarray(draw_frame(experiment, 0, options=options))
    on_ring = (image == RING_COLOUR).all(axis=2)
    # A line of one pixel's width: within a pixel of the point.
    assert on_ring[29:32, 39:42].any()
    assert not on_ring[:8, :8].any()


def test_beam_centre_is_marked(experiment):
    panel = dataclasses.replace(experiment.detector[0], fast_axis=(1.0, 0.0, 0.0), origin=(-3.0, 2.25, -165.0))
    moved = dataclasses.replace(experiment, detector=Detector((panel,)))
    options = DrawOptions(**{**PLAIN, "show_beam_centre": True})
    image = np.asarray(draw_frame(moved, 0, options=options))
    marked = np.argwhere((image == BEAM_COLOUR).all(axis=2))
    np.testing.assert_allclose(marked.mean(axis=0), (30.0, 40.0), atol=0.6)


def test_caption(experiment):
    assert compose_caption(experiment, 2, 1) == "image 3   11.00 to 11.50 deg"
    assert compose_caption(experiment, 0, 6) == "images 1 to 6   10.00 to 13.00 deg"


def test_frames_that_are_not_there(experiment):
    with pytest.raises(OptionError, match="images must be in 1 to 6, got 6 to 7"):
        draw_frame(experiment, 5, 2)
