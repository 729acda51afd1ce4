"""Pools merge in any order and groups to the same pool."""

import numpy as np
import pytest
from consensus_data import P21, pool_stills

from xdp.serial.consensus.options import ConsensusOptions
from xdp.serial.consensus.pool import CandidatePool, merge_pools


@pytest.fixture(scope="module")
def shots():
    return pool_stills("mP", P21, range(1, 9), n_spots=12, options=ConsensusOptions(max_cell=(65.0,)))


def list_bytes(pool):
    return [(s.key, s.points.tobytes(), s.bases.tobytes()) for s in pool.shots]


@pytest.mark.parametrize("most", [3, 5, 100])
def test_any_order_and_any_groups_give_the_same_pool(shots, most):
    expected = list_bytes(merge_pools(shots, most))
    assert len(expected) == min(most, len(shots))
    rng = np.random.default_rng(1)
    for _ in range(10):
        order = [shots[k] for k in rng.permutation(len(shots))]
        cut = np.sort(rng.integers(0, len(order) + 1, 2))
        parts = [merge_pools(order[a:b], most) for a, b in zip([0, *cut], [*cut, len(order)], strict=True)]
        assert list_bytes(merge_pools(parts, most)) == expected


def test_a_shot_that_comes_twice_counts_once(shots):
    assert list_bytes(merge_pools([*shots, *shots])) == list_bytes(merge_pools(shots))


def test_nothing_gives_an_empty_pool():
    assert merge_pools([]) == CandidatePool()
    assert len(merge_pools([CandidatePool()])) == 0
