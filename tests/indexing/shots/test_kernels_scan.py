"""The kernel that scores trial vectors, and its slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.indexing.shots._kernels_scan import scan_vectors

pytestmark = pytest.mark.kernels


def scan_slowly(vectors: np.ndarray, points: np.ndarray, inverse: np.ndarray, height: np.ndarray) -> np.ndarray:
    """h (1 - (x / w)^2) where positive, summed over the points."""
    x = points @ vectors
    x = (x - np.floor(x + 0.5)) * inverse[:, None]
    return (height[:, None] * np.maximum(1.0 - x**2, 0.0)).sum(axis=0)


@pytest.mark.parametrize("m", [1, 511, 512, 1300])
def test_scores_are_those_of_the_twin(m):
    rng = np.random.default_rng(m)
    vectors = rng.normal(0.0, 40.0, (3, m)).astype(np.float32)
    points = rng.normal(0.0, 0.1, (17, 3)).astype(np.float32)
    inverse, height = rng.uniform(2.0, 10.0, 17).astype(np.float32), rng.uniform(0.1, 2.0, 17).astype(np.float32)
    score = np.empty(m, dtype=np.float32)
    scan_vectors(vectors, points, inverse, height, score)
    # single precision: q.v is about 10, the error of its fraction 1e-6, times 1 / w
    np.testing.assert_allclose(score, scan_slowly(vectors.astype(float), points.astype(float), inverse, height),
                               atol=1e-3)


def test_a_spot_on_the_planes_counts_fully():
    score = np.empty(1, dtype=np.float32)
    scan_vectors(np.array([[10.0], [0], [0]], dtype=np.float32), np.array([[0.3, 7.0, 1.0]], dtype=np.float32),
                 np.array([5.0], dtype=np.float32), np.array([2.0], dtype=np.float32), score)
    assert score[0] == pytest.approx(2.0)
