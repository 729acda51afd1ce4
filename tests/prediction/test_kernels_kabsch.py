"""The frame of a reflection in plain numbers, beside the functions on arrays."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.prediction._kernels_kabsch import compute_frame_zeta, locate_ray, make_kabsch_axes
from xdp.prediction.kabsch import compute_signed_zeta, make_axes, to_kabsch

pytestmark = pytest.mark.kernels

S0 = np.array([0.1, -0.05, -1.0])
M2 = np.array([1.0, 0.2, -0.1]) / np.linalg.norm([1.0, 0.2, -0.1])


@pytest.fixture(scope="module")
def rays():
    rays = np.random.default_rng(0).normal(size=(20, 3))
    return rays * (np.linalg.norm(S0) / np.linalg.norm(rays, axis=1, keepdims=True))


def test_axes_and_zeta_are_those_of_the_arrays(rays):
    e1, e2 = make_axes(rays, S0)
    for i, ray in enumerate(rays):
        axes = make_kabsch_axes(ray, S0)
        np.testing.assert_allclose(axes, [*e1[i], *e2[i]], atol=1e-14)
        assert compute_frame_zeta(axes, M2) == pytest.approx(compute_signed_zeta(ray, S0, M2), abs=1e-14)


def test_rays_lie_where_the_arrays_say(rays):
    near = rays + np.random.default_rng(1).normal(size=rays.shape) * 0.01
    near *= np.linalg.norm(S0) / np.linalg.norm(near, axis=1, keepdims=True)
    expected = to_kabsch(near, np.zeros(len(rays)), rays, S0, M2, np.zeros(len(rays)))
    for i, ray in enumerate(rays):
        np.testing.assert_allclose(locate_ray(make_kabsch_axes(ray, S0), ray, near[i]), expected[i, :2], atol=1e-14)
