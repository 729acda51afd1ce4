"""The rotations of lattices and their groups."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.intensities.lattice import describe_rotation, find_lattice_group, restrict_lattice_group

HEXAGONAL = np.array([[10.0, 0.0, 0.0], [-5.0, 5.0 * np.sqrt(3.0), 0.0], [0.0, 0.0, 17.0]])


@pytest.mark.parametrize(("axes", "n", "n_groups"), [
    # the numbers of subgroups of 1, 222, 422, 622 and 432 (International Tables A, section 3.2.3)
    (np.array([[10.0, 0.0, 0.0], [1.0, 11.0, 0.0], [2.0, 3.0, 13.0]]), 1, 1), (np.diag([10.0, 11.0, 13.0]), 4, 5),
    (np.diag([10.0, 10.0, 13.0]), 8, 10), (HEXAGONAL, 12, 16), (np.diag([10.0, 10.0, 10.0]), 24, 30)])
def test_lattices_have_their_rotations_and_groups(axes, n, n_groups):
    lattice = find_lattice_group(axes, np.eye(3))
    assert len(lattice.rotations) == n
    assert len(lattice.subgroups) == n_groups
    np.testing.assert_array_equal(lattice.rotations[0], np.eye(3))
    # each keeps the metric
    metric = lattice.basis @ lattice.basis.T
    for rotation in lattice.rotations:
        np.testing.assert_allclose(rotation.T @ metric @ rotation, metric, atol=1e-9)


def test_centred_cells_are_made_primitive():
    half = np.array([[0.5, 0.5, 0.0], [-0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    lattice = find_lattice_group(np.diag([30.0, 40.0, 50.0]), half)
    assert len(lattice.rotations) == 4
    assert abs(np.linalg.det(lattice.basis)) == pytest.approx(30.0 * 40.0 * 50.0 / 2.0)
    hkl = np.array([[1, 1, 2]]) @ lattice.from_input.T
    np.testing.assert_allclose(hkl, np.round(hkl), atol=1e-9)


def test_the_tolerance_decides_on_near_symmetry():
    axes = np.array([[10.0, 0.0, 0.0], [0.0, 11.0, 0.0], [13.0 * np.cos(np.radians(91.0)), 0.0, 13.0]])
    assert len(find_lattice_group(axes, np.eye(3), 2.0).rotations) == 4
    assert len(find_lattice_group(axes, np.eye(3), 0.5).rotations) == 2
    assert find_lattice_group(axes, np.eye(3), 2.0).deltas.max() == pytest.approx(1.0, abs=0.01)


def test_double_cosets_share_out_the_other_rotations():
    lattice = find_lattice_group(np.diag([10.0, 10.0, 10.0]), np.eye(3))
    for group in lattice.subgroups:
        cosets = lattice.list_double_cosets(group)
        assert sorted(r for c in cosets for r in c) == sorted(set(range(24)) - set(group))


def test_a_lattice_can_be_restricted():
    lattice = find_lattice_group(np.diag([10.0, 10.0, 13.0]), np.eye(3))
    keep = np.array([describe_rotation(r)[0] != 4 for r in lattice.rotations])
    assert len(restrict_lattice_group(lattice, keep).rotations) == 4
