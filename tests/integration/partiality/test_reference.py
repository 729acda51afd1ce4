from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.integration.partiality.reference import (
    ReferenceIntensities,
    combine_with_shells,
    compute_epsilons,
    find_unique_keys,
)
from xdp.merging.unique import find_unique

GROUP = gemmi.SpaceGroup("P 43 21 2")


def test_keys_are_equal_for_equivalents_alone():
    hkl = np.random.default_rng(0).integers(-6, 7, (500, 3))
    keys, unique = find_unique_keys(GROUP, hkl), find_unique(GROUP, hkl)
    # merging's own code for the same question
    assert len(np.unique(np.column_stack([keys, unique.group]), axis=0)) == len(unique)
    assert len(np.unique(keys)) == len(unique)
    np.testing.assert_array_equal(compute_epsilons(GROUP, hkl), unique.epsilon[unique.group])


def test_known_intensities_are_expected_and_others_get_their_shells_mean():
    rng = np.random.default_rng(1)
    hkl = np.argwhere(np.ones((9, 9, 9)))[1:]
    truth = rng.exponential(100.0, len(hkl))
    # equivalents must agree: take one of each
    _, first = np.unique(find_unique_keys(GROUP, hkl), return_index=True)
    hkl, truth = hkl[first], truth[first] * compute_epsilons(GROUP, hkl[first])
    metric = np.diag([1e-4, 1e-4, 4e-4])
    reference = ReferenceIntensities.build(GROUP, metric, hkl[::2], truth[::2], np.full(len(truth[::2]), 1.0))
    expected, spread = reference.expect(-hkl[::2])
    strong = truth[::2] > 20.0
    np.testing.assert_allclose(expected[strong], truth[::2][strong], rtol=0.01)
    assert np.all(spread[strong] < 0.01)
    others, spread = reference.expect(hkl[1::2])
    assert np.all(np.isinf(spread))
    assert others.mean() == pytest.approx(truth.mean(), rel=0.2)


def test_a_weak_merged_intensity_is_not_nothing():
    expected, spread = combine_with_shells(np.array([-3.0]), np.array([4.0]), np.array([10.0]))
    assert 0.0 < expected[0] < 3.0
    assert np.isinf(spread[0])
