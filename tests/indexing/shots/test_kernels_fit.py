"""The kernel that compares spots with a lattice, and its slow twin."""

from __future__ import annotations

import numpy as np
import pytest

from xdp.indexing.shots._kernels_fit import SpotParts, SpreadSquares, compare_spots

pytestmark = pytest.mark.kernels

S0 = np.array([0.02, -0.01, -0.8])
SPREAD = SpreadSquares(4e-8, 1e-6, 0.0, 9e-8, 4e-6, 0.3)


def compare_slowly(a: np.ndarray, points: np.ndarray) -> dict[str, np.ndarray]:
    """All that the kernel gives for each spot, in NumPy."""
    index = np.round(points @ np.linalg.inv(a).T)
    radial = points / np.linalg.norm(points, axis=1)[:, None]
    around = np.cross(radial, S0)
    around /= np.linalg.norm(around, axis=1)[:, None]
    frame = np.stack([radial, around, np.cross(radial, around)], axis=1)
    residual = np.einsum("nij,nj->ni", frame, points - index @ a.T)
    q2 = np.sum(points**2, axis=1)
    variance = np.stack([4e-8 + 1e-6 * q2, np.full_like(q2, 4e-8), 4e-8 + 9e-8 + 4e-6 * q2], axis=1)
    x2 = np.sum(residual**2 / variance, axis=1)
    # the direct beam is no reflection
    peak = index.any(axis=1) * 0.7 * np.linalg.det(a) / np.sqrt((2 * np.pi) ** 3 * variance.prod(axis=1))
    p = peak * (0.95 * np.exp(-0.5 * x2) + 0.05 / 2.5**3 * np.exp(-0.5 * x2 / 2.5**2))
    weight = peak * (0.95 * np.exp(-0.5 * x2) + 0.05 / 2.5**5 * np.exp(-0.5 * x2 / 2.5**2)) / (p + 0.3)
    return {"indices": index, "residual": residual, "probability": p / (p + 0.3), "weight": weight, "frame": frame,
            "variance": variance, "score": np.log(p + 0.3).sum()}


def test_parts_and_equations_are_those_of_the_twin():
    rng = np.random.default_rng(4)
    a = np.linalg.inv(np.array([[40.0, 0.0, 0.0], [5.0, 50.0, 0.0], [-8.0, 4.0, 60.0]]))
    points = rng.integers(-8, 9, (25, 3)) @ a.T + rng.normal(0.0, 6e-4, (25, 3)) + 1e-3
    changes = rng.normal(0.0, 1e-2, (2, 3, 3))
    n = len(points)
    parts = SpotParts(np.zeros((n, 3)), np.zeros((n, 3)), np.zeros(n), np.zeros(n))
    normal, right = np.zeros((5, 5)), np.zeros(5)
    score = compare_spots(a, changes, points, S0, SPREAD, parts, normal, right)
    slow = compare_slowly(a, points)
    for name in ("indices", "residual", "probability", "weight"):
        np.testing.assert_allclose(getattr(parts, name), slow[name], rtol=1e-9, atol=1e-12)
    assert score == pytest.approx(slow["score"])
    # how A h moves: across for a small turn, with the changes for the cell
    place = slow["indices"] @ a.T
    moves = [np.cross(axis, place) for axis in np.eye(3)] + [slow["indices"] @ c.T for c in changes]
    design = np.einsum("nij,pnj->nip", slow["frame"], np.stack(moves))
    weight = slow["weight"][:, None] / slow["variance"]
    np.testing.assert_allclose(normal, np.einsum("nip,ni,niq->pq", design, weight, design), rtol=1e-9)
    np.testing.assert_allclose(right, np.einsum("nip,ni,ni->p", design, weight, slow["residual"]), rtol=1e-9, atol=1e-9)
