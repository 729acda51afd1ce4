from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdp.experiment import Beam, Goniometer
from xdp.experiment.goniometer import axis_angle_matrix
from xdp.prediction import rays

KAPPA = Goniometer.multi_axis([(1, 0, 0), (0.6, 0.8, 0), (0, 1, 0)], (20.0, 30.0, 40.0), "abc", 1)


def test_s1_by_hand():
    np.testing.assert_allclose(rays.compute_s1_from_lab([[0, 3, -4]], 2.0), [[0, 0.3, -0.4]])
    beam = Beam((0.0, 0.0, 1.0), 0.5)
    np.testing.assert_allclose(rays.compute_s1_from_q(beam, [0.1, 0.0, 0.2]), [0.1, 0.0, -1.8])


def test_quarter_turn():
    np.testing.assert_allclose(rays.rotate_vectors([1, 0, 0], [0, 0, 2], np.pi / 2), [0, 1, 0], atol=1e-16)


@given(st.floats(-10, 10), st.tuples(*[st.floats(-1, 1)] * 2), st.floats(0.1, 1))
def test_rotate_is_the_matrix(angle, xy, z):
    axis = (*xy, z)
    vectors = np.array([[1.0, 2.0, 3.0], [-0.5, 0.1, 0.0]])
    matrix = axis_angle_matrix(axis, np.rad2deg(angle))
    np.testing.assert_allclose(rays.rotate_vectors(vectors, axis, angle), vectors @ matrix.T, atol=1e-13)
    np.testing.assert_allclose(rays.make_rotation_matrices(axis, angle), matrix, atol=1e-14)


def test_one_angle_for_each_vector():
    vectors, angles = np.eye(3), np.array([0.1, 0.2, 0.3])
    each = np.array([rays.rotate_vectors(v, [1, 1, 1], a) for v, a in zip(vectors, angles, strict=True)])
    np.testing.assert_allclose(rays.rotate_vectors(vectors, [1, 1, 1], angles), each, atol=1e-16)
    assert rays.make_rotation_matrices([1, 1, 1], angles).shape == (3, 3, 3)


@pytest.mark.parametrize("goniometer", [Goniometer(), KAPPA])
def test_goniometer_rotations(goniometer):
    angles = np.array([0.0, 0.5, -2.0])
    for matrix, angle in zip(rays.make_goniometer_rotations(goniometer, angles), angles, strict=True):
        np.testing.assert_allclose(matrix, goniometer.rotation(np.rad2deg(angle)), atol=1e-15)


@pytest.mark.parametrize("goniometer", [Goniometer(), KAPPA])
def test_back_to_zero_undoes_all_motors(goniometer):
    rng = np.random.default_rng(1)
    q, angles = rng.normal(size=(20, 3)), rng.uniform(-4, 4, 20)
    turned = np.einsum("nij,nj->ni", rays.make_goniometer_rotations(goniometer, angles), q)
    np.testing.assert_allclose(rays.rotate_to_crystal(goniometer, turned, angles), q, atol=1e-14)
