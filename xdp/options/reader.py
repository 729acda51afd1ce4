"""Command-line words and PHIL files to an option model."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from xdp.errors import OptionError
from xdp.options.model import Options
from xdp.options.paths import describe_unknown, resolve
from xdp.options.syntax import Statement, parse_file, parse_text
from xdp.options.tree import Definition, Scope, build_tree
from xdp.options.words import read_value

Model = TypeVar("Model", bound=Options)

#: Endings that users of PHIL give to files of parameters.
_PHIL_FILES = (".phil", ".param", ".params", ".eff", ".def")
#: name=value or scope{name=value}; a leading ! disables it, as in PHIL.
_PARAMETER = re.compile(r"\s*!?[A-Za-z_][A-Za-z0-9_.]*\s*(=|\{.*=)", re.DOTALL)

#: Parameters by which DIALS names its inputs. Every command takes them as words that stand for these files.
INPUT_NAMES = ("input.experiments", "input.reflections")


def parse(model: type[Model], words: Sequence[str]) -> tuple[Model, list[str]]:
    """Read a command line.

    ``name=value`` sets a parameter (the name may be abbreviated, see :mod:`xdp.options.paths`), a file ``*.phil`` (or
    ``.param .params .eff .def``) sets those it lists by their full names, and everything else is an input.
    ``input.experiments=FILE`` and ``input.reflections=FILE`` are inputs, too. What comes later wins; repeated
    parameters and scopes add up.

    Returns
    -------
    options : instance of `model`
    inputs : list of str

    Raises
    ------
    OptionError
        If a name is unknown or ambiguous or a value does not fit.
    """
    root = build_tree(model)
    sources: list[Statement] = []
    inputs: list[str] = []
    for position, word in enumerate(words):
        # Full names are wanted in files: an abbreviation may mean another parameter in the next version.
        if is_parameter_file(word):
            statements, files = _take_input_files(parse_file(word))
            sources.extend(_check_names(root, statements, word))
        elif is_parameter(word):
            statements, files = _take_input_files(parse_text(word, repr(word)))
            sources.extend(_expand_word(root, statements, position))
            if not statements and not files:
                raise OptionError(f"{word!r} sets no parameter")
        else:
            files = [word]
        inputs.extend(files)
    return build(model, sources), inputs


def is_parameter_file(word: str) -> bool:
    """Say whether a word of a command line names a file of parameters.

    Examples
    --------
    >>> is_parameter_file("find.phil"), is_parameter_file("output.phil=a.phil")
    (True, False)
    """
    return word.lower().endswith(_PHIL_FILES) and "=" not in word


def is_parameter(word: str) -> bool:
    """Say whether a word of a command line sets a parameter; a file of that very name is an input.

    Examples
    --------
    >>> is_parameter("d_min=2"), is_parameter("filter { d_min=2 }"), is_parameter("imported.expt")
    (True, True, False)
    """
    return bool(_PARAMETER.match(word)) and not os.path.exists(word)


def parse_phil(model: type[Model], text: str) -> Model:
    """Read PHIL text with full names into a model, for scripts and tests.

    Parameters
    ----------
    model : type of Options
    text : str
        Lines such as ``spotfinder.filter.d_min = 2``.

    Raises
    ------
    OptionError
        If a name is unknown or a value does not fit.
    """
    return build(model, _check_names(build_tree(model), parse_text(text, "PHIL text"), "PHIL text"))


def build(model: type[Model], sources: list[Statement]) -> Model:
    """Make the model that statements give, laid over the defaults.

    Parameters
    ----------
    model : type of Options
    sources : list of Statement
        With full names, in the order in which they count: the later one wins.

    Raises
    ------
    OptionError
        If a value does not fit.
    """
    return _merge(build_tree(model), None, sources)


def _take_input_files(sources: list[Statement], parent: str = "") -> tuple[list[Statement], list[str]]:
    """Take the files that :data:`INPUT_NAMES` name out of statements; those that stay, and the files."""
    stay: list[Statement] = []
    files: list[str] = []
    for source in sources:
        path = f"{parent}{source.name}"
        if source.words is None:
            children, found = _take_input_files(source.children, f"{path}.")
            files += found
            if children or not found:
                stay.append(replace(source, children=children))
        elif path in INPUT_NAMES:
            files += [] if _is_none(source.words) else [word.value for word in source.words]
        else:
            stay.append(source)
    return stay, files


def _expand_word(root: Scope, statements: list[Statement], position: int) -> list[Statement]:
    """The statements of the command-line word at `position` with abbreviated paths replaced by full ones."""
    found = [(*item, k) for k, source in enumerate(statements) for item in source.definitions()]
    return [_wrap_in_scopes(resolve(root, path).path, words, (position, k)) for path, words, k in found]


def _wrap_in_scopes(path: str, words: list, origin: tuple[int, int]) -> Statement:
    """A definition wrapped in the scopes of its path."""
    *scopes, name = path.split(".")
    source = Statement(name, words, origin=origin)
    for scope in reversed(scopes):
        source = Statement(scope, None, [source], origin)
    return source


def _check_names(scope: Scope, sources: list[Statement], file: str) -> list[Statement]:
    """Check that a file's names are those of the model, and that scopes are scopes."""
    root = scope
    # A list and no recursion: the first fault in the order of the file is the one that is told.
    pending = [(scope, source, "") for source in sources]
    while pending:
        parent, source, prefix = pending.pop(0)
        path = prefix + source.name
        node = parent.child(source.name)
        if node is None:
            raise describe_unknown(root, path, file)
        if isinstance(node, Scope) != (source.words is None):
            raise OptionError(f"{file}: {path} is a {'scope' if isinstance(node, Scope) else 'parameter'}")
        if isinstance(node, Scope):
            pending = [(node, child, path + ".") for child in source.children] + pending
    return sources


def _merge(scope: Scope, base: Options | None, sources: list[Statement]) -> Any:
    """An instance of a scope's model: `base` (or the defaults) with the sources laid over it in their order."""
    changed: dict[str, Any] = {}
    for node in scope.children:
        # Statements of one scope may stand apart in a file; together they make one model.
        mine = [source for source in sources if source.name == node.name]
        if mine:
            default = node.default if base is None else getattr(base, node.attribute)
            changed[node.attribute] = _value(node, default, mine)
    values = {} if base is None else {name: getattr(base, name) for name in type(base).model_fields}
    try:
        return scope.model(**{**values, **changed})
    except ValidationError as error:
        raise describe_invalid(scope, error) from None


def _value(node: Definition | Scope, default: Any, sources: list[Statement]) -> Any:
    if isinstance(node, Definition):
        values = [read_value(node, _get_words(source)) for source in _select_values(node, sources)]
        return _drop_repeats(values, None) if node.multiple else values[-1]
    if not node.multiple:
        return _merge(node, default, [child for source in sources for child in source.children])
    return _drop_repeats([_merge(node, None, children) for children in _instances(sources)], node.model())


def _instances(sources: list[Statement]) -> list[list[Statement]]:
    """What each instance of a repeated scope is made of: a scope as written, in a file or in a word's block.

    In a block, what is set once more begins the next instance.
    """
    instances: list[list[Statement]] = []
    before, taken = None, set()
    for source in sources:
        paths = {path for path, _ in source.definitions()}
        # Statements of one word belong to one instance until a parameter comes again.
        if source.origin is not None and source.origin == before and not paths & taken:
            instances[-1] = [*instances[-1], *source.children]
            taken |= paths
        else:
            instances.append(source.children)
            before, taken = source.origin, paths
    return instances


def _select_values(node: Definition, sources: list[Statement]) -> list[Statement]:
    """The sources that give a value: of a repeated parameter, those that are not None."""
    if not node.multiple:
        return sources
    return [source for source in sources if not _is_none(_get_words(source))]


def _get_words(source: Statement) -> list:
    return source.words or []


def _is_none(words: list) -> bool:
    return len(words) == 1 and words[0].quote_token is None and words[0].value.lower() == "none"


def _drop_repeats(values: list, nothing: Any) -> tuple:
    """Values of a repeated parameter as PHIL keeps them: of equal ones the last, none that says nothing."""
    kept: list = []
    for value in values:
        if value == nothing:
            continue
        # The later of two equal ones stays, so that its place in the order is the last.
        if value in kept:
            kept.remove(value)
        kept.append(value)
    return tuple(kept)


def describe_invalid(scope: Scope, error: ValidationError) -> OptionError:
    """Turn pydantic's first complaint into one line that names the parameter.

    Parameters
    ----------
    scope : Scope
        Whose model refused its values.
    error : ValidationError

    Returns
    -------
    OptionError
        To be raised by the caller.
    """
    # One complaint at a time: mending it often mends the others.
    first = error.errors()[0]
    path = ".".join(part for part in (scope.path, *(str(item) for item in first["loc"])) if part)
    message = first["msg"].removeprefix("Value error, ")
    came = "" if not first["loc"] else f", got {first['input']!r}"
    return OptionError(f"{path}: {message}{came}" if path else f"{message}{came}")
