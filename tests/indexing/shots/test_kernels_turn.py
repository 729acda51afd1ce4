"""The kernel that turns a cell about an axis, and its slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.indexing.shots._kernels_turn import TurnedVector, turn_cell
from xdp.prediction.rays import rotate_vectors

pytestmark = pytest.mark.kernels


def turn_slowly(axes: np.ndarray, points: np.ndarray, member: np.ndarray, vectors: list[TurnedVector],
                angles: np.ndarray) -> np.ndarray:
    """The score at each angle, with vectors that are turned one by one."""
    total = np.zeros(len(angles))
    for vector in vectors:
        start = vector.place @ axes
        for k, angle in enumerate(angles):
            turned = rotate_vectors(start[None], axes[0], np.array([angle]))[0]
            x = points @ turned
            x = (x - np.floor(x + 0.5)) * vector.inverse_width
            total[k] += (member * vector.height * np.maximum(1.0 - x**2, 0.0)).sum()
    return total


def test_the_best_angles_are_those_of_the_twin():
    rng = np.random.default_rng(3)
    n, m = 12, 90
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    axes[2] = np.cross(axes[0], axes[1])
    points, member = rng.normal(0.0, 0.1, (n, 3)), rng.uniform(0.0, 1.0, n).astype(np.float32)
    vectors = [TurnedVector(rng.normal(0.0, 30.0, 3), rng.uniform(2.0, 5.0, n).astype(np.float32),
                            rng.uniform(0.5, 1.0, n).astype(np.float32)) for _ in range(2)]
    angles = 2.0 * np.pi * np.arange(m) / m
    number, score = np.empty((1, 3), dtype=np.int64), np.empty((1, 3))
    turn_cell(axes[None], points, member[None], *vectors, np.cos(angles).astype(np.float32),
              np.sin(angles).astype(np.float32), number, score)
    expected = turn_slowly(axes, points, member, vectors, angles)
    peaks = np.flatnonzero((expected >= np.roll(expected, 1)) & (expected >= np.roll(expected, -1)))
    best = peaks[np.argsort(-expected[peaks])][:3]
    assert number[0].tolist() == best.tolist()
    np.testing.assert_allclose(score[0], expected[best], atol=1e-3)


def test_fewer_peaks_than_places_leave_the_rest_empty():
    number, score = np.empty((1, 3), dtype=np.int64), np.empty((1, 3))
    one = np.ones(1, dtype=np.float32)
    vector = TurnedVector(np.array([0.0, 1.0, 0.0]), one, one)
    angles = 2.0 * np.pi * np.arange(8) / 8
    turn_cell(np.eye(3)[None], np.array([[0.0, 0.4, 0.0]]), one[None], vector, vector,
              np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32), number, score)
    assert number[0, 2] == -1
    assert score[0, 2] == -np.inf
