"""Indices that are all off by the same whole numbers, after a beam centre that was wrong by a lattice spacing.

With all indices of a crystal shifted by dh, the spots fit best with a beam centre shifted by A dh. Over a narrow wedge
another crystal setting and another beam centre fit nearly as well as the true ones. The residuals show which dh is
right: spots at different angles, and those far from the centre of the detector, need different shifts.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

_MOST = 2000  # reflections that are looked at: eleven numbers are fitted to three coordinates of each. A choice
_WORST = 0.8  # quantile of the residuals beyond which reflections are left out of the second fit: some are outliers
# Added to the diagonal for the shift, in (1/Å)/mm: a still does not determine it along all directions. Slopes are some
# 1e-3 for each of thousands of spots, so that it does not change what they determine.
_DAMPING = 1e-6


@dataclass(frozen=True)
class OffsetFit:
    """An offset of the indices and the fit with it.

    Attributes
    ----------
    dh : tuple of int
        What is added to all indices.
    setting : (3, 3)
        The A matrix that fits best then, 1/Å.
    shift : (2,)
        The shift of the detector along fast and slow, mm.
    rms : float
        Of the points' distances from the lattice, 1/Å; the worst fifth is left out.
    """

    dh: tuple[int, int, int]
    setting: np.ndarray
    shift: np.ndarray
    rms: float


def compare_offsets(points: np.ndarray, slope: np.ndarray, hkl: np.ndarray, scope: int = 1) -> list[OffsetFit]:
    """Compare fits of setting and beam centre with indices shifted by up to `scope`.

    For each offset dh, q + J d = A (h + dh) is solved for A and the detector's shift d by least squares. It is solved
    again without the worst fifth of the reflections.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points under the present geometry, 1/Å.
    slope : (n, 3, 2)
        Their derivatives by the detector's shift, 1/Å for each mm.
    hkl : (n, 3)
        The indices as they are.
    scope : int
        Largest shift of each index.

    Returns
    -------
    list of OffsetFit
        The best first.
    """
    if len(points) > _MOST:
        rows = np.random.default_rng(0).choice(len(points), _MOST, replace=False)
        points, slope, hkl = points[rows], slope[rows], hkl[rows]
    offsets = itertools.product(range(-scope, scope + 1), repeat=3)
    fits = [_fit_offset(points, slope, hkl + np.array(dh), dh) for dh in offsets]
    return sorted(fits, key=lambda fit: fit.rms)


def _fit_offset(points: np.ndarray, slope: np.ndarray, hkl: np.ndarray, dh: tuple[int, ...]) -> OffsetFit:
    """The fit with shifted indices `hkl`."""
    use = np.ones(len(points), dtype=bool)
    for _ in range(2):
        solution = _solve_setting_and_shift(points[use], slope[use], hkl[use].astype(np.float64))
        setting, shift = solution[:9].reshape(3, 3), solution[9:]
        residual = np.linalg.norm(points + slope @ shift - hkl @ setting.T, axis=1)
        use = residual <= np.quantile(residual, _WORST)
    return OffsetFit((dh[0], dh[1], dh[2]), setting, shift, float(np.sqrt(np.mean(residual[use] ** 2))))


def _solve_setting_and_shift(points: np.ndarray, slope: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    """Least squares for the nine elements of A (by rows) and the two of the shift.

    Each row of A is a linear function of the shift, with the same matrix for all three: what the indices cannot explain
    of points and slopes gives the shift, and the shift gives A. That takes a fiftieth of the time of all at once.
    """
    data = np.concatenate([points[:, :, None], slope], axis=2)
    # singular where all indices lie in a plane
    explained = np.tensordot(np.linalg.pinv(hkl.T @ hkl, rcond=1e-12, hermitian=True) @ hkl.T, data, axes=1)
    rest = (data - np.tensordot(hkl, explained, axes=1)).reshape(-1, 3)
    misfit, change = rest[:, 0], rest[:, 1:]
    shift = np.linalg.solve(change.T @ change + _DAMPING**2 * np.eye(2), -change.T @ misfit)
    setting = explained[:, :, 0].T + (explained[:, :, 1:] @ shift).T
    return np.concatenate([setting.ravel(), shift])
