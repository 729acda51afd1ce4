"""Bravais settings of known cells, disguised by random primitive axes; known cells and groups found again."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import OptionError
from xdp.experiment.crystal import b_matrix, cell_of
from xdp.indexing.lattice.bravais import bravais_settings
from xdp.indexing.lattice.symmetry import (
    LOWEST_GROUP,
    chiral_groups,
    known_crystals,
    lattice_crystal,
    primitive_axes,
    space_group,
    symmetric_crystal,
)
from xdp.indexing.options import KnownSymmetry
from xdp.refinement.parameters.rotations import make_rotation

CELLS = {"aP": (30, 41, 52, 80, 95, 105), "mP": (30, 41, 52, 90, 99, 90), "mC": (70, 41, 52, 90, 111, 90),
         "oP": (30, 41, 52, 90, 90, 90), "oC": (30, 61, 52, 90, 90, 90), "oI": (30, 41, 52, 90, 90, 90),
         "oF": (30, 41, 52, 90, 90, 90), "tP": (40, 40, 71, 90, 90, 90), "tI": (40, 40, 71, 90, 90, 90),
         "hP": (50, 50, 80, 90, 90, 120), "hR": (50, 50, 160, 90, 90, 120), "cP": (60, 60, 60, 90, 90, 90),
         "cI": (60, 60, 60, 90, 90, 90), "cF": (60, 60, 60, 90, 90, 90)}


def disguised(cell: tuple, centring: str, seed: int) -> np.ndarray:
    """Primitive axes of a cell, turned at random and replaced by other axes of the same lattice."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    turn = make_rotation(axis / np.linalg.norm(axis), rng.uniform(0, np.pi))
    change = np.eye(3, dtype=int)
    for _ in range(3):
        i, j = rng.choice(3, 2, replace=False)
        step = np.eye(3, dtype=int)
        step[i, j] = rng.integers(-2, 3)
        change = step @ change
    return change @ primitive_axes(np.linalg.inv(b_matrix(cell)), centring) @ turn.T


@pytest.mark.parametrize("lattice", list(CELLS))
def test_highest_setting_is_the_true_one(lattice: str):
    axes = disguised(CELLS[lattice], lattice[1], 5)
    best, *_, last = [*bravais_settings(axes, 1.0)] * 2
    assert best.lattice == lattice
    assert last.lattice == "aP"
    np.testing.assert_allclose(best.basis, best.transform @ axes, atol=1e-9)
    if lattice != "aP":
        np.testing.assert_allclose(cell_of(best.basis), CELLS[lattice], rtol=1e-6)


def test_counts_of_settings_of_primitive_lattices():
    """Lattice subgroups of 222, 422 and 32 are textbook: 5, 9 and 5 with the triclinic one."""
    for lattice, count in (("oP", 5), ("tP", 9), ("hR", 5)):
        assert len(bravais_settings(disguised(CELLS[lattice], lattice[1], 2), 0.5)) == count


def test_nearly_right_angles_have_their_delta():
    settings = bravais_settings(np.linalg.inv(b_matrix((30, 41, 52, 90, 90.4, 90))), 2.0)
    assert settings[0].lattice == "oP"
    assert settings[0].delta == pytest.approx(0.4, abs=0.01)
    assert settings[-2].lattice == "mP" or any(s.lattice == "mP" and s.delta < 1e-6 for s in settings)


@pytest.mark.parametrize("lattice", list(LOWEST_GROUP))
def test_lattice_crystal_obeys_its_group_and_keeps_its_orientation(lattice: str):
    axes = disguised(CELLS[lattice], lattice[1], 9)
    setting = bravais_settings(axes, 1.0)[0]
    crystal = lattice_crystal(setting)
    np.testing.assert_allclose(crystal.real_space_matrix, setting.basis, atol=1e-6)
    assert crystal.space_group.number == LOWEST_GROUP[lattice]


def test_known_group_and_cell_choose_the_order_of_axes():
    axes = disguised((41, 52, 30, 90, 90, 90), "P", 3)
    plain = known_crystals(axes, KnownSymmetry(space_group="P212121"))[0]
    np.testing.assert_allclose(plain.unit_cell, (30, 41, 52, 90, 90, 90), rtol=1e-6)
    ordered = known_crystals(axes, KnownSymmetry(space_group="P212121", unit_cell=(41, 52, 30, 90, 90, 90)))[0]
    np.testing.assert_allclose(ordered.unit_cell, (41, 52, 30, 90, 90, 90), rtol=1e-6)
    assert np.linalg.det(ordered.real_space_matrix) > 0


def test_known_monoclinic_i_setting():
    c2 = np.linalg.inv(b_matrix((70, 41, 52, 90, 111, 90)))
    crystal = known_crystals(primitive_axes(c2, "C"), KnownSymmetry(space_group="I121"))[0]
    assert crystal.space_group.hm == "I 1 2 1"
    # the same lattice: an I cell has the same volume as the C cell
    assert abs(np.linalg.det(crystal.real_space_matrix)) == pytest.approx(abs(np.linalg.det(c2)))
    inside = primitive_axes(crystal.real_space_matrix, "I") @ np.linalg.inv(primitive_axes(c2, "C"))
    np.testing.assert_allclose(inside, np.round(inside), atol=1e-6)


def test_wrong_cell_or_group_gives_nothing():
    axes = disguised(CELLS["oP"], "P", 1)
    assert not known_crystals(axes, KnownSymmetry(unit_cell=(60, 70, 80, 90, 90, 90)))
    assert not known_crystals(axes, KnownSymmetry(space_group="P43212"))


def test_symmetry_is_imposed_without_turning_the_crystal():
    axes = np.linalg.inv(b_matrix((40.2, 39.8, 71, 90.2, 89.9, 90.1)))
    crystal = symmetric_crystal(axes, space_group("P43212"))
    a, b, _, *angles = crystal.unit_cell
    assert a == pytest.approx(b)
    np.testing.assert_allclose(angles, 90.0, atol=1e-9)
    assert np.abs(crystal.real_space_matrix - axes).max() < 0.4


def test_names_of_groups():
    assert chiral_groups("mC") == ["C2"]
    assert "P43212" in chiral_groups("tP")
    with pytest.raises(OptionError, match="P99"):
        space_group("P99")


def test_a_crystal_read_and_moved_is_written_as_moved():
    """The axes of a crystal that was read from a file are its own, not left over among the unknown keys."""
    from dataclasses import replace

    from xdp.experiment.crystal import Crystal

    source = {"__id__": "crystal", "real_space_a": [10.0, 0, 0], "real_space_b": [0, 11.0, 0],
              "real_space_c": [0, 0, 12.0], "space_group_hall_symbol": " P 1", "ML_half_mosaicity_deg": 0.1}
    moved = replace(Crystal.from_dict(source), real_space_a=(10.5, 0.0, 0.0))
    assert moved.to_dict()["real_space_a"] == [10.5, 0.0, 0.0]
    assert moved.extra == {"ML_half_mosaicity_deg": 0.1}
