"""How the Ewald sphere cuts reciprocal lattice points, against sampling."""

from __future__ import annotations

import numpy as np
import pytest
from ellipsoid_data import S0, make_models

from xdp.integration.profiles.ellipsoid.shape import EllipsoidModel
from xdp.integration.profiles.ellipsoid.sphere import compute_cut_rays, compute_recorded_part, cut_points


def test_a_cut_is_the_part_of_the_distribution_near_the_sphere():
    """Points are drawn, and those within a thin shell at the radius of the sphere are averaged."""
    rng = np.random.default_rng(0)
    model = EllipsoidModel("simple6", (2e-3, 5e-4, 1e-3, -6e-4, 4e-4, 1.5e-3))
    r = np.array([[0.31, 0.12, 0.06]])
    s2 = S0 + r[0]
    r[0] += s2 / np.linalg.norm(s2) * (np.linalg.norm(S0) - np.linalg.norm(s2) - 8e-4)
    found = cut_points(model, r, S0)
    points = (S0 + r[0] + rng.multivariate_normal(np.zeros(3), model.sigma, 2_000_000)) @ found.frames[0].T
    near = points[np.abs(points[:, 2] - np.linalg.norm(S0)) < 5e-5, :2]
    assert len(near) > 20_000
    error = 4.0 * np.sqrt(np.diag(found.covariance[0]) / len(near))
    assert np.all(np.abs(near.mean(axis=0) - found.mean[0]) < error)
    np.testing.assert_allclose(np.cov(near.T), found.covariance[0], atol=0.05 * np.trace(found.covariance[0]))
    assert found.epsilon[0] == pytest.approx(8e-4, rel=1e-6)


def test_partiality_is_one_on_the_sphere_and_falls_off_it():
    rng = np.random.default_rng(2)
    r = rng.normal(size=(6, 3)) * 0.2
    s2 = S0 + r
    r += s2 / np.linalg.norm(s2, axis=1, keepdims=True) * (np.linalg.norm(S0) - np.linalg.norm(s2, axis=1))[:, None]
    for model in make_models(rng):
        recorded, variance = compute_recorded_part(model, cut_points(model, r, S0))
        if model.is_angular:
            np.testing.assert_allclose(recorded, 1.0, atol=1e-9)
        np.testing.assert_allclose(variance, 0.0, atol=1e-9)
        off = cut_points(model, r * 1.01, S0)
        if model.is_angular:  # the simple ones compare with the beam's direction, and may exceed 1
            assert np.all(compute_recorded_part(model, off)[0] < recorded)
            np.testing.assert_allclose(-2.0 * np.log(compute_recorded_part(model, off)[0]) * off.variance,
                                       off.epsilon**2)


def test_rays_have_the_length_of_s0_and_go_to_the_mean_of_the_cut():
    rng = np.random.default_rng(3)
    r = rng.normal(size=(5, 3)) * 0.2
    found = cut_points(make_models(rng)[1], r, S0)
    rays = compute_cut_rays(found, S0)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), np.linalg.norm(S0))
    inside = np.einsum("nij,nj->ni", found.frames, rays)
    np.testing.assert_allclose(inside[:, :2] / inside[:, 2:], found.mean / np.linalg.norm(S0), atol=1e-12)
