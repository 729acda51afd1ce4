"""Predictions lie on the Ewald sphere, and vectors (3, n) multiply as their rows do."""

from __future__ import annotations

import numpy as np
from refinement_part import count_parameters, make_part

from xdp.refinement.equations.problem import predict_part
from xdp.refinement.equations.residuals import apply_matrices, cross, dot, is_entering


def test_products_of_vectors_are_those_of_numpy():
    a, b = np.random.default_rng(1).normal(size=(2, 3, 7))
    np.testing.assert_allclose(dot(a, b), np.sum(a * b, axis=0), rtol=1e-12)
    np.testing.assert_allclose(cross(a, b), np.cross(a.T, b.T).T, rtol=1e-12)
    matrices = np.random.default_rng(2).normal(size=(7, 3, 3))
    want = np.stack([m @ v for m, v in zip(matrices, a.T, strict=True)], axis=1)
    np.testing.assert_allclose(apply_matrices(matrices, a), want, rtol=1e-12)
    np.testing.assert_allclose(apply_matrices(matrices[:1], a), matrices[0] @ a)


def test_scan_prediction_lies_on_the_sphere_and_keeps_its_side():
    part = make_part()
    state, at = predict_part(part, np.zeros(count_parameters(part)))
    assert np.allclose(np.linalg.norm(at.s1, axis=0), np.linalg.norm(state.s0), rtol=1e-12)
    axis = part.setting.block.matrix @ part.axis
    assert np.array_equal(is_entering(state.s0[:, 0], at.s1.T, axis), part.data.entering)


def test_still_prediction_lies_on_the_sphere_with_the_same_length():
    part = make_part(is_still=True)
    state, at = predict_part(part, np.zeros(count_parameters(part)))
    assert np.allclose(np.linalg.norm(at.s1, axis=0), np.linalg.norm(state.s0), rtol=1e-12)
    q = state.a @ part.data.hkl.T
    assert np.allclose(np.linalg.norm(at.r, axis=0), np.linalg.norm(q, axis=0), rtol=1e-10)
