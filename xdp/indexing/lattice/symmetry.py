"""Crystals with symmetry: a lattice made to obey a space group, and a known cell or group found in a lattice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import OptionError
from xdp.experiment.crystal import Crystal, b_matrix, cell_of
from xdp.indexing.lattice.basis import reduced_basis
from xdp.indexing.lattice.bravais import Setting, bravais_settings
from xdp.indexing.options import KnownSymmetry
from xdp.refinement.parameters.metric import b_from_metric

if TYPE_CHECKING:
    import gemmi

#: The lowest chiral space group of each Bravais lattice whose metric it has.
LOWEST_GROUP = {"aP": 1, "mP": 3, "mC": 5, "oP": 16, "oC": 21, "oF": 22, "oI": 23, "tP": 75, "tI": 79, "hP": 143,
                "hR": 146, "cP": 195, "cF": 196, "cI": 197}
_LETTER = {"triclinic": "a", "monoclinic": "m", "orthorhombic": "o", "tetragonal": "t", "trigonal": "h",
           "hexagonal": "h", "cubic": "c"}


def space_group(name: str) -> gemmi.SpaceGroup:
    """The space group of a name or number as users write it.

    Raises
    ------
    OptionError
        If there is none.
    """
    import gemmi

    found = gemmi.find_spacegroup_by_number(int(name)) if name.strip().isdigit() else (
        gemmi.find_spacegroup_by_name(name))
    if found is None:
        try:
            found = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(name))
        except (RuntimeError, ValueError):
            found = None
    if found is None:
        raise OptionError(f"space_group={name} is no space group: give a symbol such as P43212 or a number 1 to 230")
    return found


def bravais_type(group: gemmi.SpaceGroup) -> str:
    """The Bravais lattice of a space group (A, B, C and monoclinic I count as C)."""
    system, centring = _LETTER[group.crystal_system_str()], group.centring_type()
    if centring == "H":
        centring = "R"
    if system == "h" and group.hm.startswith("R"):
        centring = "R"
    if centring in "AB" or (system == "m" and centring == "I"):
        centring = "C"
    return system + centring


def rotations_of(group: gemmi.SpaceGroup) -> np.ndarray:
    """Rotation parts (n, 3, 3) of the group's operations."""
    return np.array([np.array(op.rot) // op.DEN for op in group.operations().sym_ops])


def symmetric_crystal(axes: np.ndarray, group: gemmi.SpaceGroup) -> Crystal:
    """The crystal nearest to `axes` (rows, Å) that obeys `group`: metric averaged, orientation kept."""
    ops = rotations_of(group).astype(np.float64)
    reciprocal = np.linalg.inv(axes)  # columns a*, b*, c*
    metric = np.einsum("nij,jl,nml->im", ops, reciprocal.T @ reciprocal, ops) / len(ops)
    b = b_from_metric(metric)
    left, _, right = np.linalg.svd(reciprocal @ np.linalg.inv(b))
    real = np.linalg.inv(left @ right @ b)
    a, b_axis, c = (tuple(float(x) for x in row) for row in real)
    return Crystal(a, b_axis, c, group.hall)


def _to_reference(group: gemmi.SpaceGroup) -> np.ndarray:
    """Matrix T with axes(group's setting) = T @ axes(reference setting); the reference is the tabulated standard."""
    rotation = np.array(group.basisop.rot) / group.basisop.DEN
    # the operator acts on coordinates, x(reference) = R x(group); axes transform with its transpose
    return rotation.T


def known_crystals(basis: np.ndarray, known: KnownSymmetry) -> list[Crystal]:
    """Crystals on the lattice `basis` (rows, Å) that have the known space group and cell, nearest first.

    Empty where the lattice has no such setting within the tolerances.
    """
    if known.space_group is None:
        if known.unit_cell is None:
            return [_p1(reduced_basis(basis))]
        target = _primitive_reduced(known.unit_cell, "P")
        return [_p1(m) for m in _matching(reduced_basis(basis), cell_of(target), known)[:1]]
    group = space_group(known.space_group)
    wanted = bravais_type(group)
    found = []
    for setting in bravais_settings(basis, known.max_delta):
        if setting.lattice != wanted:
            continue
        axes = _to_reference(group) @ setting.basis
        if known.unit_cell is None:
            found.append((setting.delta, symmetric_crystal(axes, group)))
            continue
        for match in _matching(axes, known.unit_cell, known, group):
            found.append((_misfit(match, known.unit_cell), symmetric_crystal(match, group)))
    return [crystal for _, crystal in sorted(found, key=lambda item: item[0])]


def _p1(axes: np.ndarray) -> Crystal:
    a, b, c = (tuple(float(x) for x in row) for row in axes)
    return Crystal(a, b, c, " P 1")


def _primitive_reduced(cell: Sequence[float], centring: str) -> np.ndarray:
    """Reduced primitive axes of a conventional cell."""
    return reduced_basis(primitive_axes(np.linalg.inv(b_matrix(tuple(cell))), centring))


def primitive_axes(axes: np.ndarray, centring: str) -> np.ndarray:
    """Axes (rows) of a primitive cell of a conventional one with the centring letter P, A, B, C, I, F or R."""
    third = 1.0 / 3.0
    vectors = {"P": np.eye(3), "A": [[1, 0, 0], [0, 0.5, 0.5], [0, -0.5, 0.5]],
               "B": [[0.5, 0, 0.5], [0, 1, 0], [-0.5, 0, 0.5]], "C": [[0.5, 0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]],
               "I": [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
               "F": [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
               "R": [[2 * third, third, third], [-third, third, third], [-third, -2 * third, third]]}
    return np.asarray(vectors["R" if centring == "H" else centring], dtype=np.float64) @ axes


@cache
def _unimodular() -> np.ndarray:
    """All integer matrices with entries -1, 0, 1 and determinant 1."""
    rows = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    triples = rows[np.array(list(itertools.product(range(27), repeat=3)))]
    return triples[np.round(np.linalg.det(triples)) == 1]


def _matching(axes: np.ndarray, cell: Sequence[float], known: KnownSymmetry, group: gemmi.SpaceGroup | None = None
              ) -> list[np.ndarray]:
    """Other choices of the same lattice's axes whose cell agrees with `cell` (and that keep the group), best first."""
    choices = _unimodular() @ axes
    lengths = np.linalg.norm(choices, axis=2)
    near = np.abs(lengths / np.asarray(cell[:3]) - 1.0).max(axis=1) <= known.relative_length_tolerance
    matching = []
    for matrix, transform in zip(choices[near], _unimodular()[near], strict=True):
        angles = np.asarray(cell_of(matrix)[3:])
        if np.abs(angles - np.asarray(cell[3:])).max() > known.absolute_angle_tolerance:
            continue
        if group is None or _keeps_group(transform, group):
            matching.append(matrix)
    return sorted(matching, key=lambda m: _misfit(m, cell))


def _keeps_group(transform: np.ndarray, group: gemmi.SpaceGroup) -> bool:
    """Whether a change of axes turns the group's rotations and centring into themselves."""
    inverse = np.linalg.inv(transform)
    mine = {tuple(np.round(r).astype(int).ravel()) for r in rotations_of(group)}
    moved = {tuple(np.round(inverse.T @ r @ transform.T).astype(int).ravel()) for r in rotations_of(group)}
    if mine != moved:
        return False
    centring = np.array([np.array(v) / 24.0 for v in group.operations().cen_ops])
    shifted = np.mod(centring @ inverse + 1e-6, 1.0)
    return all(np.any(np.all(np.abs(np.mod(c + 1e-6, 1.0) - shifted) < 1e-3, axis=1)) for c in centring)


def _misfit(axes: np.ndarray, cell: Sequence[float]) -> float:
    """Distance of two cells: relative for lengths, radians for angles."""
    found = np.asarray(cell_of(axes))
    target = np.asarray(cell, dtype=np.float64)
    return float(np.sum((found[:3] / target[:3] - 1.0) ** 2) + np.sum(np.radians(found[3:] - target[3:]) ** 2))


def lattice_crystal(setting: Setting) -> Crystal:
    """The crystal of a Bravais setting in the lowest space group that has its metric."""
    import gemmi

    group = gemmi.find_spacegroup_by_number(LOWEST_GROUP[setting.lattice])
    return symmetric_crystal(setting.basis, group)


def chiral_groups(lattice: str) -> list[str]:
    """Names of the chiral space groups of a Bravais lattice, standard settings."""
    import gemmi

    return [g.short_name() for g in gemmi.spacegroup_table()
            if g.is_sohncke() and g.is_reference_setting() and bravais_type(g) == lattice]

