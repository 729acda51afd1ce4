"""Friedel mates may differ; observations that differ from both are outliers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scaling_data import make_table

from xdp.scaling.observations import gather_observations
from xdp.scaling.options import ScaleOptions
from xdp.scaling.outliers import estimate_anomalous_variance, find_deviating


@pytest.fixture(scope="module")
def strong():
    """Strong observations of mates that differ by 10 % on average, and their variances."""
    experiments, table, truth = make_table(n_frames=120, d_min=3.0, counts=3000.0, bijvoet=0.1)
    seen, _ = gather_observations(experiments, table, ScaleOptions())
    return seen, seen.background_variance + seen.counting * truth.intensity[seen.row]


def test_differences_of_mates_are_measured_and_allowed(strong):
    seen, variance = strong
    g = np.ones(len(seen))
    # the mean size of a normal number is 0.8 of its standard deviation
    found = estimate_anomalous_variance(seen, g, 1.0 / variance)
    assert np.isclose(np.sqrt(found), 0.1 / np.sqrt(2.0 / np.pi), rtol=0.15)
    assert find_deviating(seen, g, variance, 6.0).mean() > 0.999


def test_a_single_observation_of_a_mate_is_compared_with_the_other(strong):
    seen, variance = strong
    sizes, minus = np.diff(seen.start), np.add.reduceat(seen.unique.is_minus.astype(int), seen.start[:-1])
    alone = int(np.flatnonzero((sizes > 4) & (minus == 1))[0])
    at = seen.start[alone + 1] - 1
    changed = seen.intensity.copy()
    changed[at] += 300.0 * np.sqrt(variance[at])
    wrong, g = replace(seen, intensity=changed), np.ones(len(seen))
    assert not find_deviating(wrong, g, variance, 6.0)[at]
    assert find_deviating(wrong, g, variance, 6.0, anomalous=True)[at]
