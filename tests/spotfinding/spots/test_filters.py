"""Filters of spots: distance between peak and centroid, crowded places."""

from __future__ import annotations

import numpy as np

from xdp.spotfinding.spots.filters import density_cutoff, is_uncrowded, near_peak


def test_near_peak_counts_a_frame_as_a_pixel_and_keeps_the_limit():
    centroid = np.zeros((3, 3))
    peak = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 5.0], [0.0, 0.1, 5.0]])
    assert near_peak(peak, centroid, 5.0).tolist() == [True, True, False]


def test_cutoff_lies_where_two_slots_in_a_row_add_nothing():
    # 9990 bins with 0 to 4 spots in equal numbers, ten with 20: the histogram has 20 slots, width 1
    counts = np.concatenate([np.repeat(np.arange(5.0), 1998), np.full(10, 20.0)])
    # slots 0 to 4 hold a fifth each; slot 4 -> 5 and 5 -> 6 add nothing: the first flat slot begins at 4
    assert density_cutoff(counts) == 4.0


def test_no_cutoff_where_no_bin_stands_out():
    assert density_cutoff(np.array([0.0, 1.0, 2.0])) is None
    assert density_cutoff(np.full(100, 7.0)) is None
    assert density_cutoff(np.repeat(np.arange(10.0), 10)) is None


def test_crowded_bins_lose_all_spots_but_those_on_their_edges():
    rng = np.random.default_rng(1)
    ordinary = rng.uniform(0, 500, (4000, 2))
    ordinary[0], ordinary[1] = (0, 0), (500, 500)
    crowd = np.full((60, 2), 255.0) + rng.uniform(-4, 4, (60, 2))
    keep = is_uncrowded(np.concatenate([ordinary, crowd]))
    assert not keep[4000:].any()
    assert keep[:4000].mean() > 0.9  # slots are two counts wide here: bins with five ordinary spots go too


def test_no_spots_are_uncrowded():
    assert is_uncrowded(np.zeros((0, 2))).tolist() == []
