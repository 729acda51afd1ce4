"""The likelihood of a mosaicity beside its slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from mosaicity_twin import slow_likelihood

from xdp.integration.profiles._kernels_spot_spread import is_nearest, mosaicity_likelihood

pytestmark = pytest.mark.kernels


def test_likelihood_equals_its_twin():
    generator = np.random.default_rng(1)
    offsets = np.array([0, 1, 4, 6])
    early = generator.uniform(-1, 1, 6)
    late = early + 0.3
    early[2:4], late[1:3] = late[1], late[1]  # frames that follow each other
    late[3] = early[3] + 0.3
    counts = generator.poisson(50.0, 6).astype(float)
    for sigma in (0.01, 0.3, 2.0):
        # the sums run in another order
        assert mosaicity_likelihood(early, late, counts, offsets, 1, sigma) == pytest.approx(
            slow_likelihood(early, late, counts, offsets, sigma), rel=1e-12)
        # the first and the third spot, without the second
        some = np.array([0, 4, 5])
        assert mosaicity_likelihood(early, late, counts, offsets, 2, sigma) == pytest.approx(
            slow_likelihood(early[some], late[some], counts[some], np.array([0, 1, 3]), sigma), rel=1e-12)


def test_a_point_is_nearest_to_one_index_alone():
    to_index = np.diag([1.0, 2.0, 4.0])
    rng = np.random.default_rng(3)
    for q in rng.uniform(-2, 2, (50, 3)):
        rounded = np.floor(to_index @ q + 0.5).astype(np.int32)
        near = [rounded + np.array([i, j, k], np.int32) for i, j, k in np.ndindex(3, 3, 3)]
        assert sum(is_nearest(to_index, *q, hkl) for hkl in near) == 1
        assert is_nearest(to_index, *q, rounded)
    # half-way points belong to the higher index
    assert is_nearest(np.eye(3), 0.5, 0.0, 0.0, np.array([1, 0, 0], np.int32))
    assert not is_nearest(np.eye(3), 0.5, 0.0, 0.0, np.array([0, 0, 0], np.int32))
