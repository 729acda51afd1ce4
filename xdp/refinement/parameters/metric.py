"""The unit cell as the independent elements of the reciprocal metric tensor that its symmetry leaves free.

A cell of point group P has a metric tensor G* that obeys W^T-type conditions for each rotation of P; these conditions
are linear, so G* = sum_k g_k E_k with a basis E_k that is their null space. This holds for every setting, primitive or
centred. B is lower triangular with positive diagonal and B^T B = G*, which is the convention a along x, b in the xy
plane (Busing & Levy 1967, Acta Cryst. 22, 457; with A = U B).
"""

from __future__ import annotations

import numpy as np


def invariant_metrics(rotations: np.ndarray) -> np.ndarray:
    """A basis (k, 3, 3) of the symmetric reciprocal metric tensors that `rotations` leave as they are.

    Parameters
    ----------
    rotations : (n, 3, 3) of int
        Rotation parts of the space group's operations on real-space fractional coordinates.

    Notes
    -----
    Miller indices transform as h' = h W (row vector), so the metric obeys W G* W^T = G*.
    """
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    unit = np.zeros((6, 3, 3))
    for k, (i, j) in enumerate(pairs):
        unit[k, i, j] = unit[k, j, i] = 1.0
    conditions = [np.eye(6)[:0]]
    for w in np.asarray(rotations, dtype=np.float64):
        moved = np.einsum("ij,kjl,ml->kim", w, unit, w) - unit
        conditions.append(moved.reshape(6, 9).T)
    matrix = np.concatenate(conditions)
    return np.einsum("pk,kij->pij", _null_space(matrix), unit)


def _null_space(matrix: np.ndarray) -> np.ndarray:
    """Rows spanning the null space, in reduced echelon form, so that each is a readable combination of elements."""
    rows = [row / np.abs(row).max() for row in matrix if np.abs(row).max() > 1e-9]
    n = matrix.shape[1]
    pivots: list[int] = []
    reduced: list[np.ndarray] = []
    for row in rows:
        for pivot, kept in zip(pivots, reduced, strict=True):
            row = row - row[pivot] * kept
        if np.abs(row).max() < 1e-9:
            continue
        # the last element is eliminated, so that the free parameters are the first ones (a*.a* before b*.b*)
        pivot = int(np.flatnonzero(np.abs(row) > 1e-9)[-1])
        row = row / row[pivot]
        reduced = [kept - kept[pivot] * row for kept in reduced]
        pivots.append(pivot)
        reduced.append(row)
    free = [k for k in range(n) if k not in pivots]
    basis = np.zeros((len(free), n))
    for i, k in enumerate(free):
        basis[i, k] = 1.0
        for pivot, kept in zip(pivots, reduced, strict=True):
            basis[i, pivot] = -kept[k]
    return basis


def b_from_metric(metric: np.ndarray) -> np.ndarray:
    """Lower triangular B (..., 3, 3) with B^T B = `metric` (..., 3, 3), positive diagonal, in 1/Å."""
    reverse = metric[..., ::-1, ::-1]
    lower = np.linalg.cholesky(reverse)
    return np.swapaxes(lower[..., ::-1, ::-1], -1, -2)


def b_derivatives(b: np.ndarray, d_metric: np.ndarray) -> np.ndarray:
    """dB for each change of the metric.

    Parameters
    ----------
    b : (..., 3, 3)
    d_metric : (k, 3, 3)

    Returns
    -------
    (k, ..., 3, 3)

    Notes
    -----
    From d(B^T B) = dB^T B + B^T dB with X = dB B^-1 lower triangular: X + X^T = B^-T dG B^-1, hence X is the lower
    triangle of the right side with its diagonal halved.
    """
    inverse = np.linalg.inv(b)
    change = np.einsum("...ji,kjl,...lm->k...im", inverse, d_metric, inverse)
    x = np.tril(change)
    diagonal = np.arange(3)
    x[..., diagonal, diagonal] *= 0.5
    return x @ b


def cell_from_b(b: np.ndarray) -> np.ndarray:
    """Unit cells (..., 6) in Å and degrees of matrices B (or A, since the metric is the same)."""
    real = np.linalg.inv(b)  # rows a, b, c
    lengths = np.linalg.norm(real, axis=-1)
    cosines = [
        np.einsum("...i,...i", real[..., i, :], real[..., j, :]) / (lengths[..., i] * lengths[..., j])
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    angles = np.degrees(np.arccos(np.clip(np.stack(cosines, axis=-1), -1.0, 1.0)))
    return np.concatenate([lengths, angles], axis=-1)
