"""Plots of scaled data: statistics are those of merging, pulls those of a loop."""

from __future__ import annotations

import numpy as np
import pytest
from scaling_data import make_scaled

from xdp.merging.merge import merge
from xdp.plot import merged
from xdp.plot.catalogue import BUILDERS
from xdp.plot.merged import _compute_pulls, _Key
from xdp.reflections.table import ReflectionTable

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("name", [name for name, home in BUILDERS.items() if home == "merged"])
def test_each_plot_is_made_and_none_of_an_unscaled_table(name):
    experiments, table = make_scaled()
    plot = getattr(merged, name)(table, experiments)
    assert plot.name == name
    plot.to_dict()
    assert getattr(merged, name)(ReflectionTable({"id": [0]}), experiments) is None
    assert getattr(merged, name)(table, None) is None


def test_statistics_are_those_of_merging():
    experiments, table = make_scaled()
    shells = merge(experiments, table).shells[:-1]
    for plot, name in ((merged.cc_half_by_resolution, "cc_half"), (merged.completeness_by_resolution, "completeness"),
                       (merged.r_factors_by_resolution, "r_merge"), (merged.multiplicity_by_resolution, "multiplicity"),
                       (merged.merged_i_over_sigma_by_resolution, "mean_i_over_sigma")):
        np.testing.assert_array_equal(plot(table, experiments).series[0].y, [getattr(s, name) for s in shells])


def test_pulls_are_against_the_mean_of_the_others():
    experiments, table = make_scaled()
    rows, pull, number = _compute_pulls(_Key(table, experiments))
    assert len(rows) > 100
    value = table["intensity.scale.value"] / table["inverse_scale_factor"]
    variance = table["intensity.scale.variance"] / table["inverse_scale_factor"] ** 2
    from xdp.merging.unique import find_unique

    kept = np.flatnonzero(np.isin(np.arange(len(table)), rows))
    group = find_unique(experiments[0].known.crystal.space_group, table["miller_index"][kept]).group
    for i in (0, 57, 99):
        others = kept[(group == group[i]) & (kept != rows[i])]
        weight = 1 / variance[others]
        mean = (weight * value[others]).sum() / weight.sum()
        assert pull[i] == pytest.approx((value[rows[i]] - mean) / np.sqrt(variance[rows[i]] + 1 / weight.sum()))
        assert number[i] == len(others) + 1
    # Simulated errors are known: pulls are those of a normal distribution but for tails.
    assert 0.7 < np.subtract(*np.percentile(pull, [84, 16])) / 2 < 1.4
