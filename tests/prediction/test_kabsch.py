from __future__ import annotations

import numpy as np
import pytest

from xdp.prediction._kernels_kabsch import compute_frame_zeta, locate_ray, make_kabsch_axes
from xdp.prediction.kabsch import compute_signed_zeta, make_axes, to_kabsch, to_rays
from xdp.prediction.rays import rotate_vectors

S0 = np.array([0.1, -0.05, -1.0])
M2 = np.array([1.0, 0.0, 0.0])


@pytest.fixture
def rays() -> np.ndarray:
    directions = np.random.default_rng(4).normal(size=(50, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * np.linalg.norm(S0)


def test_axes_are_a_right_angle_on_the_sphere(rays):
    e1, e2 = make_axes(rays, S0)
    for a, b, dot in [(e1, e1, 1.0), (e2, e2, 1.0), (e1, e2, 0.0), (e1, rays, 0.0), (e2, rays, 0.0)]:
        np.testing.assert_allclose((a * b).sum(axis=1), dot, atol=1e-14)
    np.testing.assert_allclose(e1 @ S0, 0.0, atol=1e-14)


def test_zeta_of_rays_in_and_across_the_plane_of_the_axis():
    # beam along -z, axis along x: a ray in the y-z plane is crossed at full speed, one towards x not at all
    down = np.array([[0.0, 1.0, -1.0], [0.0, -1.0, -1.0], [1.0, 0.0, -1.0], [1.0, 1.0, -1.0]])
    np.testing.assert_allclose(compute_signed_zeta(down, (0, 0, -1.0), (2.0, 0, 0)), [-1.0, 1.0, 0.0, -np.sqrt(0.5)],
                               atol=1e-15)


def test_a_ray_along_the_beam_has_no_frame():
    assert np.isnan(compute_signed_zeta(S0, S0, M2))


def test_there_and_back(rays):
    generator = np.random.default_rng(5)
    c1, c2 = generator.uniform(-0.1, 0.1, (2, len(rays)))
    there = to_rays(c1, c2, rays, S0)
    np.testing.assert_allclose(np.linalg.norm(there, axis=1), np.linalg.norm(S0), rtol=1e-14)
    back = to_kabsch(there, 0.3, rays, S0, M2, 0.1)
    np.testing.assert_allclose(back[:, :2], np.column_stack([c1, c2]), atol=1e-14)
    np.testing.assert_allclose(back[:, 2], 0.2 * compute_signed_zeta(rays, S0, M2), atol=1e-15)


def test_third_coordinate_is_the_way_off_the_sphere(rays):
    # |zeta| dphi is how far, as an angle seen from the origin of the reciprocal lattice, a point leaves the sphere
    q = rays - S0
    turned = rotate_vectors(q, M2, np.full(len(q), 1e-6))
    depth = (np.linalg.norm(S0 + turned, axis=1) - np.linalg.norm(S0)) / np.linalg.norm(q, axis=1)
    cosine = np.sqrt(1.0 - (np.linalg.norm(q, axis=1) / (2 * np.linalg.norm(S0))) ** 2)  # of the Bragg angle
    expected = to_kabsch(rays, 1e-6, rays, S0, M2, 0.0)[:, 2] * cosine
    # second order in the angle
    np.testing.assert_allclose(np.abs(depth), np.abs(expected), atol=1e-11)


def test_beyond_a_radian_there_is_no_ray(rays):
    assert np.all(np.isnan(to_rays(0.8, 0.8, rays, S0)))


@pytest.mark.kernels
def test_kernels_equal_the_arrays(rays):
    other = np.roll(rays, 1, axis=0)
    expected = to_kabsch(other, 0.0, rays, S0, M2, 0.0)
    for i, s1 in enumerate(rays):
        frame = make_kabsch_axes(s1, S0)
        np.testing.assert_allclose(frame, np.concatenate([a[i] for a in make_axes(rays, S0)]), atol=1e-14)
        np.testing.assert_allclose(locate_ray(frame, s1, other[i]), expected[i, :2], atol=1e-14)
        assert compute_frame_zeta(frame, M2) == pytest.approx(compute_signed_zeta(s1, S0, M2), abs=1e-14)
