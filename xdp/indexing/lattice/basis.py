"""Bases of a lattice: reduced, right-handed, compared with others. Rows are the vectors a, b, c in Å."""

from __future__ import annotations

import itertools

import numpy as np


def reduced_basis(basis: np.ndarray) -> np.ndarray:
    """The three shortest vectors that span the same lattice, shortest first, right-handed.

    Pairwise reduction followed by trial of all small combinations; in three dimensions this ends in a Minkowski-reduced
    basis, whose edges are the successive minima (Semaev 2001, LNCS 2146, 181).
    """
    v = np.array(basis, dtype=np.float64)
    for _ in range(100):
        v = v[np.argsort(np.sum(v * v, axis=1), kind="stable")]
        trial = v[2] - _plane_points(v)
        best = trial[np.argmin(np.sum(trial * trial, axis=1))]
        if best @ best < (v[2] @ v[2]) * (1.0 - 1e-12):
            v[2] = best
            continue
        shift = np.round((v[1] @ v[0]) / (v[0] @ v[0]))
        if shift == 0.0:
            break
        v[1] = v[1] - shift * v[0]
    return v if np.linalg.det(v) > 0 else -v


def _plane_points(v: np.ndarray) -> np.ndarray:
    """Lattice points of the plane of the two shorter vectors around the projection of the third."""
    plane = v[:2]
    centre = np.round(np.linalg.lstsq(plane.T, v[2], rcond=None)[0])
    around = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))
    return (centre + around) @ plane


def are_multiples(long: np.ndarray, short: np.ndarray, tolerance: float = 0.05) -> np.ndarray:
    """Which vectors `long` (n, 3) are (nearly) integer multiples, two or more, of the vector `short`, bool (n,)."""
    n = np.round(long @ short / float(short @ short))
    off = np.linalg.norm(long - n[:, None] * short, axis=1)
    return (np.abs(n) >= 2) & (off < tolerance * np.linalg.norm(long, axis=1))


def rotation_between(first: np.ndarray, second: np.ndarray) -> float:
    """Angle in degrees of the rotation that takes setting matrix A `first` closest to `second` (3, 3)."""
    u, _, vt = np.linalg.svd(second @ np.linalg.inv(first))
    turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))))
