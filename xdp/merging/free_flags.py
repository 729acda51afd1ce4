"""The test set: reflections that refinement leaves out (column FreeR_flag), chosen anew or taken from a file.

Brünger (1992). Nature 355, 472-475, doi:10.1038/355472a0.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from xdp.errors import XdpError
from xdp.merging.unique import find_unique
from xdp.reflections.merged_file import read_merged_file
from xdp.space_groups import AnySpaceGroup


def choose_free(hkl: np.ndarray, group: AnySpaceGroup, fraction: float, seed: int = 0) -> np.ndarray:
    """Share reflections out over sets, of which set 0 is the test set, as CCP4 numbers them.

    Reflections that the lattice's highest symmetry makes equivalent are in one set, since twinning mixes their
    intensities. The choice follows from indices and seed alone: data sets of a crystal form agree, whatever was
    measured.

    Parameters
    ----------
    hkl : (m, 3) int
        Indices in the asymmetric unit.
    group : gemmi.SpaceGroup or UntabulatedGroup
    fraction : float
        Part of the reflections that are in a set.
    seed : int
        Another one gives another choice.

    Returns
    -------
    (m,) float64
        Numbers of sets, from 0.

    Examples
    --------
    >>> import gemmi, numpy as np
    >>> sets = choose_free(np.array([[1, 2, 3], [2, 1, 3]]), gemmi.SpaceGroup("P 4"), 0.05)
    >>> bool(sets[0] == sets[1])
    True
    """
    lattice = find_unique(_find_lattice_group(group), hkl)
    n_sets = max(2, round(1.0 / fraction))
    h, k, l = (lattice.hkl[lattice.group].astype(np.uint64) + np.uint64(1 << 20)).T  # noqa: E741
    return (_mix(((h << np.uint64(42)) ^ (k << np.uint64(21)) ^ l) + np.uint64(seed)) % np.uint64(n_sets)).astype(float)


@dataclass(frozen=True)
class ReferenceFlags:
    """The sets of reflections that a file has.

    Attributes
    ----------
    hkl : (k, 3) int32
    flags : (k,) int64
        Numbers of sets.
    test : int
        The number of the test set: 0, as in CCP4's files, or 1, as in Phenix'.
    label : str
        The column's name.
    """

    hkl: np.ndarray
    flags: np.ndarray
    test: int
    label: str

    @property
    def fraction(self) -> float:
        """The part of the reflections that is in the test set."""
        return float(np.mean(self.flags == self.test))


def read_free_flags(path: str | os.PathLike) -> ReferenceFlags:
    """Read the test set of an MTZ or mmCIF file.

    Parameters
    ----------
    path : path

    Returns
    -------
    ReferenceFlags

    Raises
    ------
    XdpError
        If the file has none, or cannot be read.
    """
    mtz = read_merged_file(path)
    column = next((c for c in mtz.columns if c.type == "I" and "free" in c.label.lower()), None)
    if column is None:
        raise XdpError(f"{os.fspath(path)}: there is no column of a test set (FreeR_flag, R-free-flags)")
    values, hkl = np.array(column.array), np.array(mtz.make_miller_array())
    known = np.isfinite(values)
    flags = values[known].astype(np.int64)
    numbers, counts = np.unique(flags, return_counts=True)
    if len(numbers) < 2:
        raise XdpError(f"{os.fspath(path)}: all reflections are in one set of {column.label}")
    # of two sets the test set is the smaller one; of many, as CCP4 has them, it is number 0
    test = int(numbers[np.argmin(counts)]) if len(numbers) == 2 else 0
    return ReferenceFlags(hkl[known], flags, test, column.label)


def extend_free(hkl: np.ndarray, group: AnySpaceGroup, reference: ReferenceFlags, seed: int = 0) -> np.ndarray:
    """Take the sets of a file, and choose sets for reflections that it lacks.

    A reflection that the file lacks gets the set of one that the lattice's symmetry relates to it, so that twins do
    not mix the sets; else it is chosen as :func:`choose_free` does, with the file's share of test reflections.

    Parameters
    ----------
    hkl : (m, 3) int
        Indices in the asymmetric unit.
    group : gemmi.SpaceGroup or UntabulatedGroup
    reference : ReferenceFlags
    seed : int
        Of the choice.

    Returns
    -------
    (m,) float64
        Numbers of sets, with the meaning that the file gives them.

    Examples
    --------
    >>> import gemmi, numpy as np
    >>> old = ReferenceFlags(np.array([[1, 2, 3], [1, 1, 4]]), np.array([0, 1]), 0, "FreeR_flag")
    >>> extend_free(np.array([[1, 2, 3], [2, 1, 3], [1, 1, 4]]), gemmi.SpaceGroup("P 4"), old).tolist()
    [0.0, 0.0, 1.0]
    """
    numbers = np.unique(reference.flags)
    if len(numbers) == 2:
        other = int(numbers[numbers != reference.test][0])
        is_test = choose_free(hkl, group, max(reference.fraction, 1e-3), seed) == 0
        flags = np.where(is_test, reference.test, other).astype(float)
    else:
        flags = choose_free(hkl, group, 1.0 / (int(numbers.max()) + 1), seed)
    # the lattice's equivalents first, so that the reflection itself, where the file has it, comes last
    for symmetry in (_find_lattice_group(group), group):
        both = find_unique(symmetry, np.concatenate([hkl, reference.hkl]))
        own, theirs = both.group[:len(hkl)], both.group[len(hkl):]
        known = np.full(len(both), np.nan)
        known[theirs] = reference.flags
        flags = np.where(np.isnan(known[own]), flags, known[own])
    return flags


def _find_lattice_group(group: AnySpaceGroup) -> AnySpaceGroup:
    """The space group of the highest symmetry that the axes of a group's crystal system allow."""
    import gemmi

    if not isinstance(group, gemmi.SpaceGroup):
        return group
    symbols = {"triclinic": "P -1", "monoclinic": None, "orthorhombic": "P m m m", "tetragonal": "P 4/m m m",
               "trigonal": "P 6/m m m", "hexagonal": "P 6/m m m", "cubic": "P m -3 m"}
    symbol = symbols[group.crystal_system_str()]
    # rhombohedral axes and unique axes other than b keep the group's own symmetry
    return group if symbol is None or group.ext == "R" else gemmi.SpaceGroup(symbol)


def _mix(x: np.ndarray) -> np.ndarray:
    """Spread numbers evenly over 64 bits (the finaliser of splitmix64: Steele, Lea & Flood 2014,
    doi:10.1145/2714064.2660195)."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
