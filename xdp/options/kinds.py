"""What kind of value a field holds, read from its annotation: the bridge from Python types to PHIL types."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from xdp.options.model import Auto


@dataclass(frozen=True)
class PhilType:
    """Marks an annotated type as one of PHIL's crystallographic or file types."""

    name: str


#: A cell: a, b, c in Å and alpha, beta, gamma in degrees.
UnitCell = Annotated[tuple[float, float, float, float, float, float], PhilType("unit_cell")]
#: A space group by number, Hermann-Mauguin or Hall symbol, as the user wrote it.
SpaceGroup = Annotated[str, PhilType("space_group")]
#: The path of a file or folder; a leading ~ is expanded.
FilePath = Annotated[str, PhilType("path")]

#: Python's types to PHIL's; bool stands before int, of which it is a kind.
_SCALARS = {bool: "bool", int: "int", float: "float", str: "str"}
_TUPLES = {int: "ints", float: "floats", str: "strings"}


@dataclass(frozen=True)
class Kind:
    """One PHIL type with its particulars.

    Attributes
    ----------
    base : str
        ``bool int float str path strings ints floats choice unit_cell space_group``.
    size : int or None
        Number of values of ``ints`` and ``floats``, if it is fixed.
    choices : tuple of str
        The words of a ``choice``.
    multi : bool
        Several words of the choice may be selected.
    allow_none, allow_auto : bool
        Whether the words None and Auto are values.
    """

    base: str
    size: int | None = None
    choices: tuple[str, ...] = ()
    multi: bool = False
    allow_none: bool = False
    allow_auto: bool = False


def read_kind(annotation: Any, marks: tuple = ()) -> Kind:
    """The kind of a field, from its annotation and the marks that pydantic split off from it.

    Raises
    ------
    TypeError
        If the annotation cannot be expressed in PHIL: a defect of the model.
    """
    core, allow_none, allow_auto = _strip_union(annotation)
    if get_origin(core) is Annotated:
        core, *inner = get_args(core)
        marks = (*marks, *inner)
    # Crystallographic types look like tuples and text: only their mark tells them.
    named = next((mark.name for mark in marks if isinstance(mark, PhilType)), None)
    flags: dict[str, Any] = {"allow_none": allow_none, "allow_auto": allow_auto}
    if named:
        return Kind(named, **flags)
    if core in _SCALARS:
        return Kind(_SCALARS[core], **flags)
    if get_origin(core) is Literal:
        return Kind("choice", choices=get_args(core), **flags)
    if get_origin(core) is tuple:
        return _tuple_kind(get_args(core), flags)
    raise TypeError(f"no PHIL type for the annotation {annotation!r}")


def _tuple_kind(items: tuple, flags: dict[str, Any]) -> Kind:
    """The kind of ``tuple[...]``: numbers, strings, or the words of a choice."""
    if get_origin(items[0]) is Literal:
        return Kind("choice", choices=get_args(items[0]), multi=True, **flags)
    # Tuple[float, ...] takes any number of values, tuple[float, float] two.
    endless = len(items) == 2 and items[1] is Ellipsis
    if items[0] not in _TUPLES or not (endless or len(set(items)) == 1):
        raise TypeError(f"no PHIL type for a tuple of {items!r}")
    return Kind(_TUPLES[items[0]], size=None if endless else len(items), **flags)


def _strip_union(annotation: Any) -> tuple[Any, bool, bool]:
    """Split ``X | None | Auto`` into X and whether None and Auto were there."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False, False
    members = get_args(annotation)
    rest = [member for member in members if member not in (types.NoneType, Auto)]
    if len(rest) != 1:
        raise TypeError(f"no PHIL type for the annotation {annotation!r}")
    return rest[0], types.NoneType in members, Auto in members


def format_type(kind: Kind, bounds: dict[str, float]) -> str:
    """Write a type as PHIL's ``.type =`` shows it.

    Parameters
    ----------
    kind : Kind
    bounds : dict of str to float
        Keys ``ge gt le lt``; PHIL does not tell open bounds from closed ones.

    Examples
    --------
    >>> format_type(Kind("int", allow_none=True), {"ge": 1})
    'int(value_min=1, allow_none=True)'
    """
    words = []
    if kind.base in ("ints", "floats", "strings") and kind.size is not None:
        words.append(f"size={kind.size}")
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is not None:
        words.append(f"value_min={low:.10g}")
    if high is not None:
        words.append(f"value_max={high:.10g}")
    # PHIL says so of numbers only; other types take None anyway.
    if kind.allow_none and kind.base in ("int", "float"):
        words.append("allow_none=True")
    if kind.multi:
        words.append("multi=True")
    return kind.base + (f"({', '.join(words)})" if words else "")


_PLAIN = {
    "bool": "True or False",
    "int": "an integer",
    "float": "a number",
    "str": "text",
    "path": "a path",
    "strings": "words",
    "ints": "integers",
    "floats": "numbers",
    "unit_cell": "six numbers a,b,c,alpha,beta,gamma (Å, degrees)",
    "space_group": "a space group symbol or number",
}


def describe_kind(kind: Kind, bounds: dict[str, float]) -> str:
    """Say in words what a value must be, for error messages.

    Parameters
    ----------
    kind : Kind
    bounds : dict of str to float
        Keys ``ge gt le lt``.

    Examples
    --------
    >>> describe_kind(Kind("int", allow_none=True, allow_auto=True), {"ge": 1})
    'an integer >= 1, None or Auto'
    """
    if kind.base == "choice":
        text = ("some of: " if kind.multi else "one of: ") + " ".join(kind.choices)
    else:
        text = _PLAIN[kind.base]
        if kind.size is not None:
            text = f"{kind.size} {text}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = " and ".join(f"{sign} {bounds[key]:g}" for key, sign in signs.items() if key in bounds)
    words = [f"{text} {limits}".strip()]
    words += ["None"] * kind.allow_none + ["Auto"] * kind.allow_auto
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
