"""Pairs of related reflections, and their correlation."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import TETRAGONAL, make_symmetric

from xdp.intensities.lattice import describe_rotation, find_lattice_group
from xdp.intensities.normalised import pack_indices
from xdp.intensities.pairs import (
    IntensityPairs,
    choose_best,
    estimate_correlation,
    find_general,
    pair_by_rotation,
    pair_repeats,
)
from xdp.symmetry.normalise import gather_rows, merge_rows, normalise_rows
from xdp.symmetry.options import SymmetryOptions


@pytest.fixture(scope="module")
def general():
    experiments, table = make_symmetric("P4", TETRAGONAL, 90)
    lattice = find_lattice_group(experiments[0].crystal.real_space_matrix, np.eye(3))
    rows, options = gather_rows(experiments, table, lattice, SymmetryOptions()), SymmetryOptions()
    return find_general(merge_rows(rows, normalise_rows(rows, lattice, options), options), lattice), lattice


def test_general_reflections_are_on_no_axis_and_in_no_zone(general):
    found, lattice = general
    for rotation in lattice.rotations[1:]:
        turned = found.data.hkl @ rotation
        assert not np.any(np.all(turned == found.data.hkl, axis=1) | np.all(turned == -found.data.hkl, axis=1))
    # orbits of 4/mmm have up to eight reflections without mates
    assert 2.0 <= found.mean_members <= 8.0


def test_pairs_are_those_that_a_loop_finds(general):
    found, lattice = general
    rotation, place = lattice.rotations[3], {int(k): i for i, k in enumerate(found.data.key)}
    seen = set()
    for i, h in enumerate(found.data.hkl):
        j = place.get(int(pack_indices((h @ rotation)[None])[0][0]))
        if j is not None:
            seen.add((min(i, j), max(i, j)))
    pairs = pair_by_rotation(found, rotation)
    assert len(pairs) == len(seen)
    assert np.sort(pairs.total) == pytest.approx(sorted(found.data.e2[i] + found.data.e2[j] for i, j in seen))


def test_correlations_tell_symmetry_from_chance(general):
    found, lattice = general
    for rotation in lattice.rotations[1:]:
        order, axis = describe_rotation(rotation)
        correlation, error = estimate_correlation(pair_by_rotation(found, rotation))
        # the two-fold along c, which is the only axis of 62 Å
        is_element = order == 4 or np.linalg.norm(axis @ lattice.basis) == pytest.approx(62.0)
        assert correlation == pytest.approx(1.0 if is_element else 0.0, abs=5.0 * error + 0.02)
        assert error < 0.1
    assert estimate_correlation(pair_repeats(found.data))[0] > 0.97


def test_noise_is_taken_out_of_correlations():
    rng = np.random.default_rng(2)
    true, noise = rng.exponential(size=20000), rng.normal(size=(2, 20000))
    x, y = true + noise
    pairs = IntensityPairs(x + y, x - y, np.full(20000, 2.0), np.zeros(20000))
    correlation, error = estimate_correlation(pairs)
    assert correlation == pytest.approx(1.0, abs=4.0 * error)
    assert estimate_correlation(pairs.select(np.arange(2)))[1] == np.inf


def test_the_best_pairs_are_the_most_significant():
    pairs = IntensityPairs(np.array([1.0, 5.0, 3.0]), np.zeros(3), np.ones(3), np.zeros(3))
    assert choose_best(pairs, 2).total.tolist() == [5.0, 3.0]
    assert len(choose_best(pairs, 5)) == 3
