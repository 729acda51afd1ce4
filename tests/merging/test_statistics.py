"""Merging statistics against gemmi's on the same rows, and against their definitions."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from scaling_data import make_scaled

from xdp.exporting.mtz import median_cell, spacings
from xdp.merging.average import gather_scaled
from xdp.merging.merge import list_possible
from xdp.merging.statistics import compute_cc_half, compute_merging_statistics, correlate, make_table


@pytest.fixture(scope="module")
def merged():
    experiments, table = make_scaled()
    group, cell = experiments[0].crystal.space_group, median_cell(experiments)
    seen = gather_scaled(group, table, np.ones(len(table), bool))
    d = spacings(cell, seen.unique.hkl)
    return seen, d, list_possible(group, cell, float(d.min())), group, cell


@pytest.mark.parametrize("anomalous", [False, True])
def test_r_factors_are_those_of_gemmi(merged, anomalous):
    seen, d, possible, group, cell = merged
    ours = compute_merging_statistics(seen, d, possible, 5, anomalous=anomalous)[-1]
    theirs = gemmi.Intensities()
    sign = np.where(seen.unique.is_minus, -1, 1)[:, None]
    kept = ~seen.unique.is_absent[seen.unique.group]
    theirs.set_data(gemmi.UnitCell(*cell), group,
                    np.ascontiguousarray((seen.unique.hkl[seen.unique.group] * sign)[kept].astype(np.int32)),
                    seen.intensity[kept], np.sqrt(seen.variance[kept]))
    theirs.prepare_for_merging(gemmi.DataType.Anomalous if anomalous else gemmi.DataType.Mean)
    stats = theirs.calculate_merging_stats(None, "X")[0]
    # as XDS has them: over the sum of the observations, not of their means
    assert ours.r_merge == pytest.approx(stats.r_merge(), rel=1e-6)
    assert ours.r_meas == pytest.approx(stats.r_meas(), rel=1e-6)
    assert ours.r_pim == pytest.approx(stats.r_pim(), rel=1e-6)
    assert ours.n_observations == stats.all_refl


def test_counts_are_those_of_the_asymmetric_unit(merged):
    seen, d, possible, group, _ = merged
    shells = compute_merging_statistics(seen, d, possible, 5)
    assert sum(shell.n_unique for shell in shells[:-1]) == shells[-1].n_unique == np.sum(~seen.unique.is_absent)
    assert sum(shell.n_possible for shell in shells[:-1]) == shells[-1].n_possible
    assert 0.0 < shells[-1].completeness <= 100.0
    assert shells[0].d_max == pytest.approx(d.max())
    # the operations of P 43 21 2 extinguish 0 0 l but for l = 4 n
    assert np.count_nonzero(possible) > 0
    assert not group.operations().is_systematically_absent([0, 0, 4])


def test_correlations_of_halves_say_how_good_means_are(merged):
    seen, d, possible, _, _ = merged
    shells = compute_merging_statistics(seen, d, possible, 4)
    # two estimates of one quantity
    assert shells[-1].cc_half == pytest.approx(shells[-1].cc_half_sigma_tau, abs=0.02)
    assert shells[0].cc_half > 0.9
    assert shells[-1].mean_i_over_sigma > 1.0


def test_cc_half_from_variances_follows_signal_and_noise():
    experiments, table = make_scaled()
    seen = gather_scaled(experiments[0].crystal.space_group, table, np.ones(len(table), bool))
    rng, group = np.random.default_rng(1), seen.unique.group
    true, n = rng.normal(size=len(seen.unique)), np.bincount(group)
    noisy = true[group] + rng.normal(size=len(seen))
    from dataclasses import replace

    found = compute_cc_half(replace(seen, intensity=noisy), np.ones(len(true), bool))
    # signal 1, noise 1 over half of the observations
    error = np.mean(2.0 / n[n > 1])
    assert found == pytest.approx(1.0 / (1.0 + error), abs=0.03)


def test_correlations_need_three_pairs():
    assert np.isnan(correlate(np.array([1.0, 2.0]), np.array([1.0, 2.0])))
    assert np.isnan(correlate(np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0])))


def test_the_table_has_a_row_for_each_shell_and_one_for_all(merged):
    seen, d, possible, _, _ = merged
    shells = compute_merging_statistics(seen, d, possible, 4)
    table = make_table(shells)
    assert len(table.rows) == len(shells)
    assert table.rows[-1][2] == str(shells[-1].n_observations)
    assert shells[-1].to_dict()["n_unique"] == shells[-1].n_unique
