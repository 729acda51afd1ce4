"""The rotations of a lattice, and the groups that they form: what the intensities may have as their Laue group.

All is said on one primitive, reduced cell, in whole numbers: rotations act on Miller indices (rows) from the right.

References
----------
Lebedev, Vagin & Murshudov (2006). Acta Cryst. D62, 83-95, doi:10.1107/S0907444905036759, for twin laws as rotations of
the lattice that are none of the crystal.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.bravais import find_two_folds

if TYPE_CHECKING:
    from xdp.space_groups import AnySpaceGroup

_ORDERS = {3: 1, -1: 2, 0: 3, 1: 4, 2: 6}
"""Order of a rotation by the trace of its matrix."""
_MOST = 24
"""Rotations of the cube: no lattice has more."""


@dataclass(frozen=True)
class LatticeGroup:
    """The rotations that a lattice has, within a tolerance, and all groups among them.

    Attributes
    ----------
    basis : (3, 3) float64
        Rows: reduced primitive axes, Å.
    from_input : (3, 3) float64
        ``basis = from_input @ axes of the crystal``; Miller indices go by the same matrix.
    rotations : (n, 3, 3) int64
        ``h @ R`` is where a rotation takes an index. The identity is the first.
    product : (n, n) int64
        The number of ``rotations[i] @ rotations[j]``.
    deltas : (n,) float64
        By how many degrees a two-fold axis misses the lattice; 0 for other rotations.
    subgroups : tuple of tuple of int
        Numbers of the rotations of each group, in ascending order; from the identity alone to the largest.
    """

    basis: np.ndarray
    from_input: np.ndarray
    rotations: np.ndarray
    product: np.ndarray
    deltas: np.ndarray
    subgroups: tuple[tuple[int, ...], ...]

    def list_double_cosets(self, group: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Sort the rotations that are not of a group into those that the group and inversion make equivalent.

        Parameters
        ----------
        group : tuple of int
            Numbers of its rotations.

        Returns
        -------
        list of tuple of int
            If one rotation of a set relates intensities, all do.
        """
        # what is not assigned to a set yet
        left, cosets = set(range(len(self.rotations))) - set(group), []
        while left:
            first = min(left)
            back = int(np.flatnonzero(self.product[first] == 0)[0])
            coset = {int(self.product[self.product[a, r], b]) for a in group for b in group for r in (first, back)}
            cosets.append(tuple(sorted(coset)))
            left -= coset
        return cosets


def find_lattice_group(axes: np.ndarray, to_primitive: np.ndarray, max_delta: float = 2.0) -> LatticeGroup:
    """Find the rotations of a lattice.

    Parameters
    ----------
    axes : (3, 3)
        Rows a, b, c of the crystal, Å.
    to_primitive : (3, 3)
        Axes of a primitive cell in terms of these.
    max_delta : float
        How far a two-fold axis may miss the lattice (Le Page's angle), degrees.

    Returns
    -------
    LatticeGroup

    Examples
    --------
    >>> import numpy as np
    >>> lattice = find_lattice_group(np.diag([10.0, 10.0, 20.0]), np.eye(3))
    >>> len(lattice.rotations), len(lattice.subgroups)
    (8, 10)
    """
    primitive = np.asarray(to_primitive) @ np.asarray(axes)
    basis = reduce_basis(primitive)
    from_input = np.round(basis @ np.linalg.inv(primitive)) @ to_primitive
    # rotations of coordinates (columns) act on indices (rows) from the right as they are
    half_turns = sorted(find_two_folds(basis, max_delta), key=lambda item: item[1])
    # the best two-fold axes first: others must form a group with them
    rotations, used = np.eye(3, dtype=np.int64)[None], []
    for turn, delta in half_turns:
        larger = _close(np.concatenate([rotations, turn[None]]))
        # axes that miss the lattice by more than others may not go together with them
        if larger is not None:
            rotations = larger
            used.append((turn, delta))
    deltas = np.array([max((d for t, d in used if np.array_equal(t, r)), default=0.0) for r in rotations])
    product = _multiply(rotations)
    return LatticeGroup(basis, from_input, rotations, product, deltas, _list_subgroups(product))


def restrict_lattice_group(lattice: LatticeGroup, keep: np.ndarray) -> LatticeGroup:
    """Leave out rotations that are not to be tested.

    Parameters
    ----------
    lattice : LatticeGroup
    keep : (n,) bool
        Which rotations stay; the largest group among them does.

    Returns
    -------
    LatticeGroup
    """
    # groups stand in the order of their sizes
    chosen = list([g for g in lattice.subgroups if keep[list(g)].all()][-1])
    rotations = lattice.rotations[chosen]
    product = _multiply(rotations)
    return LatticeGroup(lattice.basis, lattice.from_input, rotations, product, lattice.deltas[chosen],
                        _list_subgroups(product))


def describe_rotation(rotation: np.ndarray) -> tuple[int, tuple[int, int, int]]:
    """Describe a rotation by its order and its axis.

    Parameters
    ----------
    rotation : (3, 3) int
        Of coordinates (columns).

    Returns
    -------
    order : int
    axis : (int, int, int)
        The shortest lattice vector along the axis; zeros for the identity.

    Examples
    --------
    >>> import numpy as np
    >>> describe_rotation(np.diag([-1, 1, -1]))
    (2, (0, 1, 0))
    """
    order = _ORDERS[int(np.trace(rotation))]
    if order == 1:
        return 1, (0, 0, 0)
    # the sum of all powers of a rotation projects on its axis
    total = np.sum([np.linalg.matrix_power(rotation, k) for k in range(order)], axis=0)
    column = next(total[:, k] for k in range(3) if total[:, k].any())
    column = column // np.gcd.reduce(column)
    sign = 1 if tuple(column) > (0, 0, 0) else -1
    u, v, w = (int(number) for number in sign * column)
    return order, (u, v, w)


def list_proper_rotations(group: AnySpaceGroup) -> np.ndarray:
    """List the rotations of a space group's Laue group, without inversion, each once.

    Parameters
    ----------
    group : gemmi.SpaceGroup

    Returns
    -------
    (n, 3, 3) int64
        Of coordinates (columns); Miller indices (rows) go by them from the right.
    """
    found = {}
    for operation in group.operations().sym_ops:
        rotation = np.array(operation.rot, dtype=np.int64) // operation.DEN
        rotation *= round(np.linalg.det(rotation))
        found[rotation.tobytes()] = rotation
    return np.stack(list(found.values()))


def move_rotations(rotations: np.ndarray, transform: np.ndarray) -> np.ndarray | None:
    """Write rotations that are given on conventional axes on the primitive ones.

    Parameters
    ----------
    rotations : (n, 3, 3) int
    transform : (3, 3)
        Conventional axes in terms of the primitive ones.

    Returns
    -------
    (n, 3, 3) int64 or None
        None where they are not whole numbers: the primitive lattice does not have them.
    """
    # x' = C^-T x, so that a rotation goes back as C^T W C^-T
    # whole numbers on the primitive axes mean that the lattice is taken to itself
    moved = transform.T @ rotations @ np.linalg.inv(transform).T
    whole = np.round(moved).astype(np.int64)
    return whole if np.abs(moved - whole).max() < 1e-6 else None


def _close(generators: np.ndarray) -> np.ndarray | None:
    """The group of some rotations, the identity first; None where they form none of a lattice."""
    elements = {g.tobytes(): g for g in generators}
    while True:
        current = np.stack(list(elements.values()))
        products = (current[:, None] @ current[None]).reshape(-1, 3, 3)
        new = {p.tobytes(): p for p in products if p.tobytes() not in elements}
        if not new:
            rest = sorted(elements.values(), key=lambda g: (_ORDERS[int(np.trace(g))], g.ravel().tolist()))
            return np.stack(rest)
        elements |= new
        if len(elements) > _MOST or any(int(np.trace(p)) not in _ORDERS for p in new.values()):
            return None


def _multiply(rotations: np.ndarray) -> np.ndarray:
    """The multiplication table of a group, as numbers."""
    number = {g.tobytes(): k for k, g in enumerate(rotations)}
    return np.array([[number[np.ascontiguousarray(a @ b).tobytes()] for b in rotations] for a in rotations])


def _list_subgroups(product: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """All groups that up to three rotations generate, smallest first; three are enough for those of the cube."""
    n = len(product)
    found: set[tuple[int, ...]] = {(0,)}
    layer = found.copy()
    for _ in range(3):
        layer = {_generate(product, (*group, r)) for group, r in itertools.product(layer, range(1, n))} - found
        found |= layer
    return tuple(sorted(found, key=lambda g: (len(g), g)))


def _generate(product: np.ndarray, start: tuple[int, ...]) -> tuple[int, ...]:
    """The group that some rotations generate."""
    group = {0, *start}
    while True:
        rows = sorted(group)
        larger = set(product[np.ix_(rows, rows)].ravel().tolist())
        if larger == group:
            return tuple(rows)
        group = larger | group
