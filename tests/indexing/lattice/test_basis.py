"""Reduced bases, and bases compared."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.experiment.crystal import b_matrix
from xdp.indexing.lattice.basis import (
    are_multiples,
    measure_misorientation,
    reduce_bases,
    reduce_basis,
    span_same_lattice,
)
from xdp.refinement.parameters.rotations import make_rotation


def test_reduction_gives_the_shortest_vectors():
    basis = np.diag([30.0, 40.0, 50.0])
    unimodular = np.array([[1, 3, -2], [0, 1, 5], [0, 0, 1]])
    reduced = reduce_basis(unimodular @ basis)
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), [30, 40, 50])
    assert np.linalg.det(reduced) > 0


def test_many_bases_are_reduced_as_one_is():
    bases = np.random.default_rng(1).normal(size=(300, 3, 3)) * 40.0
    np.testing.assert_array_equal(reduce_bases(bases), np.stack([reduce_basis(basis) for basis in bases]))


def test_multiples_and_rotations():
    v = np.array([10.0, 5.0, 0.0])
    assert are_multiples(np.stack([-2 * v, 1.5 * v, v]), v).tolist() == [True, False, False]
    a = b_matrix((40, 50, 60, 90, 90, 90))
    assert measure_misorientation(a, make_rotation(np.array([0, 1.0, 0]), 0.1) @ a) == pytest.approx(np.degrees(0.1))


def test_reduced_bases_of_one_lattice_have_the_same_edges():
    rng = np.random.default_rng(4)
    basis = rng.normal(size=(3, 3)) * 40.0
    want = np.linalg.norm(reduce_basis(basis), axis=1)
    for _ in range(20):
        change = np.eye(3)
        for _ in range(4):
            i, j = rng.choice(3, 2, replace=False)
            step = np.eye(3)
            step[i, j] = rng.integers(-3, 4)
            change = step @ change
        other = reduce_basis(change @ basis)
        np.testing.assert_allclose(np.linalg.norm(other, axis=1), want, rtol=1e-9)
        assert span_same_lattice(other[None], basis)[0]
