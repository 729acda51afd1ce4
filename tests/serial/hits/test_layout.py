"""Tests of panels put side by side."""

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.experiment import Beam, Detector, Panel
from xdp.serial.hits.layout import choose_nearest_tiles, plan_assembly

BEAM = Beam.along_z(1.0)


def make_panel(fast, slow, x, y, size=(6, 4), pixel=0.1):
    """A panel whose first pixel's corner is at (x, y) pixels, 100 mm from the sample."""
    return Panel(fast, slow, (x * pixel, y * pixel, -100.0), size, (pixel, pixel), trusted_range=(0.0, 999.0))


def test_panels_are_placed_turned_and_found_again():
    # x to the right, y up: rows run downwards in the image
    panels = (make_panel((1.0, 0, 0), (0, -1.0, 0), -10, 8), make_panel((0, 1.0, 0), (1.0, 0, 0), 2, -7),
              make_panel((-1.0, 0, 0), (0, 1.0, 0), 8, 3))
    assembly = plan_assembly(Detector(panels), BEAM)
    images = [np.arange(24).reshape(4, 6) + 100 * k for k in range(1, 4)]
    image = assembly.assemble(images)
    beam = np.array(assembly.geometry.beam) / 0.1
    for number, panel in enumerate(panels):
        for slow, fast in ((0, 0), (3, 5), (1, 4)):
            where = panel.d_matrix @ [(fast + 0.5) * 0.1, (slow + 0.5) * 0.1, 1.0]
            i, j = int(np.floor(beam[0] - where[1] / 0.1)), int(np.floor(beam[1] + where[0] / 0.1))
            assert image[i, j] == images[number][slow, fast]
            found = assembly.locate(np.array([i]), np.array([j]))
            assert [int(v[0]) for v in found] == [number, slow, fast]
    assert assembly.geometry.distance == pytest.approx(100.0)
    assert assembly.geometry.saturation == 999.0
    assert (image == 0).sum() == image.size - 3 * 24


def test_masked_pixels_are_like_gaps_and_one_panel_is_itself():
    panel = make_panel((0, 1.0, 0), (1.0, 0, 0), 2, -7)
    assembly = plan_assembly(Detector((panel,)), BEAM)
    image = np.arange(24).reshape(4, 6)
    assert assembly.assemble([image]) is image
    masked = assembly.assemble([image], [image % 2 == 0])
    assert np.array_equal(masked, np.where(image % 2 == 0, image, 0))
    # the beam meets the panel's plane where its axes say
    slow, fast = np.array(assembly.geometry.beam) / 0.1
    np.testing.assert_allclose(panel.d_matrix @ [fast * 0.1, slow * 0.1, 1.0], [0, 0, -100.0], atol=1e-9)


def test_nearest_tiles_and_panels_too_far_apart():
    panels = tuple(make_panel((1.0, 0, 0), (0, -1.0, 0), 10 * k, 2) for k in range(-3, 4))
    assembly = plan_assembly(Detector(panels), BEAM)
    assert choose_nearest_tiles(assembly, 2) == [2, 3]
    assert choose_nearest_tiles(assembly, 99) == list(range(7))
    assert assembly.locate(np.array([0]), np.array([8]))[0].tolist() == [-1]
    far = Detector((panels[0], make_panel((1.0, 0, 0), (0, -1.0, 0), 30000, 2)))
    with pytest.raises(XdpError, match="is the geometry right"):
        plan_assembly(far, BEAM)
