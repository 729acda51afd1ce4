"""What a search tells its user."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.spotfinding.run.report import draw_histogram


def test_histogram_draws_a_column_an_image():
    text = draw_histogram(np.array([1, 2, 4]), "7", "9", height=4).splitlines()
    assert text == ["7 spots found on 3 images (max 4 / bin)", "  *", "  *", " **", "***", "7 9"]


def test_histogram_shares_many_images_out():
    counts = np.zeros(600, int)
    counts[300:310] = 1
    text = draw_histogram(counts, "1", "600").splitlines()
    assert text[0] == "10 spots found on 600 images (max 10 / bin)"
    assert text[1] == " " * 30 + "*"
    assert text[-1].startswith("1 ")
    assert text[-1].endswith(" 600")
    assert len(text[-1]) == 60
    assert "image" in text[-1]


@pytest.mark.parametrize(("counts", "line"), [([0, 0], "0 spots found on 2 images"), ([5], "5 spots found on 1 image")])
def test_little_is_said_in_a_line(counts, line):
    assert draw_histogram(np.array(counts), "1", str(len(counts))) == line
