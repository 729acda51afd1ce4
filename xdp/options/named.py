"""Option models from what a Python user gives: a model, a dictionary, keyword arguments.

Names are those of the command line, with its abbreviations: ``d_min=2.0`` of find_spots sets
``spotfinder.filter.d_min``, ``threshold={"algorithm": "dispersion"}`` sets a parameter within a scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from xdp.errors import OptionError
from xdp.options.model import Options
from xdp.options.paths import describe_unknown, resolve
from xdp.options.reader import describe_invalid
from xdp.options.syntax import parse_text
from xdp.options.tree import Definition, Scope, build_tree
from xdp.options.words import read_value

Model = TypeVar("Model", bound=Options)


def make_options(model: type[Model], options: Model | Mapping[str, Any] | None = None,
                 named: Mapping[str, Any] | None = None) -> Model:
    """Make an option model from what a Python user gives.

    Parameters
    ----------
    model : type of Options
        The model that is wanted.
    options : Options or mapping of str to value, optional
        An instance of `model`, which is the base of the result, or parameters by their names. None: the defaults.
    named : mapping of str to value, optional
        Parameters that are laid over `options`.

    Returns
    -------
    options : instance of `model`
        A new one, unless nothing is changed. The inputs stay as they are.

    Raises
    ------
    OptionError
        If a name is unknown or ambiguous, or a value is of the wrong type or out of its bounds.

    Notes
    -----
    A name is a full path with dots, or an abbreviation as on the command line. The value of a scope is a mapping of its
    own parameters, or an instance of its model. Text is read as on the command line ("79,79,38,90,90,90", "Auto"), any
    other value as it is.

    Examples
    --------
    >>> from xdp.spotfinding.options import FindSpotsOptions
    >>> options = make_options(FindSpotsOptions, {"d_min": 2.0}, {"threshold": {"algorithm": "dispersion"}})
    >>> options.spotfinder.filter.d_min, options.spotfinder.threshold.algorithm
    (2.0, 'dispersion')
    """
    if options is not None and not isinstance(options, (model, Mapping)):
        raise OptionError(f"options must be {model.__name__}, a dictionary or None, got {type(options).__name__}")
    base = options if isinstance(options, model) else model()
    # Keyword arguments come last, so that they win over the dictionary.
    given = {**(options if isinstance(options, Mapping) else {}), **(named or {})}
    return _lay_over(build_tree(model), base, given) if given else base


def _lay_over(scope: Scope, base: Any, given: Mapping[str, Any]) -> Any:
    """An instance of a scope's model: `base` with parameters laid over it, whose names are relative to the scope."""
    changes: dict[str, Any] = {}
    for name, value in given.items():
        node = _find(scope, str(name), _is_for_scope(value))
        relative = node.path.removeprefix(f"{scope.path}.") if scope.path else node.path
        changes = _insert(changes, relative.split("."), _Leaf(node, value))
    return _rebuild(scope, base, changes)


class _Leaf:
    """A value that was given for a parameter or a scope."""

    def __init__(self, node: Definition | Scope, value: Any):
        self.node, self.value = node, value


def _is_for_scope(value: Any) -> bool:
    """Whether a value is one that a scope takes: parameters by name, a model, or several of them."""
    if isinstance(value, (list, tuple)) and value:
        return all(_is_for_scope(item) for item in value)
    return isinstance(value, (Mapping, Options))


def _find(scope: Scope, typed: str, wants_scope: bool) -> Definition | Scope:
    """The parameter or scope that a name means: scopes by the end of their path, parameters as on the command line."""
    below = [s for s in _scopes(scope) if f".{s.path}".endswith(f".{typed}")]
    exact = [s for s in below if typed in (s.path, s.path.removeprefix(f"{scope.path}."))]
    chosen = exact or below
    # A scope is never guessed: two of one name may hold quite different parameters.
    if wants_scope and len(chosen) > 1:
        names = ", ".join(s.path for s in chosen)
        raise OptionError(f"{typed} is ambiguous: it may mean {names}; write more of the path")
    if wants_scope and chosen:
        return chosen[0]
    # Asked first, since the error must name what was typed.
    if not any(typed in _make_relative(scope, d) for d in scope.definitions()):
        raise describe_unknown(scope, typed)
    if exact and not any(_make_relative(scope, d).endswith(typed) for d in scope.definitions()):
        return exact[0]  # a scope that was given a plain value, which is refused with its name
    return resolve(scope, typed)


def _make_relative(scope: Scope, definition: Definition) -> str:
    """The path of a parameter below a scope."""
    return definition.path.removeprefix(f"{scope.path}.") if scope.path else definition.path


def _scopes(scope: Scope) -> list[Scope]:
    """All scopes below a scope."""
    inner = [child for child in scope.children if isinstance(child, Scope)]
    return inner + [s for child in inner for s in _scopes(child)]


def _insert(changes: dict[str, Any], path: list[str], leaf: _Leaf) -> dict[str, Any]:
    """`changes` with a value at a path; a later value replaces an earlier one of the same path."""
    # Built as a tree, so that each model is made once, with all its changes.
    first, *rest = path
    if not rest:
        return {**changes, first: leaf}
    inner = changes.get(first)
    if isinstance(inner, _Leaf):  # the whole scope was given before: both count, the later one last
        return {**changes, first: _Leaf(inner.node, {**_as_mapping(inner), ".".join(rest): leaf.value})}
    return {**changes, first: _insert(inner or {}, rest, leaf)}


def _as_mapping(leaf: _Leaf) -> Mapping[str, Any]:
    """What was given for a scope, as a mapping."""
    if isinstance(leaf.value, Options):
        return {name: getattr(leaf.value, name) for name in leaf.value.model_fields_set}
    if isinstance(leaf.value, Mapping):
        return leaf.value
    raise OptionError(f"{leaf.node.path} is a scope: a dictionary of its parameters is wanted, got {leaf.value!r}")


def _rebuild(scope: Scope, base: Any, changes: Mapping[str, Any]) -> Any:
    """An instance of a scope's model with the changes; pydantic checks them."""
    # All fields and not a copy with changes: only a new model is checked by pydantic.
    values = {name: getattr(base, name) for name in type(base).model_fields}
    for node in scope.children:
        if node.name in changes:
            values[node.attribute] = _value(node, values[node.attribute], changes[node.name])
    try:
        return scope.model(**values)
    except ValidationError as error:
        raise describe_invalid(scope, error) from None


def _value(node: Definition | Scope, base: Any, change: Any) -> Any:
    """The new value of one field."""
    if isinstance(node, Scope) and not isinstance(change, _Leaf):
        # Parameters by their full names: in a repeated scope they make one instance.
        return (_rebuild(node, node.model(), change),) if node.multiple else _rebuild(node, base, change)
    if isinstance(node, Definition):
        return _parse_text(node, change.value)
    if node.multiple:
        instances = change.value if isinstance(change.value, (list, tuple)) else [change.value]
        return tuple(_lay_over(node, node.model(), _as_mapping(_Leaf(node, item))) for item in instances)
    if isinstance(change.value, node.model):
        return change.value
    return _lay_over(node, base, _as_mapping(change))


def _parse_text(node: Definition, value: Any) -> Any:
    """A value of a parameter: text is read as on the command line, unless the parameter is text itself."""
    if not isinstance(value, str) or node.kind.base in ("str", "path", "strings", "space_group") or node.multiple:
        return value
    if node.kind.base == "choice" and value in node.kind.choices and not node.kind.multi:
        return value  # also "none" where it is a choice
    ((_, words),) = parse_text(f"value={value}", repr(value))[0].definitions()
    return read_value(node, words)
