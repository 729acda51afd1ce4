"""True intensities of a structure, with what makes its symmetry hard to see.

Amplitudes are complex normal numbers, equal for equivalent reflections. Near-symmetry adds a part that more reflections
have in common, a pseudo-translation a wave over the reciprocal lattice, and a twin a second part of the crystal.

References
----------
Wilson (1949). Acta Cryst. 2, 318-321, doi:10.1107/S0365110X49000813; Read, Adams & McCoy (2013). Acta Cryst. D69,
176-183, doi:10.1107/S0907444912045374, for pseudo-translations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xdp.indexing.basis_change import parse_basis_change
from xdp.merging.unique import find_unique
from xdp.options.model import Options, option

if TYPE_CHECKING:
    from xdp.space_groups import AnySpaceGroup

_SPAN = 1 << 11
_POWERS = 6
"""A rotation of a lattice is back after so many times at most."""


class StructureOptions(Options):
    """What the intensities of a simulated table have beside the symmetry of the crystal's space group."""

    space_group: str | None = option(
        None, "Space group of the intensities, on the axes of the crystal; None: that of the crystal. Reflections that "
        "only this one extinguishes are in the table, as they are after integration in a lower group.")
    twin_law: str | None = option(None, "The index that the second part of a twin has there, such as k,h,-l.")
    twin_fraction: float = option(0.0, "Part of the crystal in the second orientation.", ge=0, le=0.5)
    near_rotation: str | None = option(None, "The index to which near-symmetry relates each, such as k,h,-l.")
    near_correlation: float = option(0.0, "Correlation of intensities that near-symmetry relates.", ge=0, le=1)
    translation: tuple[float, float, float] | None = option(None, "Pseudo-translation, in fractions of the cell.")
    translation_rest: float = option(0.1, "Part of the structure that the translation does not repeat.", ge=0, le=1)
    anisotropy: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0), "B factors along a*, b* and c*, beside the common one, Å².")
    indexing: tuple[str, ...] = option(
        (), "For each sweep the true index in terms of the one in the table; none: the same.")
    strangers: tuple[int, ...] = option((), "Sweeps that are of another structure with the same cell.")

    def is_plain(self) -> bool:
        """Whether nothing is asked for beside the crystal's own space group."""
        return self == StructureOptions()


def draw_structure(group: AnySpaceGroup, hkl: np.ndarray, options: StructureOptions, rng: np.random.Generator
                   ) -> np.ndarray:
    """Draw intensities with the mean 1 over general reflections.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
        Of the crystal, where the options name none.
    hkl : (n, 3) int
        Miller indices; each may occur many times.
    options : StructureOptions
        Anisotropy and indexing aside, which are of the sweep.
    rng : numpy.random.Generator

    Returns
    -------
    (n,) float64
        Equal for equivalent reflections and for mates.

    Examples
    --------
    >>> import gemmi
    >>> hkl = np.array([[1, 2, 3], [-1, -2, 3], [1, 2, 3]])
    >>> J = draw_structure(gemmi.SpaceGroup("P 2 2 2"), hkl, StructureOptions(), np.random.default_rng(1))
    >>> bool(J[0] == J[1] == J[2] > 0)
    True
    """
    from xdp.indexing.lattice.symmetry import find_space_group

    chosen = group if options.space_group is None else find_space_group(options.space_group)
    law = None if options.twin_law is None else parse_basis_change(options.twin_law)
    every = hkl if law is None else np.concatenate([hkl, _turn(hkl, law)])
    J = _draw_single(chosen, every, options, rng)
    if law is None:
        return J
    return (1.0 - options.twin_fraction) * J[:len(hkl)] + options.twin_fraction * J[len(hkl):]


def _turn(hkl: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Indices to which a rotation takes others."""
    return np.round(hkl @ np.asarray(matrix).T).astype(np.int64)


def _draw_single(group: AnySpaceGroup, hkl: np.ndarray, options: StructureOptions, rng: np.random.Generator
                 ) -> np.ndarray:
    """Intensities of a crystal that is no twin."""
    unique, _first, row = _find_distinct(hkl)
    F = _draw_amplitudes(group, unique, options, rng)
    if options.translation is not None:
        rest = options.translation_rest
        wave = 1.0 + np.exp(2j * np.pi * (unique @ np.asarray(options.translation)))
        F = F * np.sqrt((1.0 - rest) / 2.0) * np.abs(wave)
        F = F + np.sqrt(rest) * _draw_amplitudes(group, unique, options, rng)
    J = np.square(np.abs(F))
    J[np.asarray(group.operations().systematic_absences(np.ascontiguousarray(unique, np.int32)), bool)] = 0.0
    return J[row]


def _find_distinct(hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each index once, where it is first, and the row of each in these."""
    shifted = np.asarray(hkl, np.int64) + _SPAN // 2
    key = (shifted[:, 0] * _SPAN + shifted[:, 1]) * _SPAN + shifted[:, 2]
    _, first, row = np.unique(key, return_index=True, return_inverse=True)
    return np.asarray(hkl)[first], first, row.ravel()


def _draw_amplitudes(group: AnySpaceGroup, hkl: np.ndarray, options: StructureOptions, rng: np.random.Generator
                     ) -> np.ndarray:
    """Complex amplitudes; phases are the same for equivalent reflections, as only intensities are wanted."""
    powers = [hkl]
    if options.near_rotation is not None:
        matrix = parse_basis_change(options.near_rotation)
        for _ in range(_POWERS - 1):
            powers.append(_turn(powers[-1], matrix))
    found = find_unique(group, np.concatenate(powers))
    n, rows = len(found), found.group.reshape(len(powers), -1)
    size = np.sqrt(found.epsilon.astype(np.float64))
    normal = rng.normal(size=(n, 2))
    # centric amplitudes are real, with the same mean square
    F = np.where(found.is_centric, normal[:, 0], (normal[:, 0] + 1j * normal[:, 1]) / np.sqrt(2.0)) * size
    own = F[rows[0]]
    if options.near_rotation is None:
        return own
    # the part that is common to reflections of one orbit under near-symmetry as well
    share = np.sqrt(options.near_correlation)
    other = rng.normal(size=(n, 2))
    lowest = rows.min(axis=0)
    # until each orbit, of the group and the rotation together, has one number
    for _ in range(_POWERS):
        best = np.full(n, n)
        np.minimum.at(best, rows.ravel(), np.tile(lowest, len(powers)))
        lowest = best[rows].min(axis=0)
    common = np.where(found.is_centric[rows[0]], other[lowest, 0], (other[lowest, 0] + 1j * other[lowest, 1])
                      / np.sqrt(2.0)) * size[rows[0]]
    return np.sqrt(share) * common + np.sqrt(1.0 - share) * own
