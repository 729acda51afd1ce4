"""Indices from differences between neighbours: right where the lattice is bent, and refused where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.errors import XdpError
from xdp.indexing.assign.assign import assign_indices
from xdp.indexing.assign.assign_local import assign_local
from xdp.indexing.options import Local

A = np.diag([1 / 40.0, 1 / 50.0, 1 / 60.0])


def lattice(reach: int = 12, n: int = 1500, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices, exact points and angles of spots in a slab of reciprocal space, as a narrow sweep has them."""
    rng = np.random.default_rng(seed)
    line = np.arange(-reach, reach + 1)
    hkl = np.stack(np.meshgrid(line, line, np.arange(-2, 3), indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = rng.permutation(hkl[hkl.any(axis=1)])[:n]
    return hkl, hkl @ A.T, 0.02 * hkl[:, 2]


def bent(points: np.ndarray, by: float = 0.3) -> np.ndarray:
    """Points that leave their places by `by` 1/Å for each (1/Å)^2, as under a wrong distance or tilt."""
    return points * (1.0 + by * np.linalg.norm(points, axis=1))[:, None]


def test_straight_lattice_as_by_the_nearest_point():
    hkl, points, phi = lattice()
    local = assign_local(points, phi, [A], Local())
    assert np.array_equal(local.hkl, hkl)
    assert np.all(local.crystal == 0)


def test_bent_lattice_is_followed():
    hkl, points, phi = lattice()
    moved = bent(points)
    simple, local = assign_indices(moved, phi, [A]), assign_local(moved, phi, [A], Local(epsilon=0.1))
    wrong = (local.crystal == 0) & np.any(local.hkl != hkl, axis=1)
    assert np.mean(local.crystal == 0) > 0.95
    assert not wrong.any()
    # the outermost points are 0.3 * (12 / 40)^2 * 40 = 1.1 indices away from where they belong
    far = np.any(np.abs(moved @ np.linalg.inv(A).T - hkl) > 0.7, axis=1)
    assert far.any()
    assert not np.any(np.all(simple.hkl[far] == hkl[far], axis=1))


def test_spurious_spots_are_left_out():
    hkl, points, phi = lattice()
    rng = np.random.default_rng(2)
    noise = rng.uniform(points.min(axis=0), points.max(axis=0), (150, 3))
    local = assign_local(np.concatenate([points, noise]), np.r_[phi, np.zeros(150)], [A], Local())
    assert np.mean(np.all(local.hkl[: len(hkl)] == hkl, axis=1)) > 0.97
    # a random point lies within the tolerated 0.05 + 0.05 * 0.9 of three whole numbers with a chance of 0.7 %
    assert np.mean(local.crystal[len(hkl):] == 0) < 0.05


def test_each_sweep_has_its_own_tree():
    hkl, points, phi = lattice(n=600)
    block = np.repeat([0, 1], 300)
    local = assign_local(points, phi, [A], Local(), block)
    assert np.array_equal(local.hkl, hkl)


def test_spots_of_two_lattices_are_told_apart():
    hkl, points, phi = lattice(n=800)
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    second = turn @ A
    both = np.concatenate([points, hkl @ second.T])
    local = assign_local(both, np.r_[phi, phi], [A, second], Local())
    right = np.repeat([0, 1], len(hkl))
    claimed = local.crystal >= 0
    assert claimed.mean() > 0.8
    assert np.all(local.crystal[claimed] == right[claimed])


def test_too_few_spots():
    _, points, phi = lattice(n=15)
    with pytest.raises(XdpError, match="nearest_neighbours=20 must be smaller than the number of spots, 15"):
        assign_local(points, phi, [A], Local())
