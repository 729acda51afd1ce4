"""E^2 of integrated intensities."""

from __future__ import annotations

import numpy as np
import pytest
from symmetry_data import ORTHORHOMBIC, make_symmetric

from xdp.errors import XdpError
from xdp.intensities.lattice import find_lattice_group
from xdp.intensities.normalised import pack_indices
from xdp.reflections.flags import Flag
from xdp.symmetry.normalise import gather_rows, merge_rows, normalise_rows
from xdp.symmetry.options import SymmetryOptions


def normalise(options=None, **structure):
    experiments, table = make_symmetric("P222", ORTHORHOMBIC, **structure)
    options = options or SymmetryOptions(d_min=None)
    lattice = find_lattice_group(experiments[0].crystal.real_space_matrix, np.eye(3))
    rows = gather_rows(experiments, table, lattice, options)
    return rows, merge_rows(rows, normalise_rows(rows, lattice, options), options), lattice


def test_e2_has_the_mean_one_in_every_direction_and_shell():
    rows, data, lattice = normalise(anisotropy=(0.0, 30.0, 0.0))
    assert len(data) < len(rows)
    assert np.all(np.diff(data.key) > 0)
    general = np.all(data.hkl != 0, axis=1)
    for shell in np.array_split(np.argsort(data.d), 5):
        # Wilson's spread is 1: about 3 % of some 1,000 reflections
        assert data.e2[shell].mean() == pytest.approx(1.0, abs=0.12)
    q = data.hkl @ np.linalg.inv(lattice.basis).T
    axis = np.argmax(np.abs(q), axis=1)
    assert [data.e2[general & (axis == k)].mean() for k in range(3)] == pytest.approx([1.0] * 3, abs=0.12)
    assert np.mean(np.square(data.e2[general])) == pytest.approx(2.0, abs=0.3)


def test_variances_are_those_of_repeated_observations():
    _, data, _ = normalise()
    x, y, a, b, c, d = data.repeats.T
    expected = a + b + (c + d) * np.maximum(0.5 * (x + y), 0.0) + 2.0 * (0.03 * 0.5 * (x + y)) ** 2
    # 3 % stands for what jitter, and the volume between its nodes, leave
    assert np.std((x - y) / np.sqrt(expected)) == pytest.approx(1.0, abs=0.15)


def test_weak_shells_are_left_out_unless_a_limit_is_given():
    _, all_, _ = normalise(counts=20.0, n_frames=90, d_min=2.5)
    _, strong, _ = normalise(SymmetryOptions(), counts=20.0, n_frames=90, d_min=2.5)
    assert 4000 <= len(strong) < len(all_)
    assert strong.d_min > all_.d_min
    rows, _, _ = normalise(SymmetryOptions(d_min=4.0))
    assert rows.d.min() >= 4.0


def test_nothing_to_use_is_said():
    experiments, table = make_symmetric("P222", ORTHORHOMBIC)
    none = table.with_columns(flags=table["flags"] & ~np.uint64(Flag.INTEGRATED_SUM))
    lattice = find_lattice_group(experiments[0].crystal.real_space_matrix, np.eye(3))
    with pytest.raises(XdpError, match=r"none of \d+ reflections can be used"):
        gather_rows(experiments, none, lattice, SymmetryOptions())


def test_mates_have_one_number():
    hkl = np.array([[1, -2, 3], [-1, 2, -3], [0, 0, -1], [0, 0, 1], [1, 2, 3]])
    key, is_mate = pack_indices(hkl)
    assert key[0] == key[1] != key[4]
    assert key[2] == key[3]
    assert (is_mate[0] ^ is_mate[1])
    assert (is_mate[2] ^ is_mate[3])
