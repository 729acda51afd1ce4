"""Harmonics of the kernel against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import sph_harm_y

from xdp.scaling._kernels_harmonics import add_harmonics

pytestmark = pytest.mark.kernels


def test_harmonics_are_those_of_scipy_with_a_mean_square_of_one():
    v = np.random.default_rng(0).normal(size=(200, 3))
    v /= np.linalg.norm(v, axis=1)[:, None]
    v[0], v[1] = (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)
    lmax, out = 7, np.zeros((200, 63))
    add_harmonics(v, lmax, 0.5, out)
    theta, phi = np.arccos(v[:, 2]), np.arctan2(v[:, 1], v[:, 0])
    for degree in range(1, lmax + 1):
        for m in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(m), theta, phi)
            # SciPy has the sign of Condon and Shortley, and an integral of 1 over the sphere
            real = (value.real if m >= 0 else value.imag) * (-1) ** m * (np.sqrt(2.0) if m else 1.0)
            found = out[:, degree * degree - 1 + degree + m]
            np.testing.assert_allclose(found, 0.5 * np.sqrt(4.0 * np.pi) * real, atol=1e-12)
