"""On/off ratios and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.laue.design import Design
from xdp.laue.ratios import compute_ratio, make_ratio_table, merge_ratios


def test_error_of_the_ratio_is_that_of_drawn_numbers():
    """I_on and I_off with a common error (the background they both subtract)."""
    rng = np.random.default_rng(3)
    n = 200_000
    common = rng.normal(0, 5, n)
    i_off = 1000 + rng.normal(0, 20, n) - common
    i_on = 1100 + rng.normal(0, 22, n) - common
    s_on, s_off = np.full(n, np.hypot(22, 5)), np.full(n, np.hypot(20, 5))
    ratio, sigma = compute_ratio(i_on, s_on, i_off, s_off, np.full(n, 25.0))
    # second-order terms are (sigma / I)^2 = 4e-4
    assert np.std(ratio) == pytest.approx(np.mean(sigma), rel=0.01)
    assert np.mean(ratio) == pytest.approx(1.1, abs=1e-3)


def test_no_ratio_without_intensity():
    ratio, _ = compute_ratio(np.array([1.0, 1.0]), np.ones(2), np.array([0.0, -3.0]), np.ones(2), np.zeros(2))
    assert np.isnan(ratio).all()


def test_pairs_within_a_block():
    design = Design(np.zeros(4), np.array([0, 1, 0, 1], bool))
    spots = {"frame": np.repeat(np.arange(4), 2), "label": np.tile([1, 2], 4), "mask": np.zeros(8, int),
             "I_corrected": np.array([10, 100, 11, 120, 20, 100, 24, 90.0]), "sigma_I": np.ones(8),
             "background_variance": np.zeros(8)}
    table = make_ratio_table(spots, [np.arange(4)], design)
    assert table["frame_off"].tolist() == [0, 0, 2, 2]
    assert table["frame_on"].tolist() == [1, 1, 3, 3]
    assert table["label"].tolist() == [1, 2, 1, 2]
    assert table["ratio"] == pytest.approx([1.1, 1.2, 1.2, 0.9])
    merged = merge_ratios(table)
    assert merged["n_pairs"].tolist() == [2, 2]
    assert merged["ratio"] == pytest.approx([35 / 30, 210 / 200])


def test_ratios_are_of_frames_of_one_repeat():
    """In a block, too: frames 0 and 3 are repeat 1, frame 1 has no partner."""
    design = Design(np.zeros(4), np.array([0, 0, 1, 1], bool), repeat=np.array([1, 2, 3, 1]))
    spots = {"frame": np.arange(4), "label": np.ones(4, int), "mask": np.zeros(4, int),
             "I_corrected": np.array([10.0, 20.0, 30.0, 15.0]), "sigma_I": np.ones(4),
             "background_variance": np.zeros(4)}
    table = make_ratio_table(spots, [np.arange(4)], design)
    assert (table["frame_off"].tolist(), table["frame_on"].tolist()) == ([0], [3])
    assert table["ratio"] == pytest.approx([1.5])


def test_no_spots_no_ratios():
    design = Design(np.zeros(2), np.array([False, True]))
    spots = {name: np.empty(0) for name in ("frame", "label", "mask", "I_corrected", "sigma_I", "background_variance")}
    table = make_ratio_table(spots, [np.arange(2)], design)
    assert all(len(column) == 0 for column in table.values())
    assert len(merge_ratios(table)["ratio"]) == 0


def test_scatter_of_the_pairs_counts_where_it_is_larger():
    rng = np.random.default_rng(0)
    n = 50
    table = {"mask": np.zeros(n, int), "label": np.ones(n, int), "I_off": rng.normal(1000, 100, n),
             "I_on": rng.normal(1000, 100, n), "sigma_off": np.ones(n), "sigma_on": np.ones(n)}
    # 100 / 1000 * sqrt(2 / 50), known to 10 % from 50 pairs
    assert merge_ratios(table)["sigma_ratio"][0] == pytest.approx(0.02, rel=0.3)
