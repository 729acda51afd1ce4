"""Known cells and groups found again in disguised lattices; symmetry imposed on crystals."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from lattice_points import LATTICE_CELLS, disguised

from xdp.errors import OptionError, XdpError
from xdp.experiment.crystal import b_matrix
from xdp.indexing.lattice.bravais import find_bravais_settings
from xdp.indexing.lattice.symmetry import (
    LOWEST_GROUP,
    _make_setting_change,
    find_space_group,
    impose_symmetry,
    list_chiral_groups,
    make_lattice_crystal,
    make_primitive_axes,
    match_known_symmetry,
)
from xdp.indexing.options import KnownSymmetry


@pytest.mark.parametrize("lattice", list(LOWEST_GROUP))
def test_lattice_crystal_obeys_its_group_and_keeps_its_orientation(lattice: str):
    axes = disguised(LATTICE_CELLS[lattice], lattice[1], 9)
    setting = find_bravais_settings(axes, 1.0)[0]
    crystal = make_lattice_crystal(setting)
    np.testing.assert_allclose(crystal.real_space_matrix, setting.basis, atol=1e-6)
    assert crystal.space_group.number == LOWEST_GROUP[lattice]


def test_known_group_and_cell_choose_the_order_of_axes():
    axes = disguised((41, 52, 30, 90, 90, 90), "P", 3)
    plain = match_known_symmetry(axes, KnownSymmetry(space_group="P212121"))[0]
    np.testing.assert_allclose(plain.unit_cell, (30, 41, 52, 90, 90, 90), rtol=1e-6)
    ordered = match_known_symmetry(axes, KnownSymmetry(space_group="P212121", unit_cell=(41, 52, 30, 90, 90, 90)))[0]
    np.testing.assert_allclose(ordered.unit_cell, (41, 52, 30, 90, 90, 90), rtol=1e-6)
    assert np.linalg.det(ordered.real_space_matrix) > 0


def test_known_monoclinic_i_setting():
    c2 = np.linalg.inv(b_matrix((70, 41, 52, 90, 111, 90)))
    crystal = match_known_symmetry(make_primitive_axes(c2, "C"), KnownSymmetry(space_group="I121"))[0]
    assert crystal.space_group.hm == "I 1 2 1"
    # the same lattice: an I cell has the same volume as the C cell
    assert abs(np.linalg.det(crystal.real_space_matrix)) == pytest.approx(abs(np.linalg.det(c2)))
    inside = make_primitive_axes(crystal.real_space_matrix, "I") @ np.linalg.inv(make_primitive_axes(c2, "C"))
    np.testing.assert_allclose(inside, np.round(inside), atol=1e-6)


def test_wrong_cell_or_group_gives_nothing():
    axes = disguised(LATTICE_CELLS["oP"], "P", 1)
    assert not match_known_symmetry(axes, KnownSymmetry(unit_cell=(60, 70, 80, 90, 90, 90)))
    assert not match_known_symmetry(axes, KnownSymmetry(space_group="P43212"))


def test_symmetry_is_imposed_without_turning_the_crystal():
    axes = np.linalg.inv(b_matrix((40.2, 39.8, 71, 90.2, 89.9, 90.1)))
    crystal = impose_symmetry(axes, find_space_group("P43212"))
    a, b, _, *angles = crystal.unit_cell
    assert a == pytest.approx(b)
    np.testing.assert_allclose(angles, 90.0, atol=1e-9)
    assert np.abs(crystal.real_space_matrix - axes).max() < 0.4


def test_names_of_groups():
    assert list_chiral_groups("mC") == ["C2"]
    assert "P43212" in list_chiral_groups("tP")
    with pytest.raises(OptionError, match="P99"):
        find_space_group("P99")


@pytest.mark.parametrize(("name", "hall"), [
    ("P43212 (b,c,a)", "P 4nw 2abw (y,z,x)"), ("P 43 21 2 (y,z,x)", "P 4nw 2abw (y,z,x)"),
    (" I 2 2 3 (y+z,x+z,x+y)", "I 2 2 3 (y+z,x+z,x+y)"), ("P21212 (b,c,a)", "P 2ac 2ac"), ("I23", "I 2 2 3")])
def test_groups_on_other_axes_are_named_by_a_change_in_brackets(name: str, hall: str):
    assert find_space_group(name).hall == hall


@pytest.mark.parametrize("name", ["P43212 (b,c)", "X (b,c,a)", "(b,c,a)", "I23 (a+2*b+c,-b+c,a)"])
def test_brackets_that_make_no_group_are_refused(name: str):
    with pytest.raises(XdpError):
        find_space_group(name)


def test_axes_of_every_tabulated_setting_have_its_symmetry():
    """All 564 settings: on these axes the operations of the setting are those of the reference, and so is the centring.

    Half of the operators of settings are their own inverses; the others show which way they act.
    """
    for group in gemmi.spacegroup_table():
        reference = gemmi.get_spacegroup_reference_setting(group.number)
        change = _make_setting_change(group)
        rotations = {tuple(np.ravel(op.rot)) for op in reference.operations().sym_ops}
        for op in group.operations().sym_ops:
            turned = change.T @ np.array(op.rot) @ np.linalg.inv(change.T)
            assert tuple(np.round(np.ravel(turned)).astype(int)) in rotations, group.xhm()
        centring = np.array(reference.operations().cen_ops) / gemmi.Op.DEN
        points = np.vstack([np.array(group.operations().cen_ops) / gemmi.Op.DEN, np.eye(3)]) @ change
        for point in points:
            apart = point - centring
            assert np.abs(apart - np.round(apart)).max(axis=1).min() < 1e-9, group.xhm()


@pytest.mark.parametrize("name", ["A 2 2 2", "B 2 21 2", "P 1 1 21", "R 3:R", "I 1 a 1", "C 4 2 2", "F 1 2 1"])
def test_settings_without_a_known_cell_have_their_own_symmetry(name):
    """A lattice is found again on the axes of a setting: its points by the group's centring are the lattice's."""
    cells = {"A 2 2 2": (40, 50, 60, 90, 90, 90), "B 2 21 2": (40, 50, 60, 90, 90, 90),
             "P 1 1 21": (40, 50, 60, 90, 90, 105), "R 3:R": (50, 50, 50, 75, 75, 75),
             "I 1 a 1": (40, 50, 60, 90, 105, 90), "C 4 2 2": (60, 60, 80, 90, 90, 90),
             "F 1 2 1": (40, 50, 60, 90, 100, 90)}
    axes = np.array(gemmi.UnitCell(*cells[name]).orth.mat.tolist()).T
    letter = "P" if name.endswith(":R") else name[0]
    found = match_known_symmetry(make_primitive_axes(axes, letter), KnownSymmetry(space_group=name))[0]
    ours = make_primitive_axes(found.real_space_matrix, letter)
    # one lattice: each primitive axis is a whole combination of the other cell's
    combination = ours @ np.linalg.inv(make_primitive_axes(axes, letter))
    assert np.allclose(combination, np.round(combination), atol=1e-6)
    assert abs(np.linalg.det(combination)) == pytest.approx(1.0, abs=1e-6)


def test_a_crystal_in_an_untabulated_setting_is_found():
    """P43212 with its four-fold axis along b: the search imposes the symmetry on those axes."""
    axes = np.linalg.inv(b_matrix((79.3, 79.4, 37.8, 90, 90, 90)))
    found = match_known_symmetry(axes, KnownSymmetry(space_group="P43212 (b,c,a)"))
    assert found[0].unit_cell == pytest.approx((79.35, 37.8, 79.35, 90, 90, 90), abs=0.01)
    assert found[0].space_group.xhm() == "P 43 21 2 (b,c,a)"
