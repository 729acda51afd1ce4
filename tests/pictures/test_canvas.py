"""Lines, crosses and words on a picture."""

from __future__ import annotations

import numpy as np

from xdp.experiment import Detector, Panel
from xdp.pictures.canvas import Canvas
from xdp.pictures.layout import compute_layout

RED = (255, 0, 0)


def make_canvas(binning=1):
    panel = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -100.0), (200, 100), (0.1, 0.1))
    picture = np.zeros((100 // binning, 200 // binning, 3), np.uint8)
    return Canvas(picture, compute_layout(Detector((panel,))), binning)


def list_pixels(canvas, colour):
    """Pixels (slow, fast) of a colour."""
    return {(int(s), int(f)) for s, f in np.argwhere((np.asarray(canvas.image) == colour).all(axis=2))}


def test_points_are_binned_with_the_picture():
    canvas = make_canvas(binning=2)
    canvas.draw_line(0, np.array([(20.0, 40.0), (60.0, 40.0)]), RED)
    assert list_pixels(canvas, RED) == {(20, fast) for fast in range(10, 31)}
    canvas.draw_line(0, np.array([(0.0, 0.0)]), RED)
    assert (0, 0) not in list_pixels(canvas, RED)


def test_a_cross_has_two_arms():
    canvas = make_canvas()
    canvas.draw_cross(0, np.array([50.0, 30.0]), RED, 3)
    assert list_pixels(canvas, RED) == {(30, 50 + i) for i in range(-3, 4)} | {(30 + i, 50) for i in range(-3, 4)}


def test_labels_at_the_edge_stay_in_the_picture():
    canvas = make_canvas()
    canvas.draw_label(0, np.array([0.0, 0.0]), "2.5 Å", RED)
    white = list_pixels(canvas, (255, 255, 255))
    assert white
    assert min(fast for _, fast in white) >= 0
    assert max(fast for _, fast in white) < 100
    assert list_pixels(canvas, RED) or len(white) > 20


def test_a_caption_stands_in_the_upper_left_corner():
    canvas = make_canvas()
    canvas.draw_caption("image 1")
    white = list_pixels(canvas, (255, 255, 255))
    assert max(slow for slow, _ in white) < 30
    assert max(fast for _, fast in white) < 100
