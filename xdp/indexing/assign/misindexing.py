"""Indices that are all off by the same whole numbers: a beam centre that was wrong by a lattice spacing, refined in.

With all indices of a crystal shifted by dh the spots want a beam centre shifted by A dh: over a narrow wedge another
crystal setting and another beam centre fit nearly as well. Which dh is right shows in the residuals, since the spots of
different angles want different shifts, and those far from the centre of the detector too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

_MOST = 2000  # reflections that are looked at


@dataclass(frozen=True)
class Offset:
    """An offset of the indices and the fit with it.

    Attributes
    ----------
    dh : tuple of int
        To be added to all indices.
    setting : (3, 3)
        The A matrix with it.
    shift : (2,)
        The shift of the detector with it, mm.
    rms : float
        Of the points' distances from the lattice, 1/Å, the worst fifth left out.
    """

    dh: tuple[int, int, int]
    setting: np.ndarray
    shift: np.ndarray
    rms: float


def compare_offsets(points: np.ndarray, slope: np.ndarray, hkl: np.ndarray, scope: int = 1) -> list[Offset]:
    """Fits of setting and beam centre with indices shifted by up to `scope`, the best first.

    For each offset q + J d = A (h + dh) is solved for A and the detector's shift d, twice: the second time without the
    worst fifth.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points under the present geometry, 1/Å.
    slope : (n, 3, 2)
        Their derivatives by the detector's shift, 1/Å for each mm.
    hkl : (n, 3)
        The indices as they are.
    """
    if len(points) > _MOST:
        rows = np.random.default_rng(0).choice(len(points), _MOST, replace=False)
        points, slope, hkl = points[rows], slope[rows], hkl[rows]
    offsets = itertools.product(range(-scope, scope + 1), repeat=3)
    fits = [_fit(points, slope, hkl + np.array(dh), dh) for dh in offsets]
    return sorted(fits, key=lambda fit: fit.rms)


def _fit(points: np.ndarray, slope: np.ndarray, hkl: np.ndarray, dh: tuple[int, int, int]) -> Offset:
    use = np.ones(len(points), dtype=bool)
    for _ in range(2):
        solution = _solve(points[use], slope[use], hkl[use].astype(np.float64))
        setting, shift = solution[:9].reshape(3, 3), solution[9:]
        residual = np.linalg.norm(points + slope @ shift - hkl @ setting.T, axis=1)
        use = residual <= np.quantile(residual, 0.8)
    return Offset(dh, setting, shift, float(np.sqrt(np.mean(residual[use] ** 2))))


def _solve(points: np.ndarray, slope: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    """Least squares for the nine elements of A (by rows) and the two of the shift."""
    n = len(points)
    design = np.zeros((n, 3, 11))
    for k in range(3):
        design[:, k, 3 * k : 3 * k + 3] = hkl
    design[:, :, 9:] = -slope
    # a little damping of the shift: a still does not determine it along all directions
    extra = np.zeros((2, 11))
    extra[0, 9] = extra[1, 10] = 1e-6
    rows = np.concatenate([design.reshape(3 * n, 11), extra])
    return np.linalg.lstsq(rows, np.concatenate([points.ravel(), [0.0, 0.0]]), rcond=None)[0]
