"""Space groups by their Hall symbols, in settings that tables have and in those that they have not.

A crystal may stand on axes of which no table has its space group: a primitive cell of a centred group, say, with the
Hall symbol ``I 2 2 3 (y+z,x+z,x+y)``. The part in brackets turns coordinates of the tabulated setting into the
crystal's own. Such groups have operations, a number and symbols as all others.

References
----------
Hall, S. R. (1981). Acta Cryst. A37, 517-525, doi:10.1107/S0567739481001228; International Tables for Crystallography
(2010), volume B, section 1.4, appendix 1.4.2, for the change of basis in brackets.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from xdp.errors import FormatError, XdpError

if TYPE_CHECKING:
    import gemmi

_BRACKETS = re.compile(r"^(?P<base>[^()]*)\((?P<change>[^()]*)\)\s*$")
#: Origins of tabulated settings differ by eighths of the cell, along c of hexagonal cells by twelfths.
_SHIFTS = [*itertools.product(range(0, 24, 3), repeat=3), *((0, 0, z) for z in range(2, 24, 2))]


@dataclass(frozen=True)
class UntabulatedGroup:
    """A space group on axes of which no table has it; its attributes are those of ``gemmi.SpaceGroup``.

    Attributes
    ----------
    hall : str
        The Hall symbol of its operations.
    base : str
        The Hall symbol of a tabulated setting.
    change : str
        Coordinates in this setting in terms of those of `base`: ``"y+z,x+z,x+y"``.
    """

    hall: str
    base: str
    change: str

    @property
    def parent(self) -> gemmi.SpaceGroup:
        """The space group in the tabulated setting `base`."""
        return _find_tabulated(self.base)  # type: ignore[return-value]

    def __getattr__(self, name: str) -> Any:
        """Number, crystal system and all else that is the same in each setting: that of `parent`."""
        # Names with underscores are asked for by `copy` and `pickle`, before there is a base.
        if name.startswith("_") or name not in _OF_ALL_SETTINGS:
            raise AttributeError(name)
        return getattr(self.parent, name)

    @property
    def base_axes(self) -> np.ndarray:
        """The axes of the tabulated setting in terms of these, by row, shape (3, 3)."""
        import gemmi

        # x' = M x, so that new axes are M^-T times the old ones
        change = gemmi.Op(self.change)
        return np.array(change.rot, dtype=np.float64).T / change.DEN

    @property
    def basisop(self) -> gemmi.Op:
        """Coordinates in this setting in terms of those in the reference setting, as gemmi has it."""
        import gemmi

        return gemmi.Op(self.change).combine(self.parent.basisop)

    @property
    def change_to_base(self) -> str:
        """What ``xdp reindex change_of_basis_op=`` must be given to come to the tabulated axes."""
        return _write_letters(self.base_axes)

    def operations(self) -> gemmi.GroupOps:
        """The symmetry operations in this setting.

        Returns
        -------
        gemmi.GroupOps
        """
        import gemmi

        return gemmi.symops_from_hall(self.hall)

    def centring_type(self) -> str:
        """The letter of the centring of these axes.

        Returns
        -------
        str
            ``"P"`` for a primitive cell, ``"?"`` where no letter stands for the centring.
        """
        letter = str(self.operations().find_centering())
        return letter if letter.isalpha() else "?"

    def xhm(self) -> str:
        """The symbol of the tabulated setting with the change of axes in brackets.

        Returns
        -------
        str
            Such as ``I 2 3 (y+z,x+z,x+y)`` or ``P 43 21 2 (b,c,a)``: the shorter of two forms, in coordinates or axes.
        """
        import gemmi

        axes, is_shifted = _write_axes(self.change), any(gemmi.Op(self.change).tran)
        # axes do not show a shift of the origin
        return f"{self.parent.hm} ({self.change if is_shifted or len(axes) > len(self.change) else axes})"

    def short_name(self) -> str:
        """As :meth:`xhm`, without blanks in the symbol.

        Returns
        -------
        str
        """
        return self.xhm().replace(" ", "").replace("(", " (")


#: What does not depend on the axes. `hm` is the symbol of the tabulated setting.
_OF_ALL_SETTINGS = frozenset({
    "number", "crystal_system_str", "crystal_system", "is_centrosymmetric", "is_enantiomorphic", "is_sohncke",
    "is_symmorphic", "laue_str", "point_group_hm", "hm", "ext", "qualifier"})

AnySpaceGroup: TypeAlias = "gemmi.SpaceGroup | UntabulatedGroup"


def space_group_from_hall(symbol: str) -> AnySpaceGroup:
    """Find the space group of a Hall symbol.

    Parameters
    ----------
    symbol : str
        With or without a change of basis in brackets.

    Returns
    -------
    gemmi.SpaceGroup or UntabulatedGroup
        The latter where no table has the group on these axes.

    Raises
    ------
    FormatError
        If it is no Hall symbol, or not one of a space group.

    Examples
    --------
    >>> space_group_from_hall(" P 4nw 2abw").xhm()
    'P 43 21 2'
    >>> primitive = space_group_from_hall(" I 2 2 3 (y+z,x+z,x+y)")
    >>> primitive.number, primitive.centring_type(), primitive.xhm()
    (197, 'P', 'I 2 3 (y+z,x+z,x+y)')
    """
    import gemmi

    symbol = symbol.strip().removeprefix("Hall:").strip()
    try:
        operations = gemmi.symops_from_hall(symbol)
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"'{symbol}' is no Hall symbol of a space group") from error
    group = gemmi.find_spacegroup_by_ops(operations)
    if group is not None:
        return group
    if not _are_whole(operations):
        raise FormatError(f"Hall symbol '{symbol}': the lattice on these axes does not have the symmetry")
    base, change = _split_change(symbol)
    if _find_tabulated(base) is None:
        raise FormatError(f"Hall symbol '{symbol}': no tabulated setting of a space group has the operations of "
                          f"'{base}'")
    return UntabulatedGroup(symbol, base, change)


def change_group_basis(symbol: str, axes: np.ndarray, shift: np.ndarray | None = None) -> str:
    """Find the Hall symbol of a space group on other axes.

    Parameters
    ----------
    symbol : str
        The Hall symbol on the old axes.
    axes : array (3, 3)
        New axes in terms of the old ones, by row, as fractions.
    shift : array (3,), optional
        Added to the new coordinates; the origin.

    Returns
    -------
    str
        That of a tabulated setting where there is one, whatever its origin (which diffraction does not show); else with
        the change of basis in brackets.

    Raises
    ------
    XdpError
        If the lattice of the new axes does not have the symmetry of the group.

    Examples
    --------
    >>> change_group_basis("P 2yb", [[0, 0, -1], [0, 1, 0], [1, 0, 1]])
    'P 2yb'
    >>> change_group_basis("I 2 2 3", [[-.5, .5, .5], [.5, -.5, .5], [.5, .5, -.5]])
    'I 2 2 3 (y+z,x+z,x+y)'
    """
    import gemmi

    # axes' = P axes, so that coordinates are x' = P^-T x
    change = gemmi.Op(_write_triplet(np.linalg.inv(np.asarray(axes, np.float64)).T, shift))
    base, before = _split_change(symbol.strip().removeprefix("Hall:").strip())
    whole = change.combine(gemmi.Op(before))
    name = f"{base} ({whole.triplet()})"
    operations = gemmi.symops_from_hall(name)
    if not _are_whole(operations):
        group = space_group_from_hall(symbol)
        raise XdpError(f"the lattice of the new axes does not have the symmetry of {group.xhm()}: give the space group "
                       "that it shall have, such as space_group=P1")
    return _find_setting(operations, space_group_from_hall(symbol).number) or name


def _split_change(symbol: str) -> tuple[str, str]:
    """A Hall symbol without its brackets, and the change of coordinates in them."""
    import gemmi

    found = _BRACKETS.match(symbol)
    if found is None:
        return symbol, "x,y,z"
    change = found["change"]
    if "," not in change:  # three numbers are a shift of the origin in twelfths
        change = ",".join(f"{letter}{int(number):+d}/12" for letter, number in zip("xyz", change.split(), strict=True))
    try:
        return found["base"].strip(), gemmi.Op(change.replace(" ", "")).triplet()
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"'{symbol}' is no Hall symbol of a space group") from error


def _find_tabulated(symbol: str) -> gemmi.SpaceGroup | None:
    """The tabulated setting with the operations of a Hall symbol."""
    import gemmi

    return gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(symbol))


def _find_setting(operations: gemmi.GroupOps, number: int) -> str | None:
    """The Hall symbol of the tabulated setting that operations are of, whatever their origin."""
    import gemmi

    settings = [g for g in gemmi.spacegroup_table() if g.number == number
                and g.operations().has_same_rotations(operations) and g.operations().has_same_centring(operations)]
    wanted = _list_operations(operations)
    for group, shift in itertools.product(settings, _SHIFTS):
        moved = gemmi.symops_from_hall(group.hall)
        moved.change_basis_forward(gemmi.Op(_write_triplet(np.eye(3), np.array(shift) / 24)))
        if _list_operations(moved) == wanted:
            return group.hall
    return None


def _list_operations(operations: gemmi.GroupOps) -> frozenset[str]:
    """All operations as text."""
    return frozenset(operation.triplet() for operation in operations)


def _are_whole(operations: gemmi.GroupOps) -> bool:
    """Whether all rotation parts are of whole numbers, as on the axes of a lattice that has the symmetry."""
    return all(number % operation.DEN == 0 for operation in operations.sym_ops
               for row in operation.rot for number in row)


def _write_triplet(rotation: np.ndarray, shift: np.ndarray | None = None) -> str:
    """A change of coordinates as text that gemmi reads."""
    rows = []
    for row, start in zip(rotation, np.zeros(3) if shift is None else shift, strict=True):
        terms = [(Fraction(float(v)).limit_denominator(24), letter) for v, letter in zip(row, "xyz", strict=True)]
        text = "".join(f"{'-' if v < 0 else '+'}{abs(v)}*{letter}" for v, letter in terms if v)
        origin = Fraction(float(start)).limit_denominator(24)
        rows.append((text + (f"{'-' if origin < 0 else '+'}{abs(origin)}" if origin else "")).lstrip("+"))
    return ",".join(rows)


def _write_axes(change: str) -> str:
    """New axes in terms of the old ones, of a change of coordinates: its inverse, transposed."""
    import gemmi

    inverse = gemmi.Op(change).inverse()
    return _write_letters(np.array(inverse.rot).T / inverse.DEN)


def _write_letters(axes: np.ndarray) -> str:
    """Axes (3, 3) in terms of a, b and c."""
    import gemmi

    return gemmi.Op(_write_triplet(axes)).triplet().translate(str.maketrans("xyz", "abc"))
