"""An option model seen as a PHIL scope: a tree of definitions and scopes with their paths."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin

from xdp.options.kinds import Kind, describe_kind, format_type, read_kind
from xdp.options.model import Options, read_declaration


@dataclass(frozen=True)
class Definition:
    """One parameter of a model."""

    name: str
    attribute: str
    path: str
    help: str
    kind: Kind
    default: Any
    expert: int | None
    level: int
    multiple: bool
    bounds: dict[str, float]
    phil: str | None = None
    file: str | None = None
    names: str | None = None
    when: str | None = None
    in_place: bool = False

    @property
    def type_text(self) -> str:
        """The text after ``.type =``."""
        return self.phil or format_type(self.kind, self.bounds)

    @property
    def wanted(self) -> str:
        """What a value must be, in words."""
        return describe_kind(self.kind, self.bounds)


@dataclass(frozen=True)
class Scope:
    """One model, or a field that holds a model; the outermost has an empty name."""

    name: str
    attribute: str
    path: str
    help: str
    model: type[Options]
    default: Any
    expert: int | None
    multiple: bool
    children: tuple[Definition | Scope, ...]

    def definitions(self) -> Iterator[Definition]:
        """All parameters below, in order."""
        for child in self.children:
            if isinstance(child, Definition):
                yield child
            else:
                yield from child.definitions()

    def child(self, name: str) -> Definition | Scope | None:
        """The parameter or scope of that name directly below, or None."""
        return next((child for child in self.children if child.name == name), None)


@cache
def build_tree(model: type[Options]) -> Scope:
    """The scope that a model describes.

    A trailing underscore of a field's name is dropped (``lambda_`` is PHIL's ``lambda``).
    """
    return _scope(model, "", "", "", "", None, None, 0, False)


def _scope(
    model: type[Options],
    name: str,
    attribute: str,
    parent: str,
    help: str,
    default: Any,
    expert: int | None,
    level: int,
    multiple: bool,
) -> Scope:
    path = f"{parent}.{name}" if parent else name
    # A scope hands its level on to what stands within it.
    level = level if expert is None else expert
    # An enclosing model may give other defaults than the class: those count.
    values = default if isinstance(default, Options) else None
    children = tuple(_child(model, item, path, level, values) for item in model.model_fields)
    return Scope(name, attribute, path, help, model, default, expert, multiple, children)


def _child(model: type[Options], attribute: str, parent: str, level: int, values: Options | None) -> Definition | Scope:
    """The node of one field; `values` is the instance that the enclosing scope has by default."""
    info = model.model_fields[attribute]
    declaration = read_declaration(model, attribute)
    multiple = bool(declaration.get("multiple"))
    # Python keeps some names for itself: import_ and lambda_ are import and lambda to users.
    name = attribute.rstrip("_")
    default = info.get_default(call_default_factory=True) if values is None else getattr(values, attribute)
    annotation = _items(info.annotation) if multiple else info.annotation
    expert = declaration.get("expert")
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return _scope(annotation, name, attribute, parent, info.description or "", default, expert, level, multiple)
    path, kind = f"{parent}.{name}" if parent else name, read_kind(annotation, tuple(info.metadata))
    _check_file(path, kind, declaration.get("file"))
    return Definition(
        name=name,
        attribute=attribute,
        path=path,
        help=info.description or "",
        kind=kind,
        default=default,
        expert=expert,
        level=level if expert is None else expert,
        multiple=multiple,
        bounds={key: declaration[key] for key in ("ge", "le", "gt", "lt") if key in declaration},
        phil=declaration.get("phil"),
        **{key: declaration[key] for key in ("file", "names", "when", "in_place") if key in declaration},
    )


def _check_file(path: str, kind: Kind, file: str | None) -> None:
    """Make sure that a model says of each parameter that may name a file what becomes of it.

    Raises
    ------
    TypeError
        If it does not: what is not known to be written is not kept off the inputs.
    """
    # Text in a scope of outputs is nearly always a file's name: the model must say which it is.
    may_name = kind.base == "path" or (kind.base in ("str", "strings") and "output" in path.split(".")[:-1])
    if may_name and file is None:
        raise TypeError(f"{path}: option(..., file=...) must say what it names: input, output, beside, folder or text")


def _items(annotation: Any) -> Any:
    """The type of one value of a repeated field, which is annotated ``tuple[X, ...]`` (or that ``| None``)."""
    # None may stand for no repetition at all.
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(member for member in get_args(annotation) if member is not types.NoneType)
    items = get_args(annotation)
    if get_origin(annotation) is not tuple or items[1:] != (Ellipsis,):
        raise TypeError(f"a repeated option is annotated tuple[X, ...], got {annotation!r}")
    return items[0]
