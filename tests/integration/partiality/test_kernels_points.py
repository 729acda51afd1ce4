from __future__ import annotations

import numpy as np
import pytest

from xdp.integration.partiality._kernels_points import compute_log_parts, compute_misses
from xdp.integration.partiality.model import PartialityModel, compute_excitation


@pytest.mark.kernels
def test_kernels_agree_with_the_model_in_numpy():
    rng = np.random.default_rng(3)
    s0 = np.array([0.01, -0.02, -0.8])
    a_matrices = 0.01 * np.eye(3) + 0.002 * rng.normal(size=(4, 3, 3))
    widths = np.exp(rng.normal(size=(4, 3)) + np.log([3e-4, 1e-3, 1e-3]))
    hkl = rng.integers(-20, 21, (60, 3)).astype(float)
    hkl = hkl[np.any(hkl != 0, axis=1)]
    log, square = np.empty((4, len(hkl))), np.empty((4, len(hkl)))
    compute_log_parts(hkl, a_matrices, widths, s0, log, square)
    rays = rng.normal(size=(len(hkl), 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    frames = rng.normal(size=(len(hkl), 2, 3))
    misses = np.empty((4, len(hkl), 2))
    compute_misses(hkl, rays, frames, a_matrices, widths, s0, misses)
    for i in range(4):
        model = PartialityModel(*widths[i])
        excitation = compute_excitation(a_matrices[i], s0, hkl)
        variance = model.compute_variances(excitation, s0)
        expected = np.log(model.size / np.sqrt(variance)) - 0.5 * excitation.epsilon**2 / variance
        np.testing.assert_allclose(log[i], expected, rtol=1e-9)
        np.testing.assert_allclose(square[i], np.square(excitation.q).sum(axis=1), rtol=1e-12)
        predicted = model.compute_rays(excitation, s0) / np.linalg.norm(s0)
        np.testing.assert_allclose(misses[i], np.einsum("mkd,md->mk", frames, rays - predicted), atol=1e-9)
