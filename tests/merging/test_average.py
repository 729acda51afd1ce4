"""Means of scaled observations: weights, mates, halves, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from scaling_data import make_scaled

from xdp.errors import XdpError
from xdp.merging.average import average, gather_scaled
from xdp.reflections.flags import Flag


@pytest.fixture(scope="module")
def seen():
    experiments, table = make_scaled()
    return gather_scaled(experiments[0].crystal.space_group, table, np.ones(len(table), bool))


def test_means_are_weighted_by_the_variances(seen):
    means = average(seen)
    for g in range(0, len(seen.unique), 37):
        mine = seen.unique.group == g
        w = 1.0 / seen.variance[mine]
        assert means.n[g] == mine.sum()
        mean = np.sum(w * seen.intensity[mine]) / w.sum()
        assert means.intensity[g] == pytest.approx(mean)
        shared = np.sum(w * seen.shared[mine]) / w.sum()
        assert means.sigma[g] == pytest.approx(np.sqrt(1.0 / w.sum() + shared * max(mean, 0.0) ** 2))


def test_groups_without_observations_have_no_mean(seen):
    plus, minus = average(seen, ~seen.unique.is_minus), average(seen, seen.unique.is_minus)
    assert np.all(np.isnan(plus.intensity) == (plus.n == 0))
    assert np.all(plus.n + minus.n == average(seen).n)
    assert np.all(minus.n[seen.unique.is_centric] == 0)


def test_observations_of_a_mate_alternate_between_the_halves(seen):
    mate = 2 * seen.unique.group + seen.unique.is_minus
    for m in np.unique(mate)[::29]:
        counts = np.bincount(seen.half[mate == m], minlength=2)
        assert abs(counts[0] - counts[1]) <= 1
    assert abs(np.mean(seen.half) - 0.5) < 0.02


def test_the_order_of_rows_does_not_matter(seen):
    experiments, table = make_scaled()
    order = np.random.default_rng(2).permutation(len(table))
    again = gather_scaled(experiments[0].crystal.space_group, table.select(order), np.ones(len(table), bool))
    assert np.array_equal(again.intensity, seen.intensity)
    assert np.array_equal(again.half, seen.half)


def test_outliers_and_what_was_not_scaled_are_left_out():
    experiments, table = make_scaled()
    flags = np.asarray(table["flags"]).copy()
    flags[:4] = int(Flag.INTEGRATED_SUM)
    flags[4:8] |= np.uint64(Flag.OUTLIER_IN_SCALING)
    everything = np.ones(len(table), bool)
    before = len(gather_scaled(experiments[0].crystal.space_group, table, everything))
    after = len(gather_scaled(experiments[0].crystal.space_group, table.with_columns(flags=flags), everything))
    assert before - after == np.count_nonzero(table.flags(Flag.SCALED)[:8])


def test_a_table_that_is_not_scaled_is_refused():
    experiments, table = make_scaled()
    group, everything = experiments[0].crystal.space_group, np.ones(len(table), bool)
    bare = type(table)({name: values for name, values in table.items() if name != "inverse_scale_factor"})
    with pytest.raises(XdpError, match="run xdp scale"):
        gather_scaled(group, bare, everything)
    with pytest.raises(XdpError, match="left to merge"):
        gather_scaled(group, table, ~everything)


@pytest.mark.parametrize("error", [np.nan, 1e300, -1.0, np.inf])
def test_errors_of_scales_that_are_none_do_no_harm(error):
    experiments, table = make_scaled()
    shared = np.array(table["scale.relative_variance"])
    shared[:5] = error
    everything = np.ones(len(table), bool)
    group = experiments[0].crystal.space_group
    means = average(gather_scaled(group, table.with_columns(**{"scale.relative_variance": shared}), everything))
    assert np.isfinite(means.sigma).all()


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e-45, 1e200, np.nan, np.inf])
def test_values_that_no_number_holds_are_left_out_without_a_warning(scale):
    experiments, table = make_scaled()
    factor = np.array(table["inverse_scale_factor"])
    everything = np.ones(len(table), bool)
    group = experiments[0].crystal.space_group
    n = len(gather_scaled(group, table, everything).intensity)
    used = np.flatnonzero(table.any_flags(Flag.SCALED) & ~table.any_flags(Flag.BAD_FOR_SCALING))
    factor[used[0]] = scale
    changed = gather_scaled(group, table.with_columns(inverse_scale_factor=factor), everything)
    assert len(changed.intensity) == n - 1
    assert np.isfinite(average(changed).intensity).all()
