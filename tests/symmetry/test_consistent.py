"""Consistent indexing of normalised data sets that were drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.intensities.lattice import find_lattice_group
from xdp.intensities.normalised import NormalisedIntensities, pack_indices
from xdp.symmetry.consistent import choose_indexing

LATTICE = find_lattice_group(np.diag([40.0, 40.0, 60.0]), np.eye(3))
GRID = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
#: The four-fold group of the lattice.
FOUR = next(g for g in LATTICE.subgroups if len(g) == 4 and max(
    int(np.trace(LATTICE.rotations[r])) for r in g if r) == 1)


def draw_sets(n: int, size: int = 250, strangers: tuple[int, ...] = (), noise: float = 0.2, seed: int = 1):
    """Data sets of P4, half of them indexed the other way, and the choices that undo it."""
    rng = np.random.default_rng(seed)
    other = next(r for r in range(8) if r not in FOUR)
    orbit = np.min([pack_indices(GRID @ LATTICE.rotations[g])[0] for g in FOUR], axis=0)
    _, number = np.unique(orbit, return_inverse=True)
    J, strange = rng.exponential(size=(2, number.max() + 1))
    sets, flips = [], rng.random(n) < 0.5
    for k in range(n):
        rows = rng.choice(len(GRID), size, replace=False)
        e2 = (strange if k in strangers else J)[number[rows]] + noise * rng.normal(size=size)
        hkl = GRID[rows] @ (LATTICE.rotations[other] if flips[k] else np.eye(3, dtype=int))
        key, is_mate = pack_indices(hkl)
        _, first = np.unique(key, return_index=True)
        hkl = np.where(is_mate[:, None], -hkl, hkl)[first]
        n_rows = len(first)
        sets.append(NormalisedIntensities(hkl, key[first], e2[first], np.full(n_rows, noise**2), np.zeros(n_rows),
                                          np.full(n_rows, 3.0), np.zeros((0, 6)), size, 3.0))
    return sets, flips


@pytest.mark.parametrize("seed", range(3))
def test_every_set_is_indexed_alike(seed):
    sets, flips = draw_sets(12, seed=seed)
    found = choose_indexing(sets, LATTICE, FOUR)
    is_other = ~np.isin(found.rotation, FOUR)
    # all are right, or all the other way round
    assert np.all(is_other == flips) or np.all(is_other == ~flips)
    assert np.all(found.probability > 0.99)
    assert not any(found.reason)


def test_strangers_are_set_aside_even_as_the_first():
    sets, flips = draw_sets(12, strangers=(0, 5))
    sets[0] = draw_sets(1, 400, strangers=(0,))[0][0]
    found = choose_indexing(sets, LATTICE, FOUR)
    assert np.flatnonzero(found.rotation < 0).tolist() == [0, 5]
    assert "in none of 2 ways" in found.reason[5]
    assert len(set((~np.isin(found.rotation, FOUR) ^ flips)[found.rotation >= 0])) == 1


def test_sets_with_too_little_in_common_are_said_to():
    sets, _ = draw_sets(6)
    few, _ = draw_sets(1, 2)
    found = choose_indexing([*sets, *few], LATTICE, FOUR)
    assert found.rotation[-1] == -1
    assert "reflections in common" in found.reason[-1]


def test_the_order_of_sets_does_not_matter():
    sets, _ = draw_sets(10)
    one, two = choose_indexing(sets, LATTICE, FOUR), choose_indexing(sets[::-1], LATTICE, FOUR)
    is_other = [~np.isin(r, FOUR) for r in (one.rotation, two.rotation[::-1])]
    assert np.all(is_other[0] == is_other[1]) or np.all(is_other[0] != is_other[1])
