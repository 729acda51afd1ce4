"""One cell for many shots: refined together with their orientations, and its error from how the shots differ.

A single still tells the cell badly along the beam. Shots in many orientations tell it well in all directions. The
parameters are a rotation for each shot and a symmetric strain E of the common cell, B -> (1 + E) B. A shot's rotation
is eliminated from its normal equations (Schur complement), which leaves six numbers and a 6 x 6 matrix of it. Leaving
out each shot in turn (jackknife) gives the error, with the differences of the crystals in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xdp.serial.consensus.placement import (
    Placement,
    Residuals,
    ResidualWidths,
    make_skew,
    place_lattice,
    score_placement,
    split_residuals,
    sum_products,
    turn,
    weigh,
)

_CYCLES = 8          # least squares; it converges in three, the others follow the changing choice of spots
_FAR = 4.0           # widths from its lattice point beyond which a spot does not count
_FEWEST = 4          # spots of a shot that count
# Of a normal distribution, what turns the median of its absolute values, and of the length of a plane vector of two
# such numbers, into the standard deviation.
_MEDIAN, _MEDIAN_PLANE = 1.4826, 0.8493
_NARROWEST = 1e-5    # 1/Å: widths below it, of perfect spots, would leave no room for rounding
# What widths are taken for at first, as parts of the reciprocal cell's edge: residuals that are as large are hardly
# better than chance.
_FIRST = (0.05, 0.08)
_DAMPING = 1e-9      # of the largest element, added to normal equations

#: The six symmetric strains.
STRAINS = np.array([[[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
                    [[0, 0, 0], [0, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 1], [0, 1, 0]],
                    [[0, 0, 1], [0, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]], dtype=np.float64)


@dataclass(frozen=True)
class CommonCell:
    """A cell refined over shots.

    Attributes
    ----------
    b : (3, 3)
        B of the common cell, 1/Å: columns a*, b*, c*.
    placements : tuple of Placement
        The shots, with their orientations and scores.
    widths : ResidualWidths
        Of the residuals over all shots, 1/Å.
    left_out : (k, 3, 3)
        B as it would be without each of the shots.
    """

    b: np.ndarray
    placements: tuple[Placement, ...]
    widths: ResidualWidths
    left_out: np.ndarray

    @property
    def basis(self) -> np.ndarray:
        """The direct axes as rows, Å."""
        return np.linalg.inv(self.b)


def guess_widths(b: np.ndarray) -> ResidualWidths:
    """Guess widths of residuals for a start, from the size of the reciprocal cell.

    Examples
    --------
    >>> import numpy as np
    >>> guess_widths(np.eye(3) / 50.0)
    ResidualWidths(across=0.001, along=0.0016)
    """
    edge = abs(float(np.linalg.det(b))) ** (1.0 / 3.0)
    return ResidualWidths(*(float(round(part * edge, 12)) for part in _FIRST))


def refine_common_cell(placements: Sequence[Placement], b: np.ndarray, *, n_cycles: int = _CYCLES) -> CommonCell:
    """Refine one cell with the orientations of all shots.

    Parameters
    ----------
    placements : sequence of Placement
        Shots with their orientations, refined with `b`.
    b : (3, 3)
        B to start from, 1/Å.
    n_cycles : int
        Least squares.

    Returns
    -------
    CommonCell
    """
    widths, current = guess_widths(b), list(placements)
    matrices, right = np.zeros((len(current), 6, 6)), np.zeros((len(current), 6))
    for _ in range(n_cycles):
        residuals = [split_residuals(p.shot, p.rotation, b) for p in current]
        widths = _estimate_widths(residuals, widths)
        parts = [_reduce_to_strain(r, widths) for r in residuals]
        matrices, right = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
        strain = _solve(matrices.sum(axis=0), right.sum(axis=0))
        current = [replace(p, rotation=turn(p.rotation, part[2] - part[3] @ strain))
                   for p, part in zip(current, parts, strict=True)]
        b = _apply_strain(strain) @ b
    placed = tuple(score_placement(p, b, widths) for p in current)
    # The last strain is nearly zero: what leaving out a shot changes is its own part of the sums.
    left_out = [_apply_strain(_solve(matrices.sum(axis=0) - m, right.sum(axis=0) - r)) @ b
                for m, r in zip(matrices, right, strict=True)]
    return CommonCell(b, placed, widths, np.array(left_out).reshape(-1, 3, 3))


def _apply_strain(strain: np.ndarray) -> np.ndarray:
    return np.eye(3) + np.einsum("k,kij->ij", strain, STRAINS)


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The solution of normal equations; a direction that no spot tells of does not move."""
    return np.linalg.solve(matrix + max(_DAMPING * float(matrix.max()), 1e-30) * np.eye(len(matrix)), right)


def _estimate_widths(residuals: Sequence[Residuals], before: ResidualWidths) -> ResidualWidths:
    """ResidualWidths of the residuals of all shots within four widths of before."""
    near = [r.measure(before) < _FAR**2 for r in residuals]
    across = np.concatenate([r.across[n] for r, n in zip(residuals, near, strict=True)])
    along = np.concatenate([np.abs(r.along[n]) for r, n in zip(residuals, near, strict=True)])
    if not len(across):
        return before
    return ResidualWidths(max(_MEDIAN_PLANE * float(np.median(across)), _NARROWEST),
                  max(_MEDIAN * float(np.median(along)), _NARROWEST))


def _reduce_to_strain(residuals: Residuals, widths: ResidualWidths
                      ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One shot's normal equations of the strain, its rotation eliminated, and how the rotation follows from the strain.

    Returns the matrix (6, 6), the right side (6,), and w0 (3,), W (3, 6) of the rotation w = w0 - W strain.
    """
    near = residuals.measure(widths) < _FAR**2
    if np.count_nonzero(near) < _FEWEST:
        return np.zeros((6, 6)), np.zeros(6), np.zeros(3), np.zeros((3, 6))
    chosen = Residuals(*(part[near] for part in residuals))
    weight = weigh(chosen, widths)
    turning = -make_skew(chosen.nodes)
    straining = np.moveaxis(chosen.nodes @ np.swapaxes(STRAINS, 1, 2), 0, 2)
    w_turning, w_straining = weight @ turning, weight @ straining
    rr, rc, cc = (sum_products(turning, w_turning), sum_products(turning, w_straining),
                  sum_products(straining, w_straining))
    r, c = sum_products(w_turning, chosen.offset), sum_products(w_straining, chosen.offset)
    inverse = np.linalg.inv(rr + _DAMPING * rr.max() * np.eye(3))
    return cc - rc.T @ inverse @ rc, c - rc.T @ inverse @ r, inverse @ r, inverse @ rc


def place_all(placements: Sequence[Placement], cell: CommonCell) -> list[Placement]:
    """Refine the orientations of shots with a common cell, which is kept, and score them.

    Parameters
    ----------
    placements : sequence of Placement
        Shots with orientations to start from.
    cell : CommonCell
        Its B and widths.
    """
    return [place_lattice(p.shot, p.rotation, cell.b, cell.widths) for p in placements]
