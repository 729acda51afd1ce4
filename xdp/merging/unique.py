"""Which observations are of the same reflection: indices in the asymmetric unit, Friedel mates, centric reflections.

References
----------
International Tables A (2016), section 1.6.3 (reflection conditions, multiplicity epsilon); B, section 1.3.4. The
asymmetric unit is that of CCP4, as gemmi has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xdp.errors import XdpError

if TYPE_CHECKING:
    from xdp.space_groups import AnySpaceGroup

_SPAN = 1 << 11
"""Indices lie between -1024 and 1023: a cell of 1000 Å to 1 Å, or of 400 Å to 0.4 Å. Larger ones are refused."""


class IndexTooLargeError(XdpError, ValueError):
    """A Miller index is so large that no crystal gives it; the message says which."""


@dataclass(frozen=True)
class UniqueReflections:
    """The unique reflections of a list of observations.

    Attributes
    ----------
    hkl : (m, 3) int32
        Indices in the asymmetric unit, in ascending order.
    group : (n,) int64
        For each observation the row of its reflection in `hkl`.
    is_minus : (n,) bool
        Whether the observation is of the Friedel mate of what stands in `hkl`: I(-). False for centric reflections.
    is_centric : (m,) bool
        Whether the two mates are equivalent.
    epsilon : (m,) int64
        By which factor symmetry raises the mean intensity of the reflection: 1 for general reflections.
    is_absent : (m,) bool
        Whether the space group extinguishes the reflection.
    """

    hkl: np.ndarray
    group: np.ndarray
    is_minus: np.ndarray
    is_centric: np.ndarray
    epsilon: np.ndarray
    is_absent: np.ndarray

    def __len__(self) -> int:
        return len(self.hkl)

    def group_mates_apart(self) -> tuple[np.ndarray, np.ndarray]:
        """Number the reflections with I(+) and I(-) as different ones.

        Returns
        -------
        group : (n,) int64
            For each observation twice the row in `hkl`, and one more for I(-), with numbers that do not occur left out.
        row : (m',) int64
            For each of these groups the row in `hkl`.
        """
        double = 2 * self.group + self.is_minus
        numbers, group = np.unique(double, return_inverse=True)
        return group, numbers // 2


def find_unique(group: AnySpaceGroup, hkl: np.ndarray) -> UniqueReflections:
    """Find the unique reflections among Miller indices.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup
        The space group; mates are joined, so that this is the asymmetric unit of its Laue group.
    hkl : (n, 3) int
        Miller indices of the observations, each below 1024.

    Returns
    -------
    UniqueReflections

    Raises
    ------
    IndexTooLargeError
        If an index is too large: no crystal gives it, and the table is damaged.

    Examples
    --------
    >>> import gemmi
    >>> found = find_unique(gemmi.SpaceGroup("P 4"), np.array([[1, 2, 3], [-2, 1, 3], [-1, -2, -3], [1, 1, 0]]))
    >>> found.hkl.tolist(), found.group.tolist(), found.is_minus.tolist(), found.is_centric.tolist()
    ([[1, 1, 0], [1, 2, 3]], [1, 1, 1, 0], [False, False, True, False], [True, False])
    """
    hkl = np.asarray(hkl, dtype=np.int64).reshape(-1, 3)
    if len(hkl) and np.abs(hkl).max() >= _SPAN // 2:
        raise IndexTooLargeError(f"a Miller index of {int(np.abs(hkl).max())} is too large: {_SPAN // 2 - 1} at most; "
                                 "the reflections are damaged, or of another program's making")
    # symmetry is worked out once for each index that occurs, not for each observation
    keys, inverse = np.unique(_pack(hkl), return_inverse=True)
    indices = _unpack(keys)
    rotations = list_rotations(group)
    best, minus = _find_representatives(rotations, indices)
    unique_keys, row = np.unique(best, return_inverse=True)
    chosen = _unpack(unique_keys)
    operations, found = group.operations(), np.ascontiguousarray(chosen, np.int32)
    centric = np.asarray(operations.centric_flag_array(found), bool)
    epsilon = np.asarray(operations.epsilon_factor_without_centering_array(found), np.int64)
    standard, is_mate = _to_standard(group, chosen)
    minus = (minus ^ is_mate[row]) & ~centric[row]
    # in ascending order of the standard indices, as merged files have them
    order = np.argsort(_pack(standard), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    chosen = standard[order].astype(np.int32)
    return UniqueReflections(chosen, place[row[inverse]], minus[inverse], centric[order], epsilon[order],
                             _find_absent(group, chosen))


def list_rotations(group: AnySpaceGroup) -> np.ndarray:
    """List the rotations that turn an index into its equivalents.

    Parameters
    ----------
    group : gemmi.SpaceGroup or UntabulatedGroup

    Returns
    -------
    (n, 3, 3) int64
        ``h @ R`` is equivalent to ``h`` (a row); the identity is the first. Without centring and inversion added.

    Examples
    --------
    >>> import gemmi
    >>> list_rotations(gemmi.SpaceGroup("P 1 2 1")).tolist()
    [[[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[-1, 0, 0], [0, 1, 0], [0, 0, -1]]]
    """
    return np.array([np.array(operation.rot) // operation.DEN for operation in group.operations().sym_ops])


def _find_representatives(rotations: np.ndarray, hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest key among the equivalents of each index and their mates, and whether it is one of the mates only."""
    plus = np.full(len(hkl), -1, np.int64)
    minus = plus.copy()
    for rotation in rotations:
        turned = hkl @ rotation
        np.maximum(plus, _pack(turned), out=plus)
        np.maximum(minus, _pack(-turned), out=minus)
    return np.maximum(plus, minus), minus > plus


def _to_standard(group: AnySpaceGroup, hkl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The equivalents of indices in CCP4's asymmetric unit, and whether these are of the Friedel mates."""
    import gemmi

    if not isinstance(group, gemmi.SpaceGroup):  # no asymmetric unit is laid down on untabulated axes
        return hkl, np.zeros(len(hkl), bool)
    unit, operations = gemmi.ReciprocalAsu(group), group.operations()
    found = [unit.to_asu(index, operations) for index in hkl.tolist()]
    standard = np.array([index for index, _ in found], np.int64).reshape(-1, 3)
    # odd numbers of operations are of the index itself, even ones of its mate (MTZ's M/ISYM)
    return standard, np.array([number % 2 == 0 for _, number in found], bool)


def _find_absent(group: AnySpaceGroup, hkl: np.ndarray) -> np.ndarray:
    """Whether screw axes, glide planes or centring extinguish reflections."""
    if not len(hkl):
        return np.zeros(0, bool)
    return np.asarray(group.operations().systematic_absences(np.ascontiguousarray(hkl, np.int32)), bool)


def _pack(hkl: np.ndarray) -> np.ndarray:
    """Indices (n, 3) as one number each, which sorts as h, k, l do."""
    h, k, l = hkl.T.astype(np.int64) + _SPAN // 2  # noqa: E741
    return (h * _SPAN + k) * _SPAN + l


def _unpack(keys: np.ndarray) -> np.ndarray:
    """The indices (n, 3) of numbers of :func:`_pack`."""
    return np.stack([keys // _SPAN**2, keys // _SPAN % _SPAN, keys % _SPAN], axis=1) - _SPAN // 2
