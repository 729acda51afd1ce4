"""Expected intensities: directions, translations, and the symmetry that they must have."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from merged_data import draw_merged

from xdp.merging.amplitudes import compute_amplitudes, expect_shell_means
from xdp.merging.unique import find_unique
from xdp.merging.wilson_prior import expect_wilson_means


def draw(symbol, cell, d_min, tensor, seed=1, noise=0.3):
    """Intensities of anisotropic crystals with errors, and their true means."""
    group, unit = gemmi.SpaceGroup(symbol), gemmi.UnitCell(*cell)
    unique = find_unique(group, gemmi.make_miller_array(unit, group, d_min))
    q = unique.hkl @ np.array(unit.frac.mat.tolist())
    d = 1.0 / np.linalg.norm(q, axis=1)
    mean = 100.0 * np.exp(-10.0 / d**2 - 0.5 * np.einsum("ni,ij,nj->n", q, tensor, q)) * unique.epsilon
    rng = np.random.default_rng(seed)
    normal = np.square(rng.normal(size=(len(d), 2)))
    J = mean * np.where(unique.is_centric, normal[:, 0], normal.mean(axis=1))
    sigma = noise * np.sqrt(mean * 100.0) ** 0.5 + 0.0 * d
    return group, unique, d, mean, J + sigma * rng.normal(size=len(d)), sigma, J


CELL = (45.0, 55.0, 65.0, 90.0, 90.0, 90.0)


@pytest.mark.parametrize("symbol", ["P 1", "P 21 21 21"])
def test_the_tensor_is_found(symbol):
    true = np.diag([25.0, -5.0, -20.0])
    group, unique, d, mean, value, sigma, _ = draw(symbol, CELL, 2.2, true)
    found = expect_wilson_means(value, sigma, d, unique, CELL, group)
    np.testing.assert_allclose(found.tensor, true, atol=4.0)
    assert np.trace(found.tensor) == pytest.approx(0.0, abs=1e-9)
    assert np.median(np.abs(found.expected / mean - 1.0)) < 0.08
    plain = expect_shell_means(value, sigma, d, unique.epsilon)
    assert np.median(np.abs(found.expected / mean - 1.0)) < 0.5 * np.median(np.abs(plain / mean - 1.0))


@pytest.mark.parametrize(("symbol", "cell", "free"), [
    ("P 43 21 2", (60.0, 60.0, 40.0, 90.0, 90.0, 90.0), 1), ("P 63", (50.0, 50.0, 70.0, 90.0, 90.0, 120.0), 1),
    ("I 2 3", (60.0, 60.0, 60.0, 90.0, 90.0, 90.0), 0)])
def test_the_tensor_has_the_symmetry_of_the_crystal(symbol, cell, free):
    group, unique, d, _, value, sigma, _ = draw(symbol, cell, 2.5, np.diag([5.0, 5.0, -10.0]) * free)
    found = expect_wilson_means(value, sigma, d, unique, cell, group)
    np.testing.assert_allclose(found.tensor - np.diag(np.diag(found.tensor)), 0.0, atol=1e-9)
    assert found.tensor[0, 0] == pytest.approx(found.tensor[1, 1], abs=1e-9)
    assert bool(np.any(found.tensor)) == bool(free)


def test_amplitudes_of_anisotropic_crystals_come_nearer_to_the_truth():
    group, unique, d, _, value, sigma, J = draw("P 21 21 21", CELL, 2.0, np.diag([40.0, -5.0, -35.0]), noise=0.8)
    errors = {}
    for anisotropic in (True, False):
        prior = expect_wilson_means(value, sigma, d, unique, CELL, group, anisotropic=anisotropic)
        F, _ = compute_amplitudes(value, sigma, prior.expected, unique.is_centric)
        errors[anisotropic] = np.sqrt(np.mean(np.square(F - np.sqrt(J))))
    assert errors[True] < 0.97 * errors[False]


def test_an_isotropic_set_gets_what_shells_give():
    group, unique, d, _, value, sigma, _ = draw("P 21 21 21", CELL, 2.0, np.zeros((3, 3)))
    F = [compute_amplitudes(value, sigma, prior, unique.is_centric)[0]
         for prior in (expect_wilson_means(value, sigma, d, unique, CELL, group).expected,
                       expect_shell_means(value, sigma, d, unique.epsilon))]
    assert np.sqrt(np.mean(np.square(F[0] / F[1] - 1.0))) < 0.01


def test_a_translation_modulates_the_means():
    rng, cell = np.random.default_rng(2), (60.0, 70.0, 80.0, 90.0, 90.0, 90.0)
    drawn = draw_merged("P 21 21 21", cell, 3.0, rng, shift=(0.5, 0.0, 0.5))
    found = expect_wilson_means(drawn.intensity, drawn.sigma, drawn.d, drawn.unique, cell, drawn.group,
                               translation=(0.5, 0.0, 0.5))
    odd = (drawn.unique.hkl[:, 0] + drawn.unique.hkl[:, 2]) % 2 == 1
    # all that these have is error: the depth stops short of 1
    assert found.modulation > 0.9
    ratio = found.expected[odd].mean() / found.expected[~odd].mean()
    assert ratio < 0.06
    plain = expect_wilson_means(drawn.intensity, drawn.sigma, drawn.d, drawn.unique, cell, drawn.group)
    assert plain.modulation == 0.0


def test_few_reflections_get_no_tensor():
    cell = (15.0, 16.0, 17.0, 90.0, 90.0, 90.0)
    group, unique, d, _, value, sigma, _ = draw("P 1", cell, 3.0, np.diag([9.0, 0, -9.0]))
    assert not np.any(expect_wilson_means(value, sigma, d, unique, cell, group).tensor)
