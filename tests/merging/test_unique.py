"""Indices in the asymmetric unit against gemmi's, one at a time; mates, centric and absent reflections."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.merging.unique import find_unique, list_rotations
from xdp.space_groups import space_group_from_hall

GROUPS = ["P 1", "P -1", "C 1 2 1", "I 1 2 1", "P 43 21 2", "R 3:H", "P 63/m", "I 2 3", "F d -3 m"]


def draw_indices(n=600, seed=3):
    hkl = np.random.default_rng(seed).integers(-9, 10, (n, 3))
    return hkl[np.any(hkl != 0, axis=1)]


@pytest.mark.parametrize("name", GROUPS)
def test_indices_are_those_of_gemmi(name):
    group, hkl = gemmi.SpaceGroup(name), draw_indices()
    found = find_unique(group, hkl)
    unit, operations = gemmi.ReciprocalAsu(group), group.operations()
    for i, index in enumerate(hkl.tolist()):
        standard, operation = unit.to_asu(index, operations)
        assert found.hkl[found.group[i]].tolist() == list(standard)
        # an even number of MTZ's M/ISYM is an observation of the mate; a centric reflection has none
        centric = operations.is_reflection_centric(index)
        assert found.is_minus[i] == (operation % 2 == 0 and not centric)
        assert found.is_centric[found.group[i]] == centric
        assert found.epsilon[found.group[i]] == operations.epsilon_factor_without_centering(index)
        assert found.is_absent[found.group[i]] == operations.is_systematically_absent(index)
    # in ascending order, each once
    assert found.hkl.tolist() == [list(x) for x in sorted(set(map(tuple, found.hkl.tolist())))]


def test_mates_apart_are_numbered_without_gaps():
    found = find_unique(gemmi.SpaceGroup("P 1"), np.array([[1, 2, 3], [-1, -2, -3], [1, 2, 3], [0, 0, -2]]))
    group, row = found.group_mates_apart()
    # 0 0 2 was seen as its mate only
    assert found.hkl.tolist() == [[0, 0, 2], [1, 2, 3]]
    assert group.tolist() == [1, 2, 1, 0]
    assert row.tolist() == [0, 1, 1]
    assert found.is_minus.tolist() == [False, True, False, True]


def test_untabulated_axes_have_representatives_that_are_equivalent():
    group = space_group_from_hall(" I 2 2 3 (y+z,x+z,x+y)")
    hkl = draw_indices(200)
    found = find_unique(group, hkl)
    rotations = list_rotations(group)
    for index, chosen in zip(hkl, found.hkl[found.group], strict=True):
        equivalents = np.concatenate([index @ rotations, -index @ rotations])
        assert np.any(np.all(equivalents == chosen, axis=1))
    # all equivalents of an index are of one group
    again = find_unique(group, hkl @ rotations[5])
    assert np.array_equal(again.hkl[again.group], found.hkl[found.group])


def test_no_observations():
    found = find_unique(gemmi.SpaceGroup("P 1"), np.zeros((0, 3), int))
    assert len(found) == 0
    assert found.group.shape == (0,)


def test_an_index_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="1024 is too large: 1023 at most"):
        find_unique(gemmi.SpaceGroup("P 1"), np.array([[0, 0, 1024]]))
