from __future__ import annotations

import numpy as np
import pytest

from xdp.simulation import make_detector
from xdp.simulation.images import GAP, make_defects


def test_frames_do_not_depend_on_the_order_of_drawing(series):
    late = series.draw_frame(7)[0].copy()
    np.testing.assert_array_equal(list(series.iterate_frames())[7][0], late)
    np.testing.assert_array_equal(series.stack()[7, 0], late)


def test_counts_scatter_as_poisson(series):
    expected, counted = series.expected(3)[0], series.draw_frame(3)[0]
    valid = counted != GAP
    pulls = (counted - expected)[valid] / np.sqrt(expected[valid])
    # 70,000 pixels: the mean of pulls scatters by 0.004, their variance by about 0.01.
    assert abs(pulls.mean()) < 0.02
    assert abs(pulls.var() - 1.0) < 0.1


def test_gaps_are_marked_and_nothing_else_is(series):
    mask = np.zeros((260, 300), bool)
    for x0, y0, x1, y1 in series.experiments[0].detector[0].mask:
        mask[y0:y1, x0:x1] = True
    assert mask.any()
    np.testing.assert_array_equal(series.draw_frame(0)[0] == GAP, mask)


def test_a_frame_that_is_not_there(series):
    with pytest.raises(IndexError, match="0 to 9, got 10"):
        series.draw_frame(10)


def test_bad_pixels_are_seeded():
    detector = make_detector((100, 90))
    one, two, three = (make_defects(detector, 4, 2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.bad, two.bad)
    assert not np.array_equal(one.bad, three.bad)
    assert (one.counts[:4] >= 1000).all()
    assert (one.counts[4:] == 0).all()
    assert (one.bad >= 0).all()
    assert (one.bad < [1, 90, 100]).all()
