"""Miller indices for spots, given crystals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Two spots of one reflection this close in angle compete for its index. Its two crossings of the sphere lie further
# apart except next to the spindle, where they say little. A choice, as in DIALS.
_DUPLICATE_ANGLE = np.deg2rad(5.0)


@dataclass(frozen=True)
class Assignment:
    """For each of n spots its crystal (-1: none) and its Miller index (0, 0, 0 if there is none)."""

    crystal: np.ndarray  # (n,) int32
    hkl: np.ndarray      # (n, 3) int32


def assign_indices(points: np.ndarray, phi: np.ndarray, settings: Sequence[np.ndarray], *, tolerance: float = 0.3,
                   block: np.ndarray | None = None) -> Assignment:
    """Give each spot the index of the nearest lattice point among all crystals.

    A spot is assigned if none of its three indices is further than `tolerance` from a whole number. Of several spots
    with one index of one crystal within five degrees the nearest to the lattice point keeps it.

    Parameters
    ----------
    points : (n, 3)
        Reciprocal lattice points, 1/Å.
    phi : (n,)
        Rotation angles, radians.
    settings : sequence of (3, 3)
        The crystals' A matrices, 1/Å.
    tolerance : float
        How far an index may be from a whole number.
    block : (n,) of int, optional
        Sweeps: spots of different sweeps do not compete.

    Returns
    -------
    Assignment

    Examples
    --------
    >>> import numpy as np
    >>> a = np.diag([0.1, 0.1, 0.05])
    >>> found = assign_indices(np.array([[0.1, 0.21, 0.0], [0.14, 0.0, 0.0]]), np.zeros(2), [a])
    >>> found.crystal.tolist(), found.hkl.tolist()
    ([0, -1], [[1, 2, 0], [0, 0, 0]])
    """
    best = np.full(len(points), np.inf)
    crystal = np.full(len(points), -1, dtype=np.int32)
    hkl = np.zeros((len(points), 3), dtype=np.int32)
    for number, a in enumerate(settings):
        index = points @ np.linalg.inv(a).T
        whole = np.round(index)
        delta = index - whole
        # in 1/Å, so that crystals with different cells compare
        distance = np.linalg.norm(delta @ a.T, axis=1)
        better = (np.abs(delta).max(axis=1) < tolerance) & (distance < best) & np.any(whole != 0, axis=1)
        best[better] = distance[better]
        crystal[better] = number
        hkl[better] = whole[better].astype(np.int32)
    return drop_duplicates(Assignment(crystal, hkl), points, phi, settings, block)


def drop_duplicates(assignment: Assignment, points: np.ndarray, phi: np.ndarray, settings: Sequence[np.ndarray],
                    block: np.ndarray | None) -> Assignment:
    """Take the index from spots that lie further from its lattice point than another spot with the same index does.

    These are spots of one crystal, sweep and index within five degrees.

    Parameters
    ----------
    assignment : Assignment
        Of the spots.
    points, phi, settings, block
        As for :func:`assign_indices`.
    """
    crystal, hkl = assignment.crystal.copy(), assignment.hkl.copy()
    distance = np.zeros(len(points))
    for number, a in enumerate(settings):
        mine = crystal == number
        distance[mine] = np.linalg.norm(points[mine] - hkl[mine] @ a.T, axis=1)
    drop = _find_duplicates(crystal, hkl, phi, distance, block)
    crystal[drop] = -1
    hkl[drop] = 0
    return Assignment(crystal, hkl)


def _find_duplicates(crystal: np.ndarray, hkl: np.ndarray, phi: np.ndarray, distance: np.ndarray,
                     block: np.ndarray | None) -> np.ndarray:
    """Rows that share crystal, sweep, index and (nearly) angle with a row that lies nearer to the lattice point."""
    rows = np.flatnonzero(crystal >= 0)
    sweep = np.zeros(len(crystal), dtype=np.int64) if block is None else np.asarray(block, dtype=np.int64)
    keys = np.column_stack([crystal[rows], sweep[rows], hkl[rows]])
    order = np.lexsort((distance[rows], phi[rows], *keys.T[::-1]))
    rows, keys = rows[order], keys[order]
    same = np.all(keys[1:] == keys[:-1], axis=1) & (np.diff(phi[rows]) < _DUPLICATE_ANGLE)
    # runs of rows with the same key, each within the angle of the one before
    drop: list[int] = []
    starts = np.flatnonzero(np.r_[True, ~same])
    for start, stop in zip(starts, np.r_[starts[1:], len(rows)], strict=True):
        if stop - start > 1:
            group = rows[start:stop]
            drop.extend(group[group != group[np.argmin(distance[group])]])
    return np.array(drop, dtype=np.int64)
