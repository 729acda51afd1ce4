"""Panels in one picture."""

from __future__ import annotations

import dataclasses

import numpy as np

from xdp.experiment import Detector, Panel
from xdp.pictures.layout import compute_layout

PANEL = Panel((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -100.0), (4, 3), (0.1, 0.1))


def test_one_panel_stays_as_it_is():
    layout = compute_layout(Detector((PANEL,)))
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(layout.assemble([image]), image)
    np.testing.assert_array_equal(layout.to_picture(0, [[1.5, 2.5]]), [[1.5, 2.5]])


def test_panels_side_by_side_as_in_their_file():
    second = dataclasses.replace(PANEL, raw_image_offset=(6, 1))
    layout = compute_layout(Detector((PANEL, second)))
    picture = layout.assemble([np.ones((3, 4)), np.full((3, 4), 2.0)])
    assert picture.shape == (4, 10)
    assert (picture[:3, :4] == 1).all()
    assert (picture[1:, 6:] == 2).all()
    assert np.isnan(picture).sum() == 40 - 24


def test_panels_as_the_beam_sees_them():
    # The second hangs 0.5 mm to the right, turned by 90 degrees: fast goes down, slow to the left.
    second = dataclasses.replace(PANEL, fast_axis=(0.0, -1.0, 0.0), slow_axis=(-1.0, 0.0, 0.0),
                                 origin=(0.8, 0.0, -100.0))
    layout = compute_layout(Detector((PANEL, second)))
    assert layout.shape == (4, 8)
    image = np.arange(12.0).reshape(3, 4)
    picture = layout.assemble([image, image])
    np.testing.assert_array_equal(picture[:3, :4], image)
    # Row s, column f of the panel lies at row f, column 7 - s of the picture.
    np.testing.assert_array_equal(picture[:4, 5:8], image.T[:, ::-1])
    np.testing.assert_allclose(layout.to_picture(1, [[0.5, 0.5]]), [[7.5, 0.5]], atol=1e-9)
