"""Simulated integrated tables: factors, counting statistics, and truth."""

from __future__ import annotations

import numpy as np
from scaling_data import make_table

from xdp.merging.unique import find_unique


def test_pulls_of_observations_are_those_of_counting():
    _, table, truth = make_table(n_frames=60, d_min=3.0, counts=500.0)
    expected = truth.intensity * truth.scale / table["lp"]
    pull = (table["intensity.sum.value"] - expected) / np.sqrt(table["intensity.sum.variance"])
    # 5,000 reflections: 1 % of scatter; sigmas of what was counted make weak ones a little too sure
    assert abs(pull.std() - 1.0) < 0.05


def test_equivalents_have_one_intensity_and_mates_differ_as_asked():
    experiments, table, truth = make_table(n_frames=60, d_min=3.0, bijvoet=0.1)
    unique = find_unique(experiments[0].crystal.space_group, table["miller_index"])
    group, row = unique.group_mates_apart()
    for g in range(0, len(row), 50):
        assert np.ptp(truth.intensity[group == g]) == 0.0
    first = np.zeros(len(row))
    first[group] = truth.intensity
    pairs = np.flatnonzero(np.diff(row) == 0)
    relative = np.abs(first[pairs] - first[pairs + 1]) / (0.5 * (first[pairs] + first[pairs + 1]) + 1e-9)
    assert np.isclose(relative.mean(), 0.1, rtol=0.15)


def test_factors_do_what_they_say():
    plain = make_table(n_frames=60, d_min=3.0)
    assert np.all(plain[2].scale == 1.0)
    assert not plain[2].is_outlier.any()
    _, table, truth = make_table(n_frames=60, d_min=3.0, decay=10.0)
    z = table["xyzcal.px"][:, 2]
    np.testing.assert_allclose(np.log(truth.scale), -10.0 * z / 60 / (2.0 * table["d"] ** 2), rtol=1e-6)
    _, _, dark = make_table(n_frames=60, d_min=3.0, attenuation=1.0)
    assert 0.05 < dark.scale.std() < 0.5
    _, bad, marked = make_table(n_frames=60, d_min=3.0, outliers=0.01)
    assert 0.005 < marked.is_outlier.mean() < 0.02
    z = (bad["intensity.sum.value"] - marked.intensity / bad["lp"]) / np.sqrt(bad["intensity.sum.variance"])
    assert np.median(z[marked.is_outlier]) > 20.0
