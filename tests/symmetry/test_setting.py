"""Conventional axes of groups of rotations."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment.crystal import b_matrix, cell_of
from xdp.indexing.lattice.symmetry import find_primitive_change, find_space_group
from xdp.intensities.lattice import find_lattice_group, list_proper_rotations, move_rotations
from xdp.symmetry.setting import find_setting

CELLS = {"P1": (41, 52, 63, 85, 95, 100), "P2": (40, 50, 60, 90, 100, 90), "C2": (80, 50, 60, 90, 100, 90),
         "P222": (40, 50, 60, 90, 90, 90), "C222": (40, 70, 60, 90, 90, 90), "F222": (80, 90, 110, 90, 90, 90),
         "I222": (40, 50, 60, 90, 90, 90), "P4": (50, 50, 80, 90, 90, 90), "I422": (50, 50, 80, 90, 90, 90),
         "P312": (50, 50, 80, 90, 90, 120), "P321": (50, 50, 80, 90, 90, 120), "R3": (60, 60, 90, 90, 90, 120),
         "R32": (60, 60, 90, 90, 90, 120), "P6": (50, 50, 80, 90, 90, 120), "P23": (50,) * 3 + (90,) * 3,
         "F432": (90,) * 3 + (90,) * 3, "I23": (70,) * 3 + (90,) * 3}


@pytest.mark.parametrize("name", CELLS)
def test_groups_come_back_on_their_axes(name):
    group, cell = find_space_group(name), tuple(map(float, CELLS[name]))
    axes = np.linalg.inv(b_matrix(cell))
    lattice = find_lattice_group(axes, find_primitive_change(group))
    moved = move_rotations(list_proper_rotations(group), np.linalg.inv(lattice.from_input))
    numbers = {r.tobytes(): k for k, r in enumerate(lattice.rotations)}
    chosen = tuple(sorted(numbers[r.tobytes()] for r in moved))
    found = find_setting(chosen, lattice, 2.0, best_beta=False)
    assert found.group.number == group.number
    new = cell_of(found.transform @ lattice.basis)
    if name != "P1":
        assert np.sort(new[:3]) == pytest.approx(np.sort(cell[:3]))
    assert np.linalg.det(found.transform) > 0


def test_beta_is_brought_nearer_to_ninety_degrees_by_i_centring():
    cell = (60.0, 50.0, 60.0, 90.0, 132.0, 90.0)
    lattice = find_lattice_group(np.linalg.inv(b_matrix(cell)), find_primitive_change(find_space_group("C2")))
    group = max(lattice.subgroups, key=lambda g: (len(g) == 2, -max(lattice.deltas[list(g)])))
    as_c = find_setting(group, lattice, 2.0, best_beta=False)
    as_best = find_setting(group, lattice, 2.0)
    betas = [abs(cell_of(s.transform @ lattice.basis)[4] - 90.0) for s in (as_c, as_best)]
    assert betas[1] <= betas[0]
    assert as_c.group.xhm() == "C 1 2 1"
