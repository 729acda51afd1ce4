"""Merged full intensities and what other lattices say, against a slow loop."""

from __future__ import annotations

import numpy as np

from xdp.merging.stills.full import LatticeGroups, merge_full


def test_other_lattices_are_those_without_the_own_observations():
    rng = np.random.default_rng(2)
    row, lattice = rng.integers(0, 5, 40), rng.integers(0, 6, 40)
    values = rng.normal(size=40)
    groups = LatticeGroups.make(row, lattice, 5)
    total, others = groups.sum_all_and_others(values)
    for i in range(40):
        assert np.isclose(others[i], values[(row == row[i]) & (lattice != lattice[i])].sum())
        assert np.isclose(total[row[i]], values[row == row[i]].sum())


def test_a_wild_observation_loses_its_weight():
    row, lattice = np.zeros(6, int), np.arange(6)
    full = np.array([10.0, 11.0, 9.0, 10.5, 9.5, 100.0])
    merged = merge_full(full, np.ones(6), np.zeros(6), LatticeGroups.make(row, lattice, 1), np.full(6, 10.0))
    assert abs(merged.mean[0] - 10.0) < 2.0
    assert merged.weight[5] < 0.1 * merged.weight[0]


def test_a_lone_observation_has_no_others():
    groups = LatticeGroups.make(np.array([0]), np.array([3]), 1)
    merged = merge_full(np.array([5.0]), np.ones(1), np.zeros(1), groups, np.ones(1))
    assert merged.mean.tolist() == [5.0]
    assert np.isinf(merged.other_variance[0])
    expected, spread = merged.expect(np.array([2.0]))
    assert expected[0] == 2.0
    assert np.isinf(spread[0])
