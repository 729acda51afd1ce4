"""Probabilities of Laue groups, on simulated data with and without traps."""

from __future__ import annotations

import pytest
from symmetry_data import CUBIC, HEXAGONAL, ORTHORHOMBIC, TETRAGONAL, make_symmetric

from xdp.symmetry.find import find_symmetry
from xdp.symmetry.laue_group import TWIN_PRIOR


@pytest.mark.parametrize(("space_group", "cell", "hall", "laue"), [
    ("P1", ORTHORHOMBIC, " P 1", "P 1"), ("P2", ORTHORHOMBIC, " P 1", "P 1 2 1"),
    ("P222", ORTHORHOMBIC, " P 1", "P 2 2 2"), ("P4", TETRAGONAL, " P 1", "P 4"),
    ("P422", TETRAGONAL, " P 1", "P 4 2 2"), ("P3", HEXAGONAL, " P 1", "P 3"), ("P321", HEXAGONAL, " P 1", "P 3 2 1"),
    ("P312", HEXAGONAL, " P 1", "P 3 1 2"), ("P6", HEXAGONAL, " P 1", "P 6"), ("P622", HEXAGONAL, " P 1", "P 6 2 2"),
    ("P23", CUBIC, " P 1", "P 2 3"), ("P432", CUBIC, " P 1", "P 4 3 2")])
def test_all_laue_groups_are_found(space_group, cell, hall, laue):
    found = find_symmetry(*make_symmetric(space_group, cell, hall=hall))
    assert found.verdict.laue_class == laue
    assert found.verdict.is_decided
    assert found.verdict.probability > 0.99


@pytest.mark.parametrize("fraction", [0.2, 0.42, 0.5])
def test_a_twin_does_not_get_the_higher_group(fraction):
    found = find_symmetry(*make_symmetric("P4", TETRAGONAL, 90, twin_law="k,h,-l", twin_fraction=fraction))
    assert found.verdict.laue_class != "P 4 2 2"
    assert found.verdict.twin_probability > 0.95
    assert found.verdict.twin_fraction == pytest.approx(fraction, abs=0.06)
    assert any("twin" in line for line in found.verdict.advice)
    if fraction == 0.5:
        # two-folds along the axes, or across them, explain a perfect twin as well
        assert not found.verdict.is_decided


@pytest.mark.parametrize("correlation", [0.3, 0.7, 0.95])
def test_near_symmetry_is_not_taken_for_symmetry(correlation):
    found = find_symmetry(*make_symmetric("P4", TETRAGONAL, 90, near_rotation="k,h,-l", near_correlation=correlation))
    assert found.verdict.laue_class == "P 4"
    assert found.verdict.is_decided
    assert found.verdict.twin_probability < TWIN_PRIOR


def test_few_degrees_leave_it_undecided_and_the_lower_group_is_written():
    found = find_symmetry(*make_symmetric("P422", TETRAGONAL, 3, counts=30.0))
    assert not found.verdict.is_decided
    assert len(found.verdict.alternatives) > 1
    assert found.verdict.advice


def test_elements_have_probabilities():
    found = find_symmetry(*make_symmetric("P4", TETRAGONAL))
    posterior = found.posterior
    assert posterior.probability.sum() == pytest.approx(1.0)
    assert sorted(posterior.element.round(2)) == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert posterior.list_likely(0.95)[0] == posterior.groups[posterior.probability.argmax()]
