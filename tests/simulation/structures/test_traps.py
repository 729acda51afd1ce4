"""True intensities: equal where symmetry says so, and correlated, twinned or modulated as asked for."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from xdp.simulation.structures.traps import StructureOptions, draw_structure

GRID = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
HKL = GRID[(np.abs(GRID).sum(axis=1) > 0) & np.all(GRID != 0, axis=1) & (np.abs(GRID[:, 0]) != np.abs(GRID[:, 1]))]


def draw(group: str, **structure) -> dict[tuple[int, ...], float]:
    J = draw_structure(gemmi.SpaceGroup(group), HKL, StructureOptions(**structure), np.random.default_rng(1))
    return dict(zip(map(tuple, HKL.tolist()), J, strict=True))


def correlate(J: dict) -> float:
    """Of the intensities of h,k,l and k,h,-l."""
    pairs = np.array([(value, J[key[1], key[0], -key[2]]) for key, value in J.items()])
    return float(np.corrcoef(pairs.T)[0, 1])


def test_equivalents_and_mates_are_equal_and_the_mean_is_one():
    J = draw("P 4")
    assert all(J[-a, -b, -c] == v == J[-b, a, c] for (a, b, c), v in J.items())
    values = np.array(list(J.values()))
    assert values.mean() == pytest.approx(1.0, abs=0.1)
    assert np.mean(values**2) == pytest.approx(2.0, abs=0.3)
    assert correlate(J) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("correlation", [0.3, 0.9])
def test_near_symmetry_has_its_correlation(correlation):
    J = draw("P 4", near_rotation="k,h,-l", near_correlation=correlation)
    assert all(J[-b, a, c] == v for (a, b, c), v in J.items())
    assert correlate(J) == pytest.approx(correlation, abs=0.08)


def test_twins_mix_two_intensities():
    J = draw("P 4", twin_law="k,h,-l", twin_fraction=0.5)
    assert all(J[b, a, -c] == pytest.approx(v) for (a, b, c), v in J.items())
    # the second moment of a perfect twin is 1.5
    assert np.mean(np.square(list(J.values()))) == pytest.approx(1.5, abs=0.15)


def test_a_pseudo_translation_weakens_every_other_layer():
    J = draw("P 2", translation=(0.0, 0.0, 0.5), translation_rest=0.1)
    odd = np.mean([v for key, v in J.items() if key[2] % 2])
    even = np.mean([v for key, v in J.items() if not key[2] % 2])
    assert odd == pytest.approx(0.1, abs=0.03)
    assert even == pytest.approx(1.9, abs=0.2)


def test_screw_axes_extinguish():
    hkl = np.array([[0, 0, index] for index in range(1, 9)])
    J = draw_structure(gemmi.SpaceGroup("P 41"), hkl, StructureOptions(), np.random.default_rng(1))
    assert np.flatnonzero(J).tolist() == [3, 7]
