"""Screw axes from the reflections that they extinguish."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import CUBIC, HEXAGONAL, ORTHORHOMBIC, TETRAGONAL, make_symmetric

from xdp.indexing.lattice.symmetry import find_space_group
from xdp.symmetry.absences import AxialReflections, list_candidates, weigh_space_groups
from xdp.symmetry.find import find_symmetry
from xdp.symmetry.setting import ConventionalSetting


def make_axial(hkl: list, e2: list) -> AxialReflections:
    e2 = np.asarray(e2, np.float64)
    return AxialReflections(np.asarray(hkl), e2, np.full(len(e2), 1e-4), np.zeros(len(e2)), np.zeros(len(e2)))


def name_classes(group: str, axial: AxialReflections) -> list[tuple[set[str], float]]:
    setting = ConventionalSetting(find_space_group(group), np.eye(3))
    classes = weigh_space_groups(axial, setting, list_candidates(setting))
    return [({g.short_name() for g in c.groups}, c.probability) for c in classes]


def test_missing_axes_leave_their_groups_open():
    # a is measured and has a screw axis; nothing is known of c
    axial = make_axial([[k, 0, 0] for k in (3, 5, 7, 9, 11)], [0.0] * 5)
    names, probability = name_classes("P422", axial)[0]
    assert names == {"P4212", "P42212", "P41212", "P43212"}
    assert probability > 0.99


def test_nothing_measured_leaves_all_open():
    classes = name_classes("P4", make_axial(np.zeros((0, 3), int), []))
    assert len(classes) == 1
    assert classes[0][0] == {"P4", "P41", "P42", "P43"}


def test_two_absent_indices_are_no_proof_but_many_are():
    few = name_classes("P2", make_axial([[0, 3, 0]], [0.03]))
    many = name_classes("P2", make_axial([[0, k, 0] for k in range(1, 20, 2)], [0.01] * 10))
    assert 0.5 < few[0][1] < 0.95
    assert many[0][0] == {"P21"}
    assert many[0][1] > 0.999


def test_one_strong_reflection_does_not_hide_a_screw_axis():
    # double diffraction at one index of twelve
    e2 = [0.01] * 11 + [0.2]
    assert name_classes("P2", make_axial([[0, k, 0] for k in range(1, 24, 2)], e2))[0][0] == {"P21"}
    assert name_classes("P2", make_axial([[0, k, 0] for k in range(1, 24, 2)], [1.0] * 12))[0][0] == {"P2"}


def test_candidates_are_complete():
    setting = ConventionalSetting(find_space_group("P222"), np.eye(3))
    assert len(list_candidates(setting)) == 8
    # all 30 primitive orthorhombic groups, in the settings that tables have
    assert {g.number for g in list_candidates(setting, all_groups=True)} == {
        *range(16, 20), *range(25, 35), *range(47, 63)}


@pytest.mark.parametrize(("space_group", "cell", "names"), [
    ("P212121", ORTHORHOMBIC, {"P212121"}), ("P43212", TETRAGONAL, {"P41212", "P43212"}),
    ("P61", HEXAGONAL, {"P61", "P65"}), ("P213", CUBIC, {"P213"})])
def test_space_groups_are_found_where_all_axes_are_measured(space_group, cell, names):
    found = find_symmetry(*make_symmetric(space_group, cell, 180))
    assert names <= set(found.verdict.space_groups)
    if found.verdict.is_space_group_decided:
        assert set(found.verdict.space_groups) == names


def test_small_molecules_may_have_glide_planes():
    found = find_symmetry(*make_symmetric("P21/c", (20.0, 25.0, 30.0, 90.0, 100.0, 90.0), 150, d_min=1.9),
                          small_molecule=True)
    assert found.verdict.laue_class == "P 1 2 1"
    assert set(found.verdict.space_groups) == {"P21/c"}
