"""Short vectors of a known cell, one of those that the lattice's symmetry makes equal, to be sought in the spots."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.symmetry import list_unimodular

# Rotations that keep the metric to this part of the longest edge's square are the lattice's own. The known cell obeys
# its space group exactly; a cell that is metrically nearly of higher symmetry is not (a choice).
_SAME_METRIC = 1e-3
_PARALLEL = 0.97  # |cosine| of two vectors that are too nearly parallel to span a plane well (a choice: 14 degrees)


@dataclass(frozen=True, eq=False)
class CellVectors:
    """A known primitive cell, and what its search needs.

    Attributes
    ----------
    basis : (3, 3)
        Rows a, b, c in Å, reduced, right-handed.
    """

    basis: np.ndarray

    @cached_property
    def rotations(self) -> np.ndarray:
        """The lattice's own rotations (r, 3, 3), as matrices that act on vectors in Å."""
        metric, operators = self.basis @ self.basis.T, list_unimodular()
        change = np.abs(operators @ metric @ np.swapaxes(operators, 1, 2) - metric).max(axis=(1, 2))
        own = operators[change < _SAME_METRIC * metric.max()]
        return np.swapaxes(np.linalg.inv(self.basis) @ own @ self.basis, 1, 2)

    @cached_property
    def classes(self) -> list[np.ndarray]:
        """Frames (3, 3) of lattice vectors in Å: the first row is sought, the others complete a cell with it.

        One for each kind of first row that symmetry does not make equal to another, the shortest first.
        """
        indices = np.array([n for n in itertools.product((-1, 0, 1), repeat=3) if any(n)])
        short = indices @ self.basis
        order = np.argsort(np.round(np.linalg.norm(short, axis=1), 6), kind="stable")
        short = short[order]
        kinds: list[np.ndarray] = []
        for vector in short:
            images = np.concatenate([self.rotations @ k[0] for k in kinds]) if kinds else np.zeros((0, 3))
            limit = 0.01 * float(np.linalg.norm(vector))
            if any(np.linalg.norm(images - vector, axis=1) < limit) or any(
                    np.linalg.norm(images + vector, axis=1) < limit):
                continue
            kinds.append(self._complete(vector, short))
        return kinds

    def _complete(self, vector: np.ndarray, short: np.ndarray) -> np.ndarray:
        """`vector` with the two shortest vectors that are not parallel to it, nor to each other."""
        rows = [vector]
        for other in short:
            cosine = [abs(other @ v) / np.sqrt((other @ other) * (v @ v)) for v in rows]
            flat = len(rows) == 2 and abs(np.linalg.det(np.stack([*rows, other]))) < 0.5 * abs(
                float(np.linalg.det(self.basis)))
            if max(cosine) < _PARALLEL and not flat:
                rows.append(other)
            if len(rows) == 3:
                break
        return np.stack(rows)

    def is_reversible(self, vector: np.ndarray) -> bool:
        """Whether one of the lattice's rotations turns a vector round: then one sense of it stands for both."""
        return bool(np.any(np.linalg.norm(self.rotations @ vector + vector, axis=1) < 0.01 * np.linalg.norm(vector)))

    def count_equal_turns(self, vector: np.ndarray) -> int:
        """How many of the lattice's rotations keep a vector: the order of the axis along it."""
        kept = np.linalg.norm(self.rotations @ vector - vector, axis=1) < 0.01 * np.linalg.norm(vector)
        return int(np.count_nonzero(kept))


def make_cell_vectors(basis: np.ndarray) -> CellVectors:
    """Make the vectors of a primitive cell, rows a, b, c in Å, in any choice of axes.

    Examples
    --------
    >>> cell = make_cell_vectors(np.diag([79.0, 79.0, 38.0]))
    >>> [round(float(np.linalg.norm(frame[0])), 1) for frame in cell.classes[:3]]
    [38.0, 79.0, 87.7]
    >>> len(cell.rotations)
    8
    """
    return CellVectors(reduce_basis(basis))
