"""Is it the right one of a lattice and its sub- and superlattices? The spots of all shots vote.

A cell that is twice too large indexes all spots, but only even indices occur in some direction. One that is half as
large as it should be leaves out spots that lie half way between its lattice points. Over many shots both show clearly:
the numbers of such spots are compared with what chance would give. Cells with 2, 3 and 4 times the volume, and their
inverses, are looked at, again and again until none is better.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.stats import poisson

from xdp.indexing.lattice.basis import reduce_basis
from xdp.serial.consensus.common_cell import CommonCell
from xdp.serial.consensus.metric import match_cell_axes
from xdp.serial.consensus.placement import ResidualWidths, find_nearest_rotation, split_residuals

_INDICES = (2, 3, 4)
_FAR = 4.0          # widths from its lattice point within which a spot is explained
_CHANCE = 1e-6      # probability of as many spots by chance with which they are real, for each of the 110 lattices
# of the explained spots: fewer, though more than by chance, are from another crystal or from ice. A choice: a
# superstructure with so few spots could not be solved
_LEAST = 0.02
# The largest part of reciprocal space that explained regions may fill. With more, chance explains nearly as much as a
# lattice does.
_FULLEST = 0.5
_MOST_STEPS = 6     # of the search: a cell is 64 times too large or small then


class Change(NamedTuple):
    """A lattice that is better: its axes in terms of those of the present one, and how clearly it is."""

    transform: np.ndarray   # (3, 3): new axes = transform @ axes
    log_chance: float       # log of the probability that chance made it look better; lower is clearer


@cache
def list_sublattices(index: int) -> np.ndarray:
    """List the sublattices of a given index as matrices of whole numbers, (m, 3, 3): axes = matrix @ axes.

    Examples
    --------
    >>> [len(list_sublattices(n)) for n in (2, 3, 4)]
    [7, 13, 35]
    """
    found = [[[a, b, c], [0, d, e], [0, 0, index // (a * d)]]
             for a in range(1, index + 1) if index % a == 0
             for d in range(1, index // a + 1) if index // a % d == 0
             for b in range(d) for c in range(index // (a * d)) for e in range(index // (a * d))]
    return np.array(found, dtype=np.int64)


def choose_related_lattice(cell: CommonCell) -> np.ndarray:
    """Choose among a cell and its sub- and superlattices by the spots of all shots.

    Parameters
    ----------
    cell : CommonCell
        With the shots placed.

    Returns
    -------
    (3, 3)
        The better cell's axes in terms of the present ones; the identity if the present one is right.
    """
    total, b = np.eye(3), cell.b
    for _ in range(_MOST_STEPS):
        change = _find_better(cell, b)
        if change is None:
            break
        total = change.transform @ total
        b = np.linalg.inv(total @ cell.basis)
    return total


def _find_better(cell: CommonCell, b: np.ndarray) -> Change | None:
    """The clearest better lattice, or None."""
    index, explained, unexplained = _sort_spots(cell, b)
    filled = _measure_filled(cell.widths, b)
    if not len(index) or filled > _FULLEST:
        return None
    by_chance = len(unexplained) * filled / (1.0 - filled)
    changes = [c for n in _INDICES for h in list_sublattices(n)
               if (c := _try_smaller(h, index, by_chance)) or
               (c := _try_larger(h, unexplained, len(explained), b, cell.widths, filled))]
    return min(changes, key=lambda c: c.log_chance, default=None)


def _sort_spots(cell: CommonCell, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the explained spots, their points and the others', of all shots in the crystal's frame.

    The points (n, 6) are followed by the rays.
    """
    index, explained, unexplained = [np.zeros((0, 3))], [np.zeros((0, 6))], [np.zeros((0, 6))]
    for placement in cell.placements:
        residuals = split_residuals(placement.shot, placement.rotation, b)
        good = residuals.measure(cell.widths) < _FAR**2
        both = np.hstack([residuals.nodes + residuals.offset, residuals.rays])
        index.append(residuals.hkl[good])
        explained.append(both[good])
        unexplained.append(both[~good])
    return np.concatenate(index), np.concatenate(explained), np.concatenate(unexplained)


def _measure_filled(widths: ResidualWidths, b: np.ndarray) -> float:
    """The part of reciprocal space within four widths of lattice points."""
    return 4.0 / 3.0 * np.pi * _FAR**3 * widths.across**2 * widths.along / abs(float(np.linalg.det(b)))


def _try_smaller(h: np.ndarray, index: np.ndarray, by_chance: float) -> Change | None:
    """The cell that is smaller by the determinant of `h`, if no more indices than by chance contradict it."""
    n = round(float(np.linalg.det(h)))
    # the new reciprocal axes are b h^T: what is not a whole combination of them breaks the rule
    new = index @ np.linalg.inv(h)
    breaking = int(np.count_nonzero(np.abs(new - np.round(new)).max(axis=1) > 0.01))
    expected = by_chance * (1.0 - 1.0 / n)
    if breaking > _LEAST * len(index) and poisson.logsf(breaking - 1, expected) < np.log(_CHANCE):
        return None
    # If the present lattice were right, each index would obey by chance with 1/n.
    log_chance = -np.log(n) * (len(index) - breaking)
    return Change(np.linalg.inv(h.T.astype(np.float64)), log_chance) if log_chance < np.log(_CHANCE) else None


def _try_larger(h: np.ndarray, unexplained: np.ndarray, n_explained: int, b: np.ndarray, widths: ResidualWidths,
                filled: float) -> Change | None:
    """The cell that is larger by the determinant of `h`, if it explains more of the other spots than chance does."""
    n = round(float(np.linalg.det(h)))
    if n * filled > _FULLEST or not len(unexplained):
        return None
    finer = b @ np.linalg.inv(h.astype(np.float64))
    points, rays = unexplained[:, :3], unexplained[:, 3:]
    offset = points - np.round(points @ np.linalg.inv(finer).T) @ finer.T
    along = np.sum(offset * rays, axis=1)
    across2 = np.sum(offset**2, axis=1) - along**2
    distance2 = across2 / widths.across**2 + (along / widths.along) ** 2
    # Spots of a lattice are dense about its points. Outliers of the present lattice, of split or badly measured spots,
    # are dense about that one's, and thin out towards the others: what is within half the distance counts, against
    # what the shell outside of it has for its seven times larger volume.
    more, around = (int(np.count_nonzero(distance2 < far**2)) for far in (_FAR / 2.0, _FAR))
    by_chance = max((around - more) / 7.0, len(unexplained) * (n - 1) * filled / (1.0 - filled) / 8.0)
    log_chance = float(poisson.logsf(more - 1, by_chance))
    if more < _LEAST * n_explained or log_chance > np.log(_CHANCE):
        return None
    return Change(h.astype(np.float64), log_chance)


def change_cell(cell: CommonCell, transform: np.ndarray) -> np.ndarray:
    """Compute B of another lattice, on its reduced axes; the crystal's frame, and so the rotations of shots, stay.

    Parameters
    ----------
    cell : CommonCell
        As it was refined.
    transform : (3, 3)
        New axes in terms of the present ones.
    """
    return np.linalg.inv(reduce_basis(transform @ cell.basis))


def turn_onto(basis: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Find U with which a lattice B lies on a cell found in a shot.

    Parameters
    ----------
    basis : (3, 3)
        A cell of nearly the same lattice in the laboratory's frame, reduced, rows in Å.
    b : (3, 3)
        B, of reduced axes.

    Returns
    -------
    (3, 3)
        The nearest rotation.
    """
    matched = match_cell_axes(basis, np.linalg.inv(b))
    return find_nearest_rotation(np.linalg.inv(matched) @ np.linalg.inv(b))
