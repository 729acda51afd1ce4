"""Conventional axes for a group of a lattice's rotations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import XdpError
from xdp.indexing.lattice.bravais import find_bravais_settings
from xdp.indexing.lattice.symmetry import find_bravais_type, find_space_group
from xdp.intensities.lattice import LatticeGroup, list_proper_rotations, move_rotations

if TYPE_CHECKING:

    from xdp.space_groups import AnySpaceGroup

#: Space groups without screw axes, one for each lattice and each group of rotations.
_SIMPLEST = ("P1", "P2", "C2", "P222", "C222", "F222", "I222", "P4", "I4", "P422", "I422", "P3", "P312", "P321", "R3",
             "R32", "P6", "P622", "P23", "F23", "I23", "P432", "F432", "I432")
_MARGIN = 1.0
"""Degrees that a setting's axes may miss beyond what the lattice was searched with: Bravais settings are judged by all
their two-fold axes together."""


@dataclass(frozen=True)
class ConventionalSetting:
    """The axes of a group of rotations as tables have them.

    Attributes
    ----------
    group : gemmi.SpaceGroup
        Without screw axes and glide planes.
    transform : (3, 3) float64
        ``conventional axes = transform @ primitive axes``; Miller indices go by the same matrix.
    """

    group: AnySpaceGroup
    transform: np.ndarray


def find_setting(group: tuple[int, ...], lattice: LatticeGroup, max_delta: float, best_beta: bool = True
                 ) -> ConventionalSetting:
    """Find the conventional axes of a group of a lattice's rotations.

    Parameters
    ----------
    group : tuple of int
        Numbers of the rotations.
    lattice : LatticeGroup
    max_delta : float
        How far the lattice may miss a symmetry, degrees.
    best_beta : bool
        Whether a centred monoclinic cell may become I-centred for an angle beta nearer to 90 degrees.

    Returns
    -------
    ConventionalSetting

    Raises
    ------
    XdpError
        If the lattice has no such setting.

    Examples
    --------
    >>> from xdp.intensities.lattice import find_lattice_group
    >>> lattice = find_lattice_group(np.diag([10.0, 10.0, 20.0]), np.eye(3))
    >>> find_setting(lattice.subgroups[-1], lattice, 2.0).group.short_name()
    'P422'
    """
    wanted = {lattice.rotations[r].tobytes() for r in group}
    for name in _SIMPLEST:
        candidate = find_space_group(name)
        rotations = list_proper_rotations(candidate)
        if len(rotations) != len(wanted):
            continue
        for setting in find_bravais_settings(lattice.basis, max_delta + _MARGIN, find_bravais_type(candidate)):
            moved = move_rotations(rotations, setting.transform.astype(np.float64))
            if moved is not None and {r.tobytes() for r in moved} == wanted:
                found = ConventionalSetting(candidate, setting.transform.astype(np.float64))
                return _improve_beta(found, lattice.basis) if name == "C2" and best_beta else found
    raise XdpError(f"symmetry: no conventional cell has the {len(group)} rotations that were found; try a larger "
                   f"lattice_symmetry_max_delta than {max_delta:g}")


def find_simplest(group: AnySpaceGroup) -> AnySpaceGroup:
    """Find the space group without screw axes that has the Laue group and the axes of another one.

    Parameters
    ----------
    group : gemmi.SpaceGroup

    Returns
    -------
    gemmi.SpaceGroup
        `group` itself where the axes are none that tables have.

    Examples
    --------
    >>> find_simplest(find_space_group("P43212")).short_name()
    'P422'
    """
    wanted = {r.tobytes() for r in list_proper_rotations(group)}
    for name in (*_SIMPLEST, "I2"):
        candidate = find_space_group(name)
        if {r.tobytes() for r in list_proper_rotations(candidate)} == wanted and (
                candidate.operations().has_same_centring(group.operations())):
            return candidate
    return group


def name_group(group: AnySpaceGroup) -> str:
    """Write the short symbol of a space group; R where hexagonal axes of a rhombohedral lattice are called H.

    Examples
    --------
    >>> name_group(find_space_group("R 3 2:H"))
    'R32'
    """
    name = group.short_name()
    return f"R{name[1:]}" if name.startswith("H") else name


def _improve_beta(setting: ConventionalSetting, basis: np.ndarray) -> ConventionalSetting:
    """I2 in place of C2 where beta comes nearer to 90 degrees."""
    axes, best = setting.transform @ basis, setting
    least = abs(_measure_beta(axes) - 90.0) - 1e-3
    for p, q, r, s in itertools.product((-1.0, 0.0, 1.0), repeat=4):
        if p * s - q * r != 1.0:
            continue
        change = np.array([[p, 0.0, q], [0.0, 1.0, 0.0], [r, 0.0, s]])
        # the centring (1/2, 1/2, 0) must become (1/2, 1/2, 1/2)
        centring = np.mod(np.array([0.5, 0.5, 0.0]) @ np.linalg.inv(change), 1.0)
        beta = _measure_beta(change @ axes)
        if np.allclose(centring, 0.5) and beta >= 90.0 - 1e-3 and beta - 90.0 < least:
            least, best = beta - 90.0, ConventionalSetting(find_space_group("I2"), change @ setting.transform)
    return best


def _measure_beta(axes: np.ndarray) -> float:
    """The angle between a and c, degrees."""
    a, _, c = axes
    return float(np.degrees(np.arccos(np.clip(a @ c / np.linalg.norm(a) / np.linalg.norm(c), -1.0, 1.0))))
