"""Analytical compute_gradients and normal equations against finite differences, on a small made-up experiment."""

from __future__ import annotations

import numpy as np
import pytest
from refinement_part import count_parameters, make_part

from xdp.refinement.equations.problem import build_normal_equations, compute_gradients, predict_part
from xdp.refinement.parameters.smoother import Smoother

pytestmark = pytest.mark.filterwarnings("error")

@pytest.mark.parametrize("is_still", [False, True])
def test_gradients_equal_finite_differences(is_still: bool):
    part = make_part(is_still)
    p = np.random.default_rng(3).normal(0, 0.5, count_parameters(part))
    analytic, owners, _ = compute_gradients(part, p)
    step = 1e-4
    for k, (slot, j) in enumerate(owners):
        ends = []
        for sign in (1, -1):
            shifted = p.copy()
            shifted[slot.offset + j] += sign * step
            at = predict_part(part, shifted)[1]
            ends.append(np.stack([at.x, at.y, at.third]))
        numeric = (ends[0] - ends[1]) / (2 * step)
        # central differences: error of order step^2 and rounding 1e-13 / step
        np.testing.assert_allclose(analytic[k], numeric, rtol=2e-5, atol=2e-8 * max(1, np.abs(numeric).max()))


@pytest.mark.parametrize("smoother", [None, Smoother(0, 50, 1), Smoother(0, 50, 2), Smoother(0, 50, 5)])
def test_normal_equations_are_the_gradient_of_the_loss(smoother: Smoother | None):
    part = make_part(smoother=smoother)
    p = np.random.default_rng(4).normal(0, 0.2, count_parameters(part))
    normal = build_normal_equations(part, p)
    step = 1e-5
    for k in range(0, len(p), 3):
        plus, minus = (build_normal_equations(part, p + s * step * np.eye(len(p))[k]).loss for s in (1, -1))
        place = list(normal.columns).index(k)
        scale = np.sqrt(normal.matrix[place, place] * 2 * normal.loss)
        # a smoothed model's derivatives are those at the scan point before, which differ by its change in a frame
        assert normal.vector[place] == pytest.approx((plus - minus) / (2 * step), rel=1e-4, abs=5e-5 * scale)
