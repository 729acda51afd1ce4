"""Indices near the Ewald sphere, against a search through all."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.prediction.indices import compute_d_spacings, list_lattice_indices
from xdp.prediction.near_sphere import convert_turn_to_distance, list_indices_near_sphere
from xdp.simulation.models import make_crystal

pytestmark = pytest.mark.kernels


def test_indices_near_the_sphere_are_those_of_a_search_through_all():
    s0 = np.array([0.05, 0.0, -1.0])
    for crystal in (make_crystal(orientation=1), make_crystal((70, 80, 90, 90, 100, 90), " C 2y", orientation=2)):
        every = list_lattice_indices(crystal, 2.5, 15.0)
        q = every @ crystal.A.T
        length = np.linalg.norm(q, axis=1)
        gap = np.abs(np.linalg.norm(s0 + q, axis=1) - np.linalg.norm(s0))
        expected = every[gap <= 1e-3 + 0.01 * length]
        found = list_indices_near_sphere(crystal, s0, 2.5, 15.0, constant=1e-3, slope=0.01)
        np.testing.assert_array_equal(found, expected)
        assert 0 < len(found) < len(every)
        assert compute_d_spacings(crystal, found).min() >= 2.5
    many = list_indices_near_sphere(crystal, s0, 2.0, constant=9.0)
    assert len(many) > 4096  # more than the first guess has room for
    with pytest.raises(ValueError, match="d_min"):
        list_indices_near_sphere(crystal, s0, 0.0)


def test_a_turned_point_is_never_further_from_the_sphere_than_said():
    from xdp.prediction.rays import rotate_vectors

    rng = np.random.default_rng(1)
    s0 = np.array([0.0, 0.0, -1.0])
    on = rng.normal(size=(200, 3))
    on = on / np.linalg.norm(on, axis=1, keepdims=True) - s0
    for turn in (0.001, 0.02, 0.2):
        axis = np.cross(on, s0)
        off = np.array([rotate_vectors(v, a, turn) for v, a in zip(on, axis, strict=True)])
        gap = np.abs(np.linalg.norm(s0 + off, axis=1) - 1.0)
        assert np.all(gap <= convert_turn_to_distance(turn) * np.linalg.norm(on, axis=1) + 1e-12)
