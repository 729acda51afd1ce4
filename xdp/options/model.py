"""The base of all option models, and the word `Auto`.

An option model is a small frozen pydantic class that stands beside the algorithm it steers. Its fields are the
parameters: name, type, default, bounds, unit and one-line help, said once. A field that is itself a model is a PHIL
scope. From the models :mod:`xdp.options` prints the PHIL text and reads command lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, Self, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import core_schema

from xdp.display import format_value, html_table

FileRole = Literal["input", "output", "beside", "folder", "text"]


class Auto:
    """The type of `AUTO`: a value that the algorithm chooses from the data.

    There is one instance; ask with ``value is AUTO``. It survives pickling, copying and JSON (as the word "Auto").
    """

    # One instance for all, so that `is` works after pickling too.
    _instance: Auto | None = None

    def __new__(cls) -> Auto:
        """Give the one instance."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "Auto"

    def __reduce__(self) -> str:
        return "AUTO"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Accept `AUTO` itself and, for JSON round trips, the word "auto" in any case."""
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def _validate(cls, value: Any) -> Auto:
        # JSON has no Auto, only the word.
        if value is AUTO or (isinstance(value, str) and value.lower() == "auto"):
            return AUTO
        raise ValueError("the word Auto is expected here")


AUTO = Auto()


class Bounds(TypedDict, total=False):
    """Bounds of a number: at least, at most, greater than, less than."""

    ge: float
    le: float
    gt: float
    lt: float


def option(
    default: Any,
    help: str,
    *,
    expert: int | None = None,
    multiple: bool = False,
    phil: str | None = None,
    file: FileRole | None = None,
    names: str | None = None,
    when: str | None = None,
    in_place: bool = False,
    **bounds: Unpack[Bounds],
) -> Any:
    """Declare one parameter of an option model.

    Parameters
    ----------
    default : object
        The value if the user says nothing; for a nested model an instance of it.
    help : str
        One or two sentences with the unit, printed by ``-c -a 1``.
    expert : int, optional
        PHIL expert level; without it the level of the enclosing scope holds.
    multiple : bool
        The parameter or scope may be given several times; the field is then a tuple of values or models.
    phil : str, optional
        The text after ``.type =`` where the one derived from the annotation does not serve.
    file : str, optional
        What the value names: ``"input"``, a file or folder that is read; ``"output"``, a file or store that is written;
        ``"beside"``, an output by its name in the folder of the main output; ``"folder"``, a folder in which files
        are written. Each parameter whose type is a path needs it, and each text in a scope ``output``.
    names : str, optional
        The pattern of the files' names where the value is only a part of them, with the fields of the same model in
        braces: ``"{prefix}_*.png"``. A field that is None is empty.
    when : str, optional
        Field of the same model without which nothing is written.
    in_place : bool
        The output may be the input of the same kind (.expt or .refl), which it then replaces.
    **bounds : float
        ``ge``, ``le``, ``gt``, ``lt``: bounds of the number, or of each number of a tuple. ``None`` and ``Auto`` are
        never compared.

    Raises
    ------
    TypeError
        If something else is given: a defect of the model.

    Examples
    --------
    >>> class Example(Options):
    ...     d_min: float | None = option(None, "The finest spacing, Å.", gt=0)
    >>> Example(d_min=2.0)
    <Example: d_min=2>
    """
    if not Bounds.__annotations__.keys() >= bounds.keys():
        raise TypeError(f"option takes no {', '.join(bounds.keys() - Bounds.__annotations__.keys())}")
    files = {"file": file, "names": names, "when": when, "in_place": in_place}
    extra = {"expert": expert, "multiple": multiple, "phil": phil, **files, **bounds}
    # What is not said is not stored: printing PHIL text asks what is there.
    stored: Any = {key: value for key, value in extra.items() if value is not None and value is not False}
    return Field(default, description=help, json_schema_extra={"xdp": stored})


class Options(BaseModel):
    """Base of every option model: frozen, hashable, unknown names are errors, bounds are checked."""

    # Frozen and hashable: options are parts of keys of finished work, and nobody changes them on the way.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def _list_changes(self) -> list[tuple[str, str]]:
        """Paths and values, as text, of the parameters that differ from their defaults."""
        return list(_iterate_changes(self, type(self)(), ""))

    def __repr__(self) -> str:
        changes = ", ".join(f"{path}={value}" for path, value in self._list_changes())
        return f"<{type(self).__name__}: {changes or 'all defaults'}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return html_table(f"{type(self).__name__}, changed parameters", self._list_changes())

    @model_validator(mode="before")
    @classmethod
    def _take_paths(cls, given: Any) -> Any:
        # Names of files are text, as on the command line; in Python they are often pathlib's.
        if not isinstance(given, Mapping):
            return given
        return {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        # Here and not by pydantic's own bounds: those do not look into tuples, nor skip Auto.
        for name, bounds in list_bounded_fields(type(self)):
            for number in _numbers(getattr(self, name)):
                complaint = describe_broken_bound(number, bounds)
                if complaint:
                    raise ValueError(f"{name} {complaint}, got {number!r}")
        return self


def read_declaration(model: type[Options], name: str) -> dict[str, Any]:
    """Read what :func:`option` was given for a field beyond its default and help.

    Parameters
    ----------
    model : type of Options
    name : str
        The field.

    Returns
    -------
    dict of str to value
        Empty for a field that was not declared by :func:`option`.
    """
    extra = model.model_fields[name].json_schema_extra
    told: Any = extra.get("xdp") if isinstance(extra, dict) else None
    return dict(told or {})


@cache
def list_bounded_fields(model: type[Options]) -> tuple[tuple[str, dict[str, float]], ...]:
    """List the fields of a model that have bounds.

    Returns
    -------
    tuple of (str, dict)
        Name, and its bounds by the keys ``ge gt le lt``. Kept for each model, since every instance asks.
    """
    result = []
    for name in model.model_fields:
        bounds = {key: value for key, value in read_declaration(model, name).items() if key in ("ge", "le", "gt", "lt")}
        if bounds:
            result.append((name, bounds))
    return tuple(result)


def describe_broken_bound(number: float, bounds: dict[str, float]) -> str | None:
    """Say which bound a number breaks, or None if it keeps all.

    Examples
    --------
    >>> describe_broken_bound(0, {"ge": 1}), describe_broken_bound(1, {"ge": 1})
    ('must be at least 1', None)
    """
    # Written so that NaN, which compares with nothing, breaks every bound.
    if "ge" in bounds and not number >= bounds["ge"]:
        return f"must be at least {bounds['ge']:g}"
    if "gt" in bounds and not number > bounds["gt"]:
        return f"must be greater than {bounds['gt']:g}"
    if "le" in bounds and not number <= bounds["le"]:
        return f"must be at most {bounds['le']:g}"
    if "lt" in bounds and not number < bounds["lt"]:
        return f"must be less than {bounds['lt']:g}"
    return None


def _numbers(value: Any) -> list[float]:
    """All numbers in a value: itself, or those of a (nested) tuple; None, Auto and words hold none."""
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    # True is an int to Python, no number to a user.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [value]
    return []


def _iterate_changes(options: Options, defaults: Options, parent: str) -> Iterator[tuple[str, str]]:
    """Paths and values of the parameters of a model that differ from those of `defaults`; repeated ones one by one."""
    for name in type(options).model_fields:
        value, default, path = getattr(options, name), getattr(defaults, name), f"{parent}{name.rstrip('_')}"
        if value == default:
            continue
        if isinstance(value, Options) and isinstance(default, Options):
            yield from _iterate_changes(value, default, f"{path}.")
            continue
        # An empty repetition has nothing to list: it is shown as one value.
        for one in value if read_declaration(type(options), name).get("multiple") and value else (value,):
            yield path, format_value(one)
