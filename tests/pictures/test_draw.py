"""Pictures: what is drawn where."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment import Detector
from xdp.experiment.pixels import resolution
from xdp.images.importing.import_images import import_images
from xdp.pictures.draw import (
    BEAM_COLOUR,
    MASK_COLOUR,
    OVERLOAD_COLOUR,
    RING_COLOUR,
    SPOT_COLOURS,
    automatic_rings,
    binned,
    caption,
    colour_picture,
    draw_frame,
    full_scale,
    spots_on,
)
from xdp.pictures.options import DrawOptions
from xdp.reflections import ReflectionTable

PLAIN = {"resolution_rings": None, "show_beam_centre": False, "caption": False}


@pytest.fixture
def experiment(tmp_path, maker):
    counts = np.ones((6, 60, 80), np.uint16)
    counts[2, 30, 40] = 500
    counts[3, 30, 41] = 500
    counts[2, 10, 10] = 65000
    mask = np.zeros((60, 80), np.uint8)
    mask[5, 6] = 1
    return import_images([maker.write_nxmx(tmp_path / "a.h5", counts, mask=mask)]).experiments[0]


def spots():
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
        image = np.asarray(draw_frame(experiment, frame, spots=spots(), options=DrawOptions(**PLAIN)))
        return {(int(s), int(f)) for s, f in np.argwhere((image == SPOT_COLOURS["greyscale"]).all(axis=2))}

    on_two = boxes(2)
    # Two pixels around the bounding box.
    assert {(26, 36), (26, 46), (35, 36), (35, 46), (30, 36)} <= on_two
    assert (30, 40) not in on_two
    assert boxes(5) == set()
    assert (48, 58) in boxes(0)
    assert not boxes(0) & on_two


def test_which_spots():
    assert spots_on(spots(), 3, 4, 0).tolist() == [0]
    assert spots_on(spots(), 0, 6, 0).tolist() == [0, 1]
    assert spots_on(spots(), 4, 6, 0).tolist() == []
    assert spots_on(spots(), 0, 6, 1).tolist() == []


def test_ring_goes_through_the_pixels_of_its_resolution(experiment):
    d = resolution(experiment.detector, experiment.beam, 0, np.array([[40.5, 30.5], [3.5, 3.5]]))
    options = DrawOptions(**{**PLAIN, "resolution_rings": (float(d[0]),)})
    image = np.asarray(draw_frame(experiment, 0, options=options))
    on_ring = (image == RING_COLOUR).all(axis=2)
    # A line of one pixel's width: within a pixel of the point.
    assert on_ring[29:32, 39:42].any()
    assert not on_ring[:8, :8].any()


def test_automatic_rings_are_on_the_detector(experiment):
    corners = resolution(experiment.detector, experiment.beam, 0, np.array([[0, 0], [80, 0], [0, 60], [80, 60]], float))
    rings = automatic_rings(experiment)
    assert rings == sorted(rings, reverse=True)
    # Rounded to two digits: up to 5 % off.
    assert corners.min() * 0.95 <= rings[-1] <= rings[0] <= corners.max() * 1.05


def test_beam_centre_is_marked(experiment):
    panel = dataclasses.replace(experiment.detector[0], fast_axis=(1.0, 0.0, 0.0), origin=(-3.0, 2.25, -165.0))
    moved = dataclasses.replace(experiment, detector=Detector((panel,)))
    options = DrawOptions(**{**PLAIN, "show_beam_centre": True})
    image = np.asarray(draw_frame(moved, 0, options=options))
    marked = np.argwhere((image == BEAM_COLOUR).all(axis=2))
    np.testing.assert_allclose(marked.mean(axis=0), (30.0, 40.0), atol=0.6)


@pytest.mark.parametrize("scheme", ["greyscale", "inverse_greyscale", "heatmap", "rainbow"])
def test_colour_schemes(scheme):
    counts = np.array([[0.0, 50.0, 100.0, np.nan, np.inf]], np.float32)
    colours = colour_picture(counts, DrawOptions(colour_scheme=scheme, saturation=100.0))
    assert len({tuple(c) for c in colours[0]}) == 5
    hidden = colour_picture(counts, DrawOptions(colour_scheme=scheme, saturation=100.0, show_mask=False))
    assert tuple(hidden[0, 3]) == tuple(colours[0, 0])


def test_brightness_scales():
    counts = np.full(1000, 10.0)
    assert full_scale(counts, DrawOptions(brightness=200.0)) == full_scale(counts, DrawOptions()) / 2.0
    assert full_scale(np.zeros(0), DrawOptions()) > 0.0


def test_bins_keep_the_brightest_pixel():
    counts = np.array([[1, 2, np.nan], [np.nan, 3, np.nan], [9, 9, 9]], np.float32)
    assert binned(counts, 2).tolist() == [[3.0]]
    assert np.isnan(binned(np.full((2, 2), np.nan), 2)).all()
    with pytest.raises(OptionError, match="binning must be at most 3"):
        binned(counts, 4)


def test_caption(experiment):
    assert caption(experiment, 2, 1) == "image 3   11.00 to 11.50 deg"
    assert caption(experiment, 0, 6) == "images 1 to 6   10.00 to 13.00 deg"


def test_frames_that_are_not_there(experiment):
    with pytest.raises(OptionError, match="images must be in 1 to 6, got 6 to 7"):
        draw_frame(experiment, 5, 2)
