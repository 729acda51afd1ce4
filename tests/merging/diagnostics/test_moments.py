"""Moments and the L test, against drawn intensities and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from merged_data import draw_merged

from xdp.merging.diagnostics.moments import compute_moments, estimate_fraction_from_l, find_neighbours
from xdp.merging.diagnostics.normalise import normalise


def make_moments(**named):
    drawn = draw_merged("P 41", (78, 78, 38, 90, 90, 90), 1.9, np.random.default_rng(3), noise=0.03, **named)
    return compute_moments(normalise(drawn.unique.hkl, drawn.intensity, drawn.sigma, drawn.d, drawn.unique.epsilon,
                                     drawn.unique.is_centric))


def test_crystals_without_twinning():
    found = make_moments()
    # standard errors: 0.02 of the second moment with 8,000 reflections, 0.15 with 400 centric ones, 0.002 of |L|
    assert found.second_acentric == pytest.approx(2.0, abs=0.08)
    assert found.second_centric == pytest.approx(3.0, abs=0.5)
    assert found.mean_abs_l == pytest.approx(0.5, abs=0.01)
    assert found.mean_square_l == pytest.approx(1.0 / 3.0, abs=0.01)
    assert found.twin_fraction_l < 0.02


def test_perfect_twins():
    found = make_moments(law="-x,y,-z", fraction=0.5)
    assert found.second_acentric == pytest.approx(1.5, abs=0.06)
    # errors of 3 % of the root raise |L| of weak pairs: 0.375 to at most 0.385
    assert 0.37 < found.mean_abs_l < 0.39


def test_neighbours_are_those_of_a_slow_search():
    rng = np.random.default_rng(1)
    hkl = np.unique(rng.integers(-6, 7, size=(300, 3)), axis=0)
    steps = {(2, 0, 0), (0, 2, 0), (0, 0, 2)}
    slow = {(i, j) for i in range(len(hkl)) for j in range(len(hkl)) if tuple(hkl[j] - hkl[i]) in steps}
    assert set(zip(*(rows.tolist() for rows in find_neighbours(hkl)), strict=True)) == slow


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.4])
def test_expected_differences_of_twins(fraction):
    J = np.random.default_rng(1).exponential(size=(4, 400_000))
    a, b = (1 - fraction) * J[0] + fraction * J[1], (1 - fraction) * J[2] + fraction * J[3]
    # 0.0005 of |L| is 0.005 of the fraction at 0.1, and 0.03 at 0.4, where the curve is flat
    assert estimate_fraction_from_l(np.mean(np.abs((a - b) / (a + b)))) == pytest.approx(fraction, abs=0.03)


def test_too_few_reflections_have_no_moments():
    none = np.zeros(0)
    found = compute_moments(normalise(np.zeros((0, 3), int), none, none, none, none, none.astype(bool)))
    assert found.to_dict()["mean_abs_l"] is None
    assert found.n_acentric == found.n_pairs == 0
