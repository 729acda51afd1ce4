"""E² of merged intensities."""

from __future__ import annotations

import numpy as np
from merged_data import draw_merged

from xdp.merging.diagnostics.normalise import normalise, select_strong_shells


def test_mean_is_one_at_every_resolution_and_in_every_class():
    unique, intensity, sigma, d, *_ = draw_merged("P 43 21 2", (78, 78, 38, 90, 90, 90), 1.8, np.random.default_rng(2))
    data = normalise(unique.hkl, intensity, sigma, d, unique.epsilon, unique.is_centric)
    for low, high in ((10, 4), (4, 3), (3, 2.4), (2.4, 1.8)):
        shell = (data.d <= low) & (data.d > high)
        # exponential: a standard error of 1 / sqrt(n)
        assert abs(data.e2[shell].mean() - 1.0) < 4.0 / np.sqrt(shell.sum())
    assert abs(data.e2[data.is_centric].mean() - 1.0) < 4.0 * np.sqrt(2.0 / data.is_centric.sum())


def test_reflections_that_were_not_measured_are_left_out():
    values = np.array([1.0, np.nan, 2.0, 3.0])
    data = normalise(np.zeros((4, 3)), values, np.array([0.1, 0.1, np.nan, 0.1]), np.full(4, 2.0), np.ones(4),
                     np.zeros(4, bool))
    assert len(data) == 2


def test_weak_shells_go_as_a_whole():
    drawn = draw_merged("P 1", (30, 35, 40, 80, 85, 95), 1.8, np.random.default_rng(2), noise=0.3)
    unique, intensity, sigma, d, *_ = drawn
    sigma = sigma * np.exp(8.0 / np.square(d))  # grows with resolution
    data = normalise(unique.hkl, intensity, sigma, d, unique.epsilon, unique.is_centric)
    kept = select_strong_shells(data, 1.5)
    assert 0 < len(kept) < len(data)
    # those that are kept are not the strong ones of their resolution
    assert kept.d.min() > np.sort(data.d)[len(data) - len(kept)] - 0.3
