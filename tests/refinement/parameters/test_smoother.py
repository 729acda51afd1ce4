"""Weights of the nodes of a smoother."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.refinement.parameters.smoother import Smoother


def test_smoother_is_that_of_three_gaussian_weights():
    """Five intervals over 50 frames: nodes at -5, 5, ..., 55; at frame 25 three weights, by the formula."""
    smoother = Smoother(0.0, 50.0, 5)
    assert smoother.positions.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    raw = np.exp(-(np.array([1.0, 0.0, 1.0]) / 0.7) ** 2)
    weights = smoother.compute_weights(np.array([25.0]))[0]
    np.testing.assert_allclose(weights, [0, 0, *(raw / raw.sum()), 0, 0], atol=1e-12)
    with pytest.raises(ValueError, match="at least one interval"):
        Smoother(0.0, 50.0, 0)


def test_smoother_weights_sum_to_one_and_reproduce_constants():
    for n in (1, 2, 3, 7):
        weights = Smoother(10, 40, n).compute_weights(np.linspace(10, 40, 50))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-12)
        assert np.count_nonzero(weights, axis=1).max() <= 3
