"""Counts as colours."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.pictures.colours import bin_brightest, colour_picture, compute_full_scale
from xdp.pictures.options import DrawOptions


@pytest.mark.parametrize("scheme", ["greyscale", "inverse_greyscale", "heatmap", "rainbow"])
def test_colour_schemes(scheme):
    counts = np.array([[0.0, 50.0, 100.0, np.nan, np.inf]], np.float32)
    colours = colour_picture(counts, DrawOptions(colour_scheme=scheme, saturation=100.0))
    assert len({tuple(c) for c in colours[0]}) == 5
    hidden = colour_picture(counts, DrawOptions(colour_scheme=scheme, saturation=100.0, show_mask=False))
    assert tuple(hidden[0, 3]) == tuple(colours[0, 0])


def test_brightness_scales():
    counts = np.full(1000, 10.0)
    assert compute_full_scale(counts, DrawOptions(brightness=200.0)) == compute_full_scale(counts, DrawOptions()) / 2.0
    assert compute_full_scale(np.zeros(0), DrawOptions()) > 0.0


def test_bins_keep_the_brightest_pixel():
    counts = np.array([[1, 2, np.nan], [np.nan, 3, np.nan], [9, 9, 9]], np.float32)
    assert bin_brightest(counts, 2).tolist() == [[3.0]]
    assert np.isnan(bin_brightest(np.full((2, 2), np.nan), 2)).all()
    with pytest.raises(OptionError, match="binning must be at most 3"):
        bin_brightest(counts, 4)
