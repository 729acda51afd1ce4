"""How well a crystal's cell is known: from the covariance of B to standard uncertainties of a, b, c, angles."""

from __future__ import annotations

import math

import numpy as np

from xdp.experiment.crystal import Crystal

#: Å or degrees: more than any axis. Such an error says only that nothing is known.
_LARGEST_ERROR = 1e4


def cell_uncertainties(crystal: Crystal) -> np.ndarray | None:
    """Standard uncertainties of the cell (Å, degrees), shape (6,); None where the file has no covariance of B.

    First order propagation: the axes are the rows of M = B⁻¹, dM = -M dB M, and the lengths' and angles' derivatives
    by M are taken analytically.
    """
    covariance = crystal.extra.get("B_covariance")
    if not covariance:
        return None
    values = np.reshape(np.asarray(covariance, np.float64), (9, 9))
    if not np.isfinite(values).all():  # as after a refinement that the data did not determine
        return None
    jacobian = _cell_by_b(crystal.B)
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond any cell is left out by `with_uncertainty`
        variances = np.diag(jacobian @ values @ jacobian.T)
    return np.sqrt(np.maximum(variances, 0.0))


def cell_text(crystal: Crystal) -> str:
    """The cell as text, with uncertainties in brackets where they are known.

    Returns
    -------
    str
        ``79.343(4), 79.343(4), 37.811(2), 90.000, ...`` in Å and degrees.
    """
    errors = cell_uncertainties(crystal)
    if errors is None:
        return ", ".join(f"{value:.3f}" for value in crystal.unit_cell)
    return ", ".join(with_uncertainty(v, e) for v, e in zip(crystal.unit_cell, errors, strict=True))


def with_uncertainty(value: float, error: float, minimum: float = 1e-5) -> str:
    """``12.345(6)``: the error in units of the last digit, with two digits up to 19.

    No bracket stands for an error below `minimum`, or so large (1e4, more than any axis) that it says nothing.

    References
    ----------
    Schwarzenbach et al., Acta Cryst. A51, 565 (1995), doi:10.1107/S0108767395002340.
    """
    if not minimum <= error < _LARGEST_ERROR:
        return str(round(value, round(-math.log10(minimum))))
    digits = 1 - math.floor(math.log10(error))  # decimals that leave two digits of the error
    if round(error * 10.0**digits) > 19:
        digits -= 1
    if digits <= 0:
        return f"{round(value, digits):.0f}({round(error, digits):.0f})"
    return f"{value:.{digits}f}({round(error * 10.0**digits)})"


def _cell_by_b(b: np.ndarray) -> np.ndarray:
    """Derivatives of (a, b, c, alpha, beta, gamma in degrees) by the elements of B, row by row, shape (6, 9)."""
    axes = np.linalg.inv(b)
    by_axes = np.zeros((6, 3, 3))  # derivatives by the elements of M, whose rows are the axes
    lengths = np.linalg.norm(axes, axis=1)
    unit = axes / lengths[:, None]
    for i in range(3):
        by_axes[i, i] = unit[i]
        j, k = (i + 1) % 3, (i + 2) % 3
        cosine = unit[j] @ unit[k]
        # d(angle) = -d(cosine) / sine
        scale = -np.rad2deg(1.0) / np.sqrt(1.0 - cosine**2)
        by_axes[3 + i, j] = scale * (unit[k] - cosine * unit[j]) / lengths[j]
        by_axes[3 + i, k] = scale * (unit[j] - cosine * unit[k]) / lengths[k]
    # dM_pq = -M_pr dB_rs M_sq
    return -np.einsum("npq,pr,sq->nrs", by_axes, axes, axes).reshape(6, 9)
