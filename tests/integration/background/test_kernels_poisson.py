"""Expectations of Huber's function beside sums over the whole distribution."""

from __future__ import annotations

import background_twins as twins
import numpy as np
import pytest

from xdp.integration.background._kernels_poisson import poisson_expectations

pytestmark = pytest.mark.kernels


@pytest.mark.parametrize("mean", [1e-6, 0.03, 0.9, 7.3, 250.0, 40_000.0])
@pytest.mark.parametrize("tuning", [0.5, 1.345, 6.0, 300.0])
def test_expectations_are_those_of_the_whole_distribution(mean, tuning):
    # Probabilities of counts of 40,000 are good to 1e-10: their logarithms are differences of numbers near 400,000.
    np.testing.assert_allclose(poisson_expectations(mean, tuning), twins.expectations(mean, tuning), rtol=1e-7,
                               atol=1e-10 * tuning)
