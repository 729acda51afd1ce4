"""The Bravais lattices that a reduced cell allows, and their conventional axes.

Two-fold axes of a lattice are found by Le Page's test: a row [uvw] and a plane (hkl) with |u.h| of 1 or 2 that are
nearly at right angles. Two-folds generate every symmetry of a lattice, so that the groups which subsets of them
generate are all its settings. Each has its conventional cell.

References
----------
Le Page (1982) J. Appl. Cryst. 15, 255; Lebedev, Vagin & Murshudov (2006) Acta Cryst. D62, 83;
Grosse-Kunstleve, Sauter & Adams (2004) Acta Cryst. A60, 1; Sauter, Grosse-Kunstleve & Adams (2006) J. Appl.
Cryst. 39, 158.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xdp.indexing.lattice.basis import reduce_basis

_HALF_TURN = -1  # the trace of a two-fold rotation
_ORDERS = {3: 1, -1: 2, 0: 3, 1: 4, 2: 6}  # order of a rotation by the trace of its matrix
#: Bravais lattices from the lowest symmetry to the highest.
LATTICES = ("aP", "mP", "mC", "oP", "oC", "oF", "oI", "tP", "tI", "hR", "hP", "cP", "cF", "cI")
#: Letter of the crystal family by the number of rotations in the lattice's group; a rhombohedral lattice has 6.
_SYSTEMS = {1: "a", 2: "m", 4: "o", 6: "h", 8: "t", 12: "h", 24: "c"}

# Groups and centrings depend on small whole numbers only, and come again from cell to cell. A cell asks for some
# hundreds, of 1 kB at most: a choice.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Setting:
    """One Bravais lattice that fits.

    Attributes
    ----------
    lattice : str
        Bravais type: ``aP mP mC oP oC oI oF tP tI hP hR cP cI cF``.
    delta : float
        The largest angle in degrees by which one of its two-folds misses Le Page's condition.
    transform : (3, 3) of int
        Conventional axes = transform @ primitive axes (rows); Miller indices go by the same matrix.
    basis : (3, 3)
        Rows: the conventional axes, Å, not yet constrained by symmetry.
    """

    lattice: str
    delta: float
    transform: np.ndarray
    basis: np.ndarray

    @property
    def operator(self) -> str:
        """The change of basis in letters, such as ``b+c,-b+c,a``: the new axes in terms of the primitive ones."""
        return ",".join(_write_letters(row) for row in self.transform)


def _write_letters(row: np.ndarray) -> str:
    """One axis as a sum of letters."""
    text = ""
    for count, letter in zip(row, "abc", strict=True):
        if count:
            size = "" if abs(count) == 1 else f"{abs(int(count))}*"
            text += ("-" if count < 0 else "+" if text else "") + size + letter
    return text


def find_bravais_settings(basis: np.ndarray, max_delta: float = 5.0, lattice: str | None = None) -> list[Setting]:
    """Find all settings of the lattice spanned by the rows of `basis`.

    Parameters
    ----------
    basis : (3, 3)
        Primitive axes, Å; they need not be reduced.
    max_delta : float
        Largest allowed angle of Le Page's test, degrees.
    lattice : str, optional
        Only settings of this Bravais type are made, which is quicker; by default all.

    Returns
    -------
    list of Setting
        Highest symmetry first, triclinic last.

    Examples
    --------
    >>> import numpy as np
    >>> [s.lattice for s in find_bravais_settings(np.diag([10.0, 20.0, 30.0]))]
    ['oP', 'mP', 'mP', 'mP', 'aP']
    """
    reduced = reduce_basis(basis)
    to_reduced = np.round(reduced @ np.linalg.inv(basis)).astype(np.int64)
    two_folds = find_two_folds(reduced, max_delta)
    found: dict[tuple[str, tuple[float, ...]], Setting] = {}
    for group, delta in _generate_groups(two_folds):
        if lattice is not None and _SYSTEMS.get(len(group)) != lattice[0]:
            continue
        setting = _make_conventional(reduced, group, delta)
        if setting is None or (lattice is not None and setting.lattice != lattice):
            continue
        transform = _choose_plainest(setting.transform @ to_reduced, setting.transform, group)
        # different groups may have the same cell: the first one, of the fewest two-folds, stands for all
        key = (setting.lattice, tuple(np.round(setting.basis, 6).ravel()))
        found.setdefault(key, Setting(setting.lattice, delta, transform, transform @ basis))
    return sorted(found.values(), key=lambda s: (-LATTICES.index(s.lattice), s.delta))


def _choose_plainest(transform: np.ndarray, conventional: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Of the choices of axes that the symmetry makes equal, the one with the fewest minus signs.

    A rotation g of the group acts on the conventional axes as C g C^-1, in the group's own fractional coordinates.
    """
    inverse = np.linalg.inv(conventional)
    choices = [np.round(conventional @ g.T @ inverse).astype(np.int64) @ transform for g in group]
    return max(choices, key=lambda m: (int(m.sum()), [int(v) for v in m.ravel()]))


def find_two_folds(basis: np.ndarray, max_delta: float) -> list[tuple[np.ndarray, float]]:
    """Find the two-fold rotations of a lattice by Le Page's test.

    Parameters
    ----------
    basis : (3, 3)
        Rows a, b, c in Å, reduced: rows and planes with indices up to 2 are then enough.
    max_delta : float
        Largest allowed angle between row and plane normal, degrees.

    Returns
    -------
    list of ((3, 3) array of int, float)
        Rotations of fractional coordinates, each with its angle in degrees.
    """
    reciprocal = np.linalg.inv(basis).T
    indices = np.array([v for v in itertools.product(range(-2, 3), repeat=3)
                        if any(v) and np.gcd.reduce(v) == 1 and v > (0, 0, 0)])
    rows, planes = indices @ basis, indices @ reciprocal
    products = indices @ indices.T
    sine = np.linalg.norm(np.cross(rows[:, None], planes[None]), axis=2)
    cosine = np.einsum("ik,jk->ij", rows, planes)
    delta = np.degrees(np.arctan2(sine, np.abs(cosine)))
    found = []
    for i, j in np.argwhere((np.abs(products) >= 1) & (np.abs(products) <= 2) & (delta <= max_delta)):
        # a half turn about u with the plane h across it: 2 u h^T / (u.h) - 1, which must be whole
        doubled = 2 * np.outer(indices[i], indices[j])
        if np.all(doubled % products[i, j] == 0):
            found.append((doubled // products[i, j] - np.eye(3, dtype=np.int64), float(delta[i, j])))
    return found


def _generate_groups(two_folds: list[tuple[np.ndarray, float]]) -> list[tuple[np.ndarray, float]]:
    """Every group that up to three of the two-folds generate, with the largest angle of its two-folds."""
    # three are enough for every lattice's own group, that of a cube included
    delta_of = {_make_key(w): d for w, d in two_folds}
    identity = np.eye(3, dtype=np.int64)[None]
    groups = {_make_group_key(identity): (identity, 0.0)}
    generated = [identity]
    for _ in range(3):
        following = []
        for group in generated:
            for w, _delta in two_folds:
                if np.any(np.all(group == w, axis=(1, 2))):
                    continue
                larger = _close_group(np.concatenate([group, w[None]]).tobytes())
                if larger is None:
                    continue
                half_turns = larger[np.trace(larger, axis1=1, axis2=2) == _HALF_TURN]
                found = [delta_of.get(_make_key(g)) for g in half_turns]
                deltas = [d for d in found if d is not None]
                key = _make_group_key(larger)
                # a two-fold of the group that misses Le Page's condition by too much rules it out
                if key in groups or len(deltas) < len(found):
                    continue
                groups[key] = (larger, max(deltas))
                following.append(larger)
        generated = following
    return list(groups.values())


def _make_key(matrix: np.ndarray) -> bytes:
    return matrix.tobytes()


def _make_group_key(group: np.ndarray) -> frozenset[bytes]:
    return frozenset(_make_key(g) for g in group)


def _get_order(matrix: np.ndarray) -> int:
    """How often a rotation acts to be back; 0 where it is none of a lattice's."""
    return _ORDERS.get(int(np.trace(matrix)), 0)


@lru_cache(maxsize=_REMEMBERED)
def _close_group(generators: bytes) -> np.ndarray | None:
    """The group that rotation matrices (n, 3, 3 of int64, as bytes) generate; read-only.

    None if it is no lattice's (over 24 elements, or other orders).
    """
    elements = {_make_key(g): g for g in np.frombuffer(generators, dtype=np.int64).reshape(-1, 3, 3)}
    while True:
        current = np.stack(list(elements.values()))
        products = (current[:, None] @ current[None]).reshape(-1, 3, 3)
        new = {k: p for p in products if (k := _make_key(p)) not in elements}
        if not new:
            current.setflags(write=False)
            return current
        elements |= new
        if len(elements) > 24 or any(_get_order(g) == 0 for g in new.values()):
            return None


def _find_axis(matrix: np.ndarray) -> np.ndarray:
    """The shortest integer vector that a rotation leaves as it is."""
    # the sum of all powers of a rotation projects on its axis
    power, total = np.eye(3, dtype=np.int64), np.zeros((3, 3), dtype=np.int64)
    for _ in range(_get_order(matrix)):
        total += power
        power = power @ matrix
    column = next(total[:, k] for k in range(3) if total[:, k].any())
    column = column // np.gcd.reduce(column)
    return column if tuple(column) > (0, 0, 0) else -column


def _make_conventional(basis: np.ndarray, group: np.ndarray, delta: float) -> Setting | None:
    """The conventional cell of a symmetry group; None if it is not the whole group of any lattice."""
    system = _SYSTEMS.get(len(group))
    build = {"a": _choose_triclinic, "m": _choose_monoclinic, "o": _choose_orthorhombic, "t": _choose_tetragonal,
             "h": _choose_hexagonal, "c": _choose_cubic}
    if system is None:
        return None
    transform = build[system](basis, group)
    if transform is None:
        return None
    if np.linalg.det(transform) < 0:
        transform = -transform
    centring = _find_centring(transform.tobytes())
    lattice = {"a": "aP"}.get(system, system + centring)
    if lattice not in LATTICES:
        return None
    if lattice == "hP" and len(group) == 6:
        return None  # a primitive hexagonal lattice always has the full symmetry
    return Setting(lattice, delta, transform, transform @ basis)


@lru_cache(maxsize=_REMEMBERED)
def _find_centring(transform: bytes) -> str:
    """The centring letter of a conventional cell whose axes are integer combinations (int64) of a primitive basis."""
    inverse = np.linalg.inv(np.frombuffer(transform, dtype=np.int64).reshape(3, 3).astype(np.float64))
    # lattice points within the conventional cell; its volume is 4 primitive ones at most
    points = {tuple(np.round(np.mod(np.array(n) @ inverse + 1e-6, 1.0), 3))
              for n in itertools.product(range(4), repeat=3)}
    points = {tuple(0.0 if abs(x - 1.0) < 1e-2 else x for x in p) for p in points}
    half = {(0.0, 0.5, 0.5): "A", (0.5, 0.0, 0.5): "B", (0.5, 0.5, 0.0): "C", (0.5, 0.5, 0.5): "I"}
    extra = points - {(0.0, 0.0, 0.0)}
    if not extra:
        return "P"
    if len(extra) == 1:
        return half.get(next(iter(extra)), "?")
    if len(extra) == 3 and set(half) - {(0.5, 0.5, 0.5)} == extra:
        return "F"
    return "R" if len(extra) == 2 and (0.667, 0.333, 0.333) in extra else "?"


def _find_shortest_in_plane(basis: np.ndarray, plane: np.ndarray, most: int = 2) -> list[np.ndarray]:
    """Shortest independent lattice vectors n (integers) with n . plane = 0."""
    # indices up to 4 are enough for a plane of a reduced lattice
    grid = np.array([v for v in itertools.product(range(-4, 5), repeat=3) if any(v)])
    inside = grid[grid @ plane == 0]
    length = np.linalg.norm(inside @ basis, axis=1)
    chosen: list[np.ndarray] = []
    for k in np.lexsort((*inside.T[::-1] * -1, np.round(length, 6))):
        if all(np.any(np.cross(inside[k], c)) for c in chosen):
            chosen.append(inside[k])
        if len(chosen) == most:
            break
    return chosen


def _find_plane(matrix: np.ndarray) -> np.ndarray:
    """The plane (hkl) perpendicular to a rotation's axis: the axis of its transpose."""
    return _find_axis(matrix.T)


def _choose_triclinic(basis: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The reduced axes."""
    return np.eye(3, dtype=np.int64)


def _choose_monoclinic(basis: np.ndarray, group: np.ndarray) -> np.ndarray | None:
    """b along the two-fold; a and c in the plane, primitive or C-centred with the angle nearest to 90 degrees."""
    two_fold = next(g for g in group if _get_order(g) == 2)
    b = _find_axis(two_fold)
    p, q = _find_shortest_in_plane(basis, _find_plane(two_fold))
    best: np.ndarray | None = None
    best_rank: tuple[np.floating | float, np.floating | float] = (np.inf, np.inf)
    for a, c in itertools.permutations([p, q, p + q, p - q], 2):
        for sign in (1, -1):
            transform = np.stack([a, b, sign * c])
            volume = round(np.linalg.det(transform))
            if volume < 0:
                transform[1], volume = -b, -volume
            if volume not in (1, 2) or _find_centring(transform.tobytes()) not in "PC":
                continue
            axes = transform @ basis
            beta = np.degrees(np.arccos(np.clip(axes[0] @ axes[2] / np.linalg.norm(axes[0]) / np.linalg.norm(axes[2]),
                                                -1, 1)))
            if beta < 90.0 - 1e-3:
                continue
            # of equal angles a C-centred cell comes first, then the primitive one with the shorter a
            order = np.linalg.norm(axes[0]) if volume == 1 else 0.0
            rank = (round(beta, 3), order)
            if rank < best_rank:
                best, best_rank = transform, rank
    return best


def _choose_orthorhombic(basis: np.ndarray, group: np.ndarray) -> np.ndarray | None:
    """Axes along the three two-folds, shortest first; a C-centred cell has its centring on c."""
    axes = [_find_axis(g) for g in group if _get_order(g) == 2]
    axes.sort(key=lambda n: round(float(np.linalg.norm(n @ basis)), 6))
    for order in ((0, 1, 2), (1, 2, 0), (0, 2, 1)):
        transform = np.stack([axes[k] for k in order])
        if np.linalg.det(transform) < 0:
            transform[2] *= -1
        if _find_centring(transform.tobytes()) in "PCIF":
            return transform
    return None


def _choose_tetragonal(basis: np.ndarray, group: np.ndarray) -> np.ndarray | None:
    """c along the four-fold; a and b the shorter pair of two-folds, so that the cell is P or I."""
    four = next((g for g in group if _get_order(g) == 4), None)
    if four is None:
        return None
    a = _find_shortest_in_plane(basis, _find_plane(four), 1)[0]
    return np.stack([a, four @ a, _find_axis(four)])


def _choose_hexagonal(basis: np.ndarray, group: np.ndarray) -> np.ndarray | None:
    """c along the three-fold; a and b at 120 degrees; a rhombohedral cell in the obverse setting."""
    three = next((g for g in group if _get_order(g) == 3), None)
    if three is None:
        return None
    a, c = _find_shortest_in_plane(basis, _find_plane(three), 1)[0], _find_axis(three)
    for turn in (np.eye(3, dtype=np.int64), -three @ three):
        first = turn @ a
        transform = np.stack([first, three @ first, c])
        if np.linalg.det(transform) < 0:
            transform = np.stack([first, three @ three @ first, c])
        if _find_centring(transform.tobytes()) in "PR":
            return transform
    return None


def _choose_cubic(basis: np.ndarray, group: np.ndarray) -> np.ndarray | None:
    """Axes along the four-folds."""
    axes: list[np.ndarray] = []
    for g in group:
        if _get_order(g) == 4 and not any(np.array_equal(_find_axis(g), n) for n in axes):
            axes.append(_find_axis(g))
    if len(axes) != 3:
        return None
    return np.stack(axes)
