"""Crystals with symmetry: a lattice made to obey a space group, and a known cell or group found in a lattice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import FormatError, OptionError
from xdp.experiment.crystal import Crystal, b_matrix, cell_of
from xdp.indexing.basis_change import parse_basis_change
from xdp.indexing.lattice.basis import reduce_basis
from xdp.indexing.lattice.bravais import Setting, find_bravais_settings
from xdp.indexing.options import KnownSymmetry
from xdp.refinement.parameters.metric import b_from_metric, get_rotation_parts
from xdp.space_groups import AnySpaceGroup, UntabulatedGroup, change_group_basis, space_group_from_hall

if TYPE_CHECKING:
    pass

#: The lowest chiral space group of each Bravais lattice whose metric it has.
LOWEST_GROUP = {"aP": 1, "mP": 3, "mC": 5, "oP": 16, "oC": 21, "oF": 22, "oI": 23, "tP": 75, "tI": 79, "hP": 143,
                "hR": 146, "cP": 195, "cF": 196, "cI": 197}
#: Letter of the crystal family by gemmi's name of the crystal system.
_LETTER = {"triclinic": "a", "monoclinic": "m", "orthorhombic": "o", "tetragonal": "t", "trigonal": "h",
           "hexagonal": "h", "cubic": "c"}


def find_space_group(name: str) -> AnySpaceGroup:
    """Find the space group of a name or number as users write it.

    Parameters
    ----------
    name : str
        A Hermann-Mauguin symbol with or without blanks, a number from 1 to 230, or a Hall symbol. A symbol may be
        followed by a change of axes in brackets: ``P43212 (b,c,a)``, ``I 2 2 3 (y+z,x+z,x+y)``.

    Raises
    ------
    OptionError
        If there is none.

    Examples
    --------
    >>> find_space_group("P43212").number, find_space_group("19").hm
    (96, 'P 21 21 21')
    """
    import gemmi

    found = gemmi.find_spacegroup_by_number(int(name)) if name.strip().isdigit() else (
        gemmi.find_spacegroup_by_name(name))
    if found is None:
        try:
            found = space_group_from_hall(name)
        except FormatError:
            found = _find_changed_group(name)
    if found is None:
        raise OptionError(f"space_group={name} is no space group: give a symbol such as P43212 or a number 1 to 230")
    return found


def _find_changed_group(name: str) -> AnySpaceGroup | None:
    """The space group of a Hermann-Mauguin symbol followed by a change of axes in brackets."""
    import gemmi

    symbol, bracket, change = name.strip().removesuffix(")").partition("(")
    group = gemmi.find_spacegroup_by_name(symbol.strip())
    if not bracket or group is None:
        return None
    return space_group_from_hall(change_group_basis(group.hall, parse_basis_change(change)))


def find_bravais_type(group: AnySpaceGroup) -> str:
    """Find the Bravais lattice of a space group; A, B, C and monoclinic I count as C.

    The lattice is the same on all axes: it is that of the reference setting, whose cell may be smaller.

    Examples
    --------
    >>> find_bravais_type(find_space_group("I121")), find_bravais_type(find_space_group("R32"))
    ('mC', 'hR')
    """
    import gemmi

    group = gemmi.get_spacegroup_reference_setting(group.number)
    system, centring = _LETTER[group.crystal_system_str()], group.centring_type()
    if centring == "H":
        centring = "R"
    if system == "h" and group.hm.startswith("R"):
        centring = "R"
    if centring in "AB" or (system == "m" and centring == "I"):
        centring = "C"
    return system + centring


def impose_symmetry(axes: np.ndarray, group: AnySpaceGroup) -> Crystal:
    """Make the crystal nearest to some axes that obeys a space group: its metric is averaged, its orientation kept.

    Parameters
    ----------
    axes : (3, 3)
        Rows a, b, c in Å, in the setting of the group.
    group : gemmi.SpaceGroup or UntabulatedGroup
        The space group that the crystal gets.

    Examples
    --------
    >>> import numpy as np
    >>> crystal = impose_symmetry(np.diag([10.0, 10.2, 30.0]), find_space_group("P4"))
    >>> [round(v, 3) for v in crystal.unit_cell[:3]]
    [10.099, 10.099, 30.0]
    """
    ops = get_rotation_parts(group).astype(np.float64)
    reciprocal = np.linalg.inv(axes)  # columns a*, b*, c*
    metric = np.einsum("nij,jl,nml->im", ops, reciprocal.T @ reciprocal, ops) / len(ops)
    b = b_from_metric(metric)
    # the rotation nearest to A B^-1
    left, _, right = np.linalg.svd(reciprocal @ np.linalg.inv(b))
    real = np.linalg.inv(left @ right @ b)
    a, b_axis, c = (tuple(float(x) for x in row) for row in real)
    return Crystal(a, b_axis, c, group.hall)


def _make_setting_change(group: AnySpaceGroup) -> np.ndarray:
    """Matrix T with axes(group's setting) = T @ axes(reference setting); the reference is the tabulated standard."""
    rotation = np.array(group.basisop.rot) / group.basisop.DEN
    # the operator acts on coordinates, x(group) = R x(reference); axes transform with the transpose of its inverse
    return np.linalg.inv(rotation).T


def match_known_symmetry(basis: np.ndarray, known: KnownSymmetry) -> list[Crystal]:
    """Find crystals on a lattice that have the known space group and cell.

    Parameters
    ----------
    basis : (3, 3)
        Rows a, b, c of a primitive cell in Å.
    known : KnownSymmetry
        Space group, cell, or both, and how far the lattice may be off. If neither is known there is one crystal, in P1.

    Returns
    -------
    list of Crystal
        Nearest first; empty if the lattice has no such setting within the tolerances.
    """
    if known.space_group is None:
        if known.unit_cell is None:
            return [_make_p1_crystal(reduce_basis(basis))]
        target = _reduce_cell(known.unit_cell, "P")
        return [_make_p1_crystal(m) for m in _find_matching_axes(reduce_basis(basis), cell_of(target), known)[:1]]
    group = find_space_group(known.space_group)
    wanted = find_bravais_type(group)
    found = []
    for setting in find_bravais_settings(basis, known.max_delta, wanted):
        axes = _make_setting_change(group) @ setting.basis
        if known.unit_cell is None:
            found.append((setting.delta, impose_symmetry(axes, group)))
            continue
        for match in _find_matching_axes(axes, known.unit_cell, known, group):
            found.append((_measure_misfit(match, known.unit_cell), impose_symmetry(match, group)))
    return [crystal for _, crystal in sorted(found, key=lambda item: item[0])]


def _make_p1_crystal(axes: np.ndarray) -> Crystal:
    a, b, c = (tuple(float(x) for x in row) for row in axes)
    return Crystal(a, b, c, " P 1")


def _reduce_cell(cell: Sequence[float], centring: str) -> np.ndarray:
    """Reduced primitive axes of a conventional cell."""
    return reduce_basis(make_primitive_axes(np.linalg.inv(b_matrix(tuple(cell))), centring))


def make_primitive_axes(axes: np.ndarray, centring: str) -> np.ndarray:
    """Make the axes of a primitive cell of a conventional one.

    Parameters
    ----------
    axes : (3, 3)
        Rows a, b, c of the conventional cell.
    centring : str
        The letter P, A, B, C, I, F or R (hexagonal axes, obverse; gemmi's H is the same).

    Examples
    --------
    >>> import numpy as np
    >>> make_primitive_axes(np.diag([10.0, 20.0, 30.0]), "C").tolist()
    [[5.0, 10.0, 0.0], [-5.0, 10.0, 0.0], [0.0, 0.0, 30.0]]
    """
    third = 1.0 / 3.0
    vectors = {"P": np.eye(3), "A": [[1, 0, 0], [0, 0.5, 0.5], [0, -0.5, 0.5]],
               "B": [[0.5, 0, 0.5], [0, 1, 0], [-0.5, 0, 0.5]], "C": [[0.5, 0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]],
               "I": [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
               "F": [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
               "R": [[2 * third, third, third], [-third, third, third], [-third, -2 * third, third]]}
    return np.asarray(vectors["R" if centring == "H" else centring], dtype=np.float64) @ axes


def find_primitive_change(group: AnySpaceGroup) -> np.ndarray:
    """Find the axes of a primitive cell in terms of those of a space group, by row, shape (3, 3).

    Examples
    --------
    >>> find_primitive_change(find_space_group("C2"))[0].tolist()
    [0.5, 0.5, 0.0]
    """
    if isinstance(group, UntabulatedGroup):  # no letter need stand for its centring: by way of the tabulated axes
        return make_primitive_axes(group.base_axes, group.parent.centring_type())
    return make_primitive_axes(np.eye(3), group.centring_type())


@cache
def list_unimodular() -> np.ndarray:
    """List all integer matrices (3480, 3, 3) with entries -1, 0, 1 and determinant 1.

    They are the choices of axes of a reduced or conventional cell.
    """
    rows = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    triples = rows[np.array(list(itertools.product(range(27), repeat=3)))]
    return triples[np.round(np.linalg.det(triples)) == 1]


def _find_matching_axes(axes: np.ndarray, cell: Sequence[float], known: KnownSymmetry,
                        group: AnySpaceGroup | None = None) -> list[np.ndarray]:
    """Other choices of the same lattice's axes whose cell agrees with `cell` (and that keep the group), best first."""
    choices = list_unimodular() @ axes
    lengths = np.linalg.norm(choices, axis=2)
    # lengths first: angles are dear, and few choices are left
    near = np.abs(lengths / np.asarray(cell[:3]) - 1.0).max(axis=1) <= known.relative_length_tolerance
    matching = []
    for matrix, transform in zip(choices[near], list_unimodular()[near], strict=True):
        angles = np.asarray(cell_of(matrix)[3:])
        if np.abs(angles - np.asarray(cell[3:])).max() > known.absolute_angle_tolerance:
            continue
        if group is None or _keeps_group(transform, group):
            matching.append(matrix)
    return sorted(matching, key=lambda m: _measure_misfit(m, cell))


def _keeps_group(transform: np.ndarray, group: AnySpaceGroup) -> bool:
    """Whether a change of axes turns the group's rotations and centring into themselves."""
    inverse = np.linalg.inv(transform)
    mine = {tuple(np.round(r).astype(int).ravel()) for r in get_rotation_parts(group)}
    moved = {tuple(np.round(inverse.T @ r @ transform.T).astype(int).ravel()) for r in get_rotation_parts(group)}
    if mine != moved:
        return False
    # gemmi's translations are in units of 1/24
    centring = np.array([np.array(v) / 24.0 for v in group.operations().cen_ops])
    shifted = np.mod(centring @ inverse + 1e-6, 1.0)
    return all(np.any(np.all(np.abs(np.mod(c + 1e-6, 1.0) - shifted) < 1e-3, axis=1)) for c in centring)


def _measure_misfit(axes: np.ndarray, cell: Sequence[float]) -> float:
    """Squared distance of two cells: relative for lengths, radians for angles."""
    found = np.asarray(cell_of(axes))
    target = np.asarray(cell, dtype=np.float64)
    return float(np.sum((found[:3] / target[:3] - 1.0) ** 2) + np.sum(np.radians(found[3:] - target[3:]) ** 2))


def make_lattice_crystal(setting: Setting) -> Crystal:
    """Make the crystal of a Bravais setting in the lowest space group that has its metric."""
    import gemmi

    group = gemmi.find_spacegroup_by_number(LOWEST_GROUP[setting.lattice])
    return impose_symmetry(setting.basis, group)


def list_chiral_groups(lattice: str) -> list[str]:
    """List the chiral space groups of a Bravais lattice by name, in standard settings.

    Examples
    --------
    >>> list_chiral_groups("oI")
    ['I222', 'I212121']
    """
    import gemmi

    return [g.short_name() for g in gemmi.spacegroup_table()
            if g.is_sohncke() and g.is_reference_setting() and find_bravais_type(g) == lattice]
