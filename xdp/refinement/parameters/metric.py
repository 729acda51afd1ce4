"""The unit cell as the independent elements of the reciprocal metric tensor that its symmetry leaves free.

The metric tensor G* of a cell obeys W G* W^T = G* for each rotation W of its point group. These conditions are linear,
so G* = sum_k g_k E_k, where the basis E_k spans their null space. This holds for every setting, primitive or centred. B
is lower triangular with positive diagonal and B^T B = G*, which is the convention a along x, b in the xy plane (Busing
& Levy 1967, Acta Cryst. 22, 457; with A = U B).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xdp.space_groups import AnySpaceGroup

# Elements of the scaled conditions below this are zero: they are differences of small integers, so that anything
# between rounding (1e-16) and 0.1 would do.
_ZERO = 1e-9


def get_rotation_parts(group: AnySpaceGroup) -> np.ndarray:
    """The rotation parts (n, 3, 3) of a space group's operations, integers, without centring.

    Examples
    --------
    >>> import gemmi
    >>> get_rotation_parts(gemmi.SpaceGroup("P 1 2 1")).tolist()
    [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[-1, 0, 0], [0, 1, 0], [0, 0, -1]]]
    """
    return np.array([np.array(op.rot) // op.DEN for op in group.operations().sym_ops])


def find_invariant_metrics(rotations: np.ndarray) -> np.ndarray:
    """Find a basis of the symmetric reciprocal metric tensors that `rotations` leave as they are.

    Parameters
    ----------
    rotations : (n, 3, 3) of int
        Rotation parts of the space group's operations on real-space fractional coordinates.

    Returns
    -------
    (k, 3, 3)
        One tensor for each independent element of the metric: 6 for a triclinic, 1 for a cubic cell.

    Notes
    -----
    Miller indices transform as h' = h W (row vector), so the metric obeys W G* W^T = G*.

    Examples
    --------
    >>> import numpy as np
    >>> four_fold = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    >>> [m.tolist() for m in find_invariant_metrics(np.stack([np.eye(3, dtype=int), four_fold]))]
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]
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
    return np.einsum("pk,kij->pij", _find_null_space(matrix), unit)


def _find_null_space(matrix: np.ndarray) -> np.ndarray:
    """Rows spanning the null space, in reduced echelon form.

    scipy.linalg.null_space gives an orthonormal basis instead, whose rows mix all elements: here each parameter is an
    element of the metric (a*.a*, b*.b* ...), or such elements that symmetry makes equal. The conditions are small
    integers, each row is scaled to a largest element of one, and every row is cleared of earlier pivots, so that
    elimination without a choice of the best pivot loses nothing.
    """
    rows = [row / np.abs(row).max() for row in matrix if np.abs(row).max() > _ZERO]
    n = matrix.shape[1]
    pivots: list[int] = []
    reduced: list[np.ndarray] = []
    for row in rows:
        for pivot, kept in zip(pivots, reduced, strict=True):
            row = row - row[pivot] * kept
        if np.abs(row).max() < _ZERO:
            continue
        # the last element is eliminated, so that the free parameters are the first ones (a*.a* before b*.b*)
        pivot = int(np.flatnonzero(np.abs(row) > _ZERO)[-1])
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
    """Find the lower triangular B (..., 3, 3), in 1/Å, with B^T B = `metric` (..., 3, 3) and a positive diagonal.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the metric is of no cell: not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> b_from_metric(np.diag([0.01, 0.04, 0.25])).diagonal().tolist()
    [0.1, 0.2, 0.5]
    """
    # a Cholesky factor L has L L^T; with rows and columns in reverse order it becomes the B^T B that is wanted
    reverse = metric[..., ::-1, ::-1]
    lower = np.linalg.cholesky(reverse)
    return np.swapaxes(lower[..., ::-1, ::-1], -1, -2)


def differentiate_b(b: np.ndarray, d_metric: np.ndarray) -> np.ndarray:
    """Compute dB for each change of the metric.

    Parameters
    ----------
    b : (..., 3, 3)
        B, 1/Å.
    d_metric : (k, 3, 3)
        Changes of the metric G*.

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
    """Unit cells (..., 6) in Å and degrees of matrices B (..., 3, 3), or of A, which has the same metric.

    Examples
    --------
    >>> import numpy as np
    >>> cell_from_b(np.diag([0.1, 0.05, 0.02])).tolist()
    [10.0, 20.0, 50.0, 90.0, 90.0, 90.0]
    """
    real = np.linalg.inv(b)  # rows a, b, c
    lengths = np.linalg.norm(real, axis=-1)
    cosines = [
        np.einsum("...i,...i", real[..., i, :], real[..., j, :]) / (lengths[..., i] * lengths[..., j])
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    angles = np.degrees(np.arccos(np.clip(np.stack(cosines, axis=-1), -1.0, 1.0)))
    return np.concatenate([lengths, angles], axis=-1)
